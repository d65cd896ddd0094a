//! A scripted server on loopback for tests: answers are raw bytes, so that cuts, lies about
//! lengths and silence are possible.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use url::Url;

/// One step of an answer.
#[derive(Clone)]
pub(crate) enum Act {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Go on when the test adds a permit.
    Wait(Arc<Semaphore>),
    /// Say nothing more and keep the connection open.
    Stall,
    /// Close the connection.
    Close,
}

/// What a client asked.
#[derive(Clone, Debug)]
pub(crate) struct RawRequest {
    pub(crate) path: String,
    pub(crate) head: String,
    /// How often this path was asked before.
    pub(crate) nth: usize,
}

impl RawRequest {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

type Script = Arc<dyn Fn(&RawRequest) -> Vec<Act> + Send + Sync>;

/// See the module.
pub(crate) struct RawServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<RawRequest>>>,
    connections: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl RawServer {
    /// Starts a server that answers by `script`.
    pub(crate) async fn start(
        script: impl Fn(&RawRequest) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = connections.clone();
        let (seen, script): (_, Script) = (requests.clone(), Arc::new(script));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, script.clone(), seen.clone()));
            }
        });
        Self { address, requests, connections, accepting }
    }

    /// An address on this server.
    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    /// Everything asked so far.
    pub(crate) fn requests(&self) -> Vec<RawRequest> {
        self.requests.lock().clone()
    }

    /// Connections opened so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How often a path was asked.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.requests.lock().iter().filter(|request| request.path == path).count()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Script, seen: Arc<Mutex<Vec<RawRequest>>>) {
    let mut received = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut received).await {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let request = {
            let mut seen = seen.lock();
            let nth = seen.iter().filter(|earlier| earlier.path == path).count();
            let request = RawRequest { path, head, nth };
            seen.push(request.clone());
            request
        };
        for act in script(&request) {
            match act {
                Act::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Act::Wait(gate) => gate.acquire().await.unwrap().forget(),
                Act::Stall => std::future::pending().await,
                Act::Close => return,
            }
        }
    }
}

async fn read_head(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = received.split_off(end + 4);
            let head = std::mem::replace(received, rest);
            return String::from_utf8(head).ok();
        }
        if stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
}

/// A response head and body with the right length.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<Act> {
    let mut bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    vec![Act::Send(bytes)]
}

/// 200 with the right length.
pub(crate) fn ok(headers: &[(&str, &str)], body: &[u8]) -> Vec<Act> {
    answer("200 OK", headers, body)
}

/// A chunked body in the given chunks, ended properly.
pub(crate) fn chunked(headers: &[(&str, &str)], chunks: &[&[u8]]) -> Vec<Act> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".to_vec();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    for chunk in chunks {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    vec![Act::Send(bytes)]
}

/// Raw bytes, then the connection closes.
pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Vec<Act> {
    vec![Act::Send(bytes.into()), Act::Close]
}
