//! What may stand between a mirror and its upstream: a proxy, and a front that speaks TLS.
//!
//! Each runs on a thread of its own, so that a test may wait for a child process meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Accepts connections on loopback until it is dropped.
struct Listening {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    fn start<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (stop, stopped) = oneshot::channel::<()>();
        let run = async move {
            listener.set_nonblocking(true).expect("a socket");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a bound socket");
            let accepting = async {
                while let Ok((stream, _)) = listener.accept().await {
                    // A side that goes away is nothing to report.
                    tokio::spawn(serve(stream));
                }
            };
            tokio::select! { () = accepting => {} _ = stopped => {} }
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(run);
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic between mirror and upstream");
        }
    }
}

/// An HTTP proxy: `CONNECT`, and requests with a whole address.
pub struct Proxy {
    listening: Listening,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts it.
    pub fn start() -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        Self { listening: Listening::start(move |stream| forward(stream, seen.clone())), heads }
    }

    /// Its address with these credentials in it, empty for none.
    pub fn url(&self, credentials: &str) -> String {
        let at = if credentials.is_empty() { "" } else { "@" };
        format!("http://{credentials}{at}{}", self.listening.address)
    }

    /// The first request head of every connection.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }
}

async fn forward(mut client: TcpStream, heads: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    heads.lock().push(text.clone());
    let target = text.split(' ').nth(1).unwrap_or_default();
    let authority = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let mut upstream = TcpStream::connect(authority).await?;
    if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    } else {
        upstream.write_all(&head).await?;
    }
    copy_bidirectional(&mut client, &mut upstream).await.map(drop)
}

/// TLS in front of a plain upstream, with a certificate of an authority made for it.
pub struct TlsFront {
    listening: Listening,
    /// The authority's certificate, PEM.
    pub ca_pem: String,
}

impl TlsFront {
    /// Starts it in front of the upstream at `behind`, an `http` base address.
    pub fn start(behind: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let ca_pem = params.self_signed(&key).expect("an authority").pem();
        let authority = rcgen::Issuer::new(params, key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let leaf = leaf.signed_by(&key, &authority).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![leaf.der().clone()], key).expect("TLS");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let behind = behind.trim_start_matches("http://").to_owned();
        let listening = Listening::start(move |stream| {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            async move {
                let mut client = acceptor.accept(stream).await?;
                let mut upstream = TcpStream::connect(behind).await?;
                copy_bidirectional(&mut client, &mut upstream).await.map(drop)
            }
        });
        Self { listening, ca_pem }
    }

    /// Its base address, without a trailing slash.
    pub fn url(&self) -> String {
        format!("https://{}", self.listening.address)
    }
}
