"""A receiver of hooks that shares no code with the mirror: says of each delivery whether its signature is right."""
import hashlib
import hmac
import http.server
import json
import sys
import threading

SECRET = sys.argv[1].encode()
one_at_a_time = threading.Lock()


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        wanted = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        good = hmac.compare_digest(wanted, self.headers["x-npm-signature"])
        hook = json.loads(body)
        told = ("good" if good else "bad", hook["event"], hook["payload"]["name"], hook["hookOwner"]["username"])
        with one_at_a_time:  # print writes word by word
            print(*told, flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
