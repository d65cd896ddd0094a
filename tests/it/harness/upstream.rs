//! A scripted npm registry on loopback: what it holds, how it fails, what it was asked.
//!
//! It runs on a thread and runtime of its own, so a busy test never slows it down. Wire details
//! are in [`super::upstream_http`].

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::package::{Package, gzip};
use super::upstream_http;

/// Where the signing keys are.
pub const KEYS_PATH: &str = "/-/npm/v1/keys";

/// How an answer differs from the page that is held.
#[derive(Clone)]
pub enum Fault {
    /// Another answer altogether.
    Answer { status: u16, headers: Vec<(String, String)>, body: Bytes },
    /// The right length is announced, the connection closed after so many bytes of the body.
    Cut { after: usize },
    /// So many bytes of the body, then silence with an open connection.
    Stall { after: usize },
    /// The usual answer: in front of other faults of the path.
    Pass,
    /// The usual answer, but not before the gate is opened.
    Wait(watch::Receiver<bool>),
    /// These bytes on the connection, head included, then the end.
    Raw(Bytes),
    /// The usual answer, 1 KiB at a time with a pause between.
    Drip { pause: Duration },
}

/// What one request looked like.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Percent-decoded, without the query.
    pub path: String,
    pub raw_path: String,
    /// Behind the question mark; empty without one.
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Asked {
    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Something the upstream holds under a path.
#[derive(Clone)]
pub(super) struct Page {
    pub body: Bytes,
    pub gzipped: Option<Bytes>,
    pub content_type: &'static str,
    pub etag: Option<String>,
}

type Hook = Box<dyn FnMut(usize, &Asked) + Send>;

/// Makes the answer to a query: status and body.
pub(super) type Responder = Arc<dyn Fn(&str) -> (u16, Bytes) + Send + Sync>;

#[derive(Default)]
pub(super) struct State {
    pub pages: HashMap<String, Page>,
    pub responders: HashMap<String, Responder>,
    pub faults: HashMap<String, VecDeque<(Fault, usize)>>,
    pub asked: Vec<Asked>,
    pub open_connections: usize,
    /// Called with the number of requests so far and the newest one, before each answer.
    pub hook: Option<Hook>,
}

pub(super) struct Shared {
    pub state: Mutex<State>,
    pub changed: watch::Sender<usize>,
}

/// The scripted registry; it ends with its value.
pub struct FakeUpstream {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeUpstream {
    /// Starts an empty registry on a free port.
    pub fn start() -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: watch::Sender::new(0) });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || upstream_http::run(listener, serving, stopped));
        Self { shared, address, stop: Some(stop), thread: Some(thread) }
    }

    /// The base address, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts a package here, in place of what stood under its name: document and archives.
    pub fn publish(&self, package: &Package) {
        self.publish_document(&package.name, package.document(&self.url()));
        for version in &package.versions {
            let path = format!("/{}/-/{}", package.name, version.file);
            self.put_tarball(&path, version.tarball.clone());
        }
    }

    /// Puts a document under a name, whatever it is.
    pub fn publish_document(&self, name: &str, body: Vec<u8>) {
        let etag = format!("W/\"{}\"", blake3::hash(&body).to_hex());
        self.publish_document_with_etag(name, body, Some(etag));
    }

    /// Puts a document under a name with this validator (none: never 304).
    pub fn publish_document_with_etag(&self, name: &str, body: Vec<u8>, etag: Option<String>) {
        let gzipped = Some(Bytes::from(gzip(&body)));
        let page =
            Page { body: Bytes::from(body), gzipped, content_type: "application/json", etag };
        self.shared.state.lock().pages.insert(format!("/{name}"), page);
    }

    /// Puts bytes under the path of an archive.
    pub fn put_tarball(&self, path: &str, body: impl Into<Bytes>) {
        let content_type = "application/octet-stream";
        let page = Page { body: body.into(), gzipped: None, content_type, etag: None };
        self.shared.state.lock().pages.insert(path.to_owned(), page);
    }

    /// Gives an archive a strong validator; parts of it can be asked for from now on.
    pub fn tag(&self, path: &str, etag: &str) {
        let mut state = self.shared.state.lock();
        let page = state.pages.get_mut(path).expect("an archive under this path");
        page.etag = Some(etag.to_owned());
    }

    /// Puts a JSON answer under a path.
    pub fn put_json(&self, path: &str, body: &serde_json::Value) {
        let body = Bytes::from(serde_json::to_vec(body).expect("JSON"));
        let page = Page { body, gzipped: None, content_type: "application/json", etag: None };
        self.shared.state.lock().pages.insert(path.to_owned(), page);
    }

    /// Answers requests of a path by what their query says.
    pub fn respond(
        &self,
        path: &str,
        responder: impl Fn(&str) -> (u16, Bytes) + Send + Sync + 'static,
    ) {
        self.shared.state.lock().responders.insert(path.to_owned(), Arc::new(responder));
    }

    /// Forgets what is under a path: 404 from now on.
    pub fn remove(&self, path: &str) {
        self.shared.state.lock().pages.remove(path);
    }

    /// The next `times` requests of a path meet this fault; faults of one path queue up.
    pub fn fault(&self, path: &str, fault: Fault, times: usize) {
        let mut state = self.shared.state.lock();
        state.faults.entry(path.to_owned()).or_default().push_back((fault, times));
    }

    /// All further requests of a path meet this fault.
    pub fn always(&self, path: &str, fault: Fault) {
        self.fault(path, fault, usize::MAX);
    }

    /// Takes the faults of a path away.
    pub fn heal(&self, path: &str) {
        self.shared.state.lock().faults.remove(path);
    }

    /// The next `times` requests of a path are answered with this status.
    pub fn fail(&self, path: &str, status: u16, times: usize) {
        self.fault(path, Fault::status(status), times);
    }

    /// 429 with this `Retry-After`.
    pub fn throttle(&self, path: &str, retry_after: &str, times: usize) {
        let headers = vec![("retry-after".to_owned(), retry_after.to_owned())];
        self.fault(path, Fault::Answer { status: 429, headers, body: Bytes::new() }, times);
    }

    /// 302 to another address.
    pub fn redirect(&self, path: &str, to: &str) {
        let headers = vec![("location".to_owned(), to.to_owned())];
        self.always(path, Fault::Answer { status: 302, headers, body: Bytes::new() });
    }

    /// Requests of a path wait until the returned sender says `true` or is dropped.
    pub fn gate(&self, path: &str) -> watch::Sender<bool> {
        let (open, gate) = watch::channel(false);
        self.always(path, Fault::Wait(gate));
        open
    }

    /// Calls `hook` with the number of requests so far and the newest one before each answer.
    pub fn on_request(&self, hook: impl FnMut(usize, &Asked) + Send + 'static) {
        self.shared.state.lock().hook = Some(Box::new(hook));
    }

    /// A header of every request of a path, in order.
    pub fn headers(&self, path: &str, header: &str) -> Vec<Option<String>> {
        let asked = self.asked();
        let asked = asked.iter().filter(|asked| asked.path == path);
        asked.map(|asked| asked.header(header).map(str::to_owned)).collect()
    }

    /// How often a path (percent-decoded) was asked.
    pub fn count(&self, path: &str) -> usize {
        self.shared.state.lock().asked.iter().filter(|asked| asked.path == path).count()
    }

    /// Every request so far, but for the signing keys: they are asked for once, by whoever
    /// comes first.
    pub fn asked(&self) -> Vec<Asked> {
        let state = self.shared.state.lock();
        state.asked.iter().filter(|asked| asked.path != KEYS_PATH).cloned().collect()
    }

    /// Forgets what was asked.
    pub fn forget_asked(&self) {
        self.shared.state.lock().asked.clear();
    }

    /// Waits until a path was asked `times` times.
    pub async fn wait_for(&self, path: &str, times: usize) {
        let mut changed = self.shared.changed.subscribe();
        let reached = async {
            while self.count(path) < times {
                changed.changed().await.expect("the upstream runs as long as its value");
            }
        };
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, reached).await.unwrap_or_else(|_| {
            panic!("{path} was asked {} times in {limit:?}, not {times}", self.count(path))
        });
    }

    /// Stops listening and cuts every connection: unreachable from now on.
    pub fn go_down(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the fake upstream does not panic");
        }
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.go_down();
    }
}

impl Fault {
    /// An answer with this status and a short text.
    pub fn status(status: u16) -> Self {
        let body = Bytes::from(format!("{{\"error\":\"scripted {status}\"}}"));
        Self::Answer { status, headers: Vec::new(), body }
    }

    /// 200 with this body in place of the page.
    pub fn body(content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self::Answer { status: 200, headers, body: body.into() }
    }

    /// 200 with a web page, as a captive portal answers.
    pub fn html() -> Self {
        Self::body("text/html", "<!doctype html><title>Sign in</title>")
    }
}
