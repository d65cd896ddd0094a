//! A receiver of hooks on loopback: keeps what it gets and answers as a test scripts it, in every
//! way that a server has.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::until;

/// What a receiver does with a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(u16),
    /// With one more header.
    With(u16, &'static str, String),
    /// Says nothing until [`HookReceiver::let_go`].
    Hang,
    /// Something that is no HTTP.
    Garbage,
    /// Closes the connection in the middle of the request.
    Cut,
    /// A good status, and a body that ends too early.
    HalfBody,
}

/// One delivery as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Received {
    /// The body.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// Name of the event and what it is about: `package:publish {"version":"1.0.0"}`.
    pub fn line(&self) -> String {
        let json = self.json();
        format!("{} {}", json["event"].as_str().expect("an event"), json["change"])
    }

    /// Its id, which must be the same in header and body.
    pub fn id(&self) -> String {
        let id = self.headers["x-espejo-delivery"].clone();
        assert_eq!(self.json()["delivery"], id.as_str());
        id
    }
}

type Script = dyn Fn(&Received) -> Reply + Send + Sync;

struct State {
    received: Mutex<Vec<Received>>,
    script: Mutex<Arc<Script>>,
    release: Notify,
}

/// The receiver; ends with its value.
pub struct HookReceiver {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

impl Drop for HookReceiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl HookReceiver {
    /// One that takes everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            received: Mutex::default(),
            script: Mutex::new(Arc::new(|_| Reply::Status(200))),
            release: Notify::new(),
        });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, accepting }
    }

    /// Where deliveries go.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers as the script says from now on.
    pub fn answer(&self, script: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        *self.state.script.lock() = Arc::new(script);
    }

    /// Ends the silence of those that hang.
    pub fn let_go(&self) {
        self.state.release.notify_waiters();
    }

    /// Everything that came so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().clone()
    }

    /// Waits until so many came.
    pub async fn wait_for(&self, many: usize) -> Vec<Received> {
        until(&format!("{many} deliveries"), || async {
            let received = self.received();
            (received.len() >= many).then_some(received)
        })
        .await
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    while let Some(received) = read(&mut stream, &mut buffer).await {
        let script = Arc::clone(&state.script.lock());
        let reply = script(&received);
        let released = state.release.notified();
        state.received.lock().push(received);
        let text = match &reply {
            Reply::Status(code) => answer(*code, ""),
            Reply::With(code, name, value) => answer(*code, &format!("{name}: {value}\r\n")),
            Reply::Garbage => "\u{1}\u{2} this is no HTTP\r\n\r\n".to_owned(),
            Reply::HalfBody => "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf".to_owned(),
            Reply::Cut => return,
            Reply::Hang => {
                released.await;
                return;
            }
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        if matches!(reply, Reply::Garbage | Reply::HalfBody) {
            return;
        }
    }
}

fn answer(code: u16, header: &str) -> String {
    let body = format!("the receiver says {code}");
    format!("HTTP/1.1 {code} Word\r\n{header}content-length: {}\r\n\r\n{body}", body.len())
}

/// The next request of a connection.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).expect("a readable head");
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").expect("a length").parse().expect("a number");
    while buffer.len() < head_end + 4 + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[head_end + 4..head_end + 4 + length].to_vec();
    buffer.drain(..head_end + 4 + length);
    Some(Received { path, headers, body })
}
