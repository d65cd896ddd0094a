//! A simulated upstream registry on loopback, for `espejo bench` and the benches.
//!
//! Serves generated packages from memory: documents with `ETag` and ready-made gzip, tarballs as
//! they are. Nothing survives it. It runs on its own thread, so that it can stand beside an
//! engine in one process; for clean figures of CPU `espejo bench` gives it a process of its own.

pub mod corpus;
pub mod random;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    http::header::{self, HeaderName},
    rt::System,
    web,
};

pub use self::corpus::{Corpus, CorpusSettings, package_names};

/// A running simulated upstream; stops when dropped.
pub struct SimulatedUpstream {
    address: SocketAddr,
    corpus: Arc<Corpus>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl SimulatedUpstream {
    /// Generates the packages and serves them on a free loopback port.
    ///
    /// # Errors
    /// When no port can be had or the server does not start.
    pub fn start(settings: CorpusSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let corpus = Arc::new(Corpus::generate(settings, &format!("http://{address}"))?);
        let served = Arc::clone(&corpus);
        let (started, starts) = mpsc::channel();
        let thread =
            std::thread::Builder::new().name("simulated upstream".into()).spawn(move || {
                System::new().block_on(async move {
                    match server(listener, served) {
                        Ok(server) => {
                            // The receiver waits below.
                            let _ = started.send(Ok(server.handle()));
                            if let Err(error) = server.await {
                                tracing::warn!(%error, "the simulated upstream ended");
                            }
                        }
                        Err(error) => {
                            let _ = started.send(Err(error));
                        }
                    }
                });
            })?;
        let handle = starts.recv().map_err(io::Error::other)??;
        Ok(Self { address, corpus, handle, thread: Some(thread) })
    }

    /// Its address as an upstream: `http://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What it serves.
    #[must_use]
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }
}

impl Drop for SimulatedUpstream {
    fn drop(&mut self) {
        // Sends the stop at once; only its completion would have to be awaited.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn server(listener: TcpListener, corpus: Arc<Corpus>) -> io::Result<actix_web::dev::Server> {
    let corpus = web::Data::from(corpus);
    let app = move || App::new().app_data(corpus.clone()).default_service(web::to(serve));
    Ok(HttpServer::new(app).workers(1).disable_signals().listen(listener)?.run())
}

async fn serve(request: HttpRequest, corpus: web::Data<Corpus>) -> HttpResponse {
    let path = request.uri().path().trim_start_matches('/');
    let found = corpus.served.get(path).or_else(|| {
        // `@scope/name` is the same document as `@scope%2fname`.
        corpus.served.get(&path.replacen('/', "%2f", 1).replacen("%2F", "%2f", 1))
    });
    let Some(served) = found else {
        return HttpResponse::NotFound().json(serde_json::json!({ "error": "not_found" }));
    };
    let has = |name: HeaderName, part: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.contains(part))
    };
    let etag = (header::ETAG, served.etag.as_str());
    if has(header::IF_NONE_MATCH, &served.etag) {
        return HttpResponse::NotModified().insert_header(etag).finish();
    }
    let mut response = HttpResponse::Ok();
    response.insert_header(etag);
    match &served.gzip {
        Some(gzip) => {
            response.insert_header((header::CONTENT_TYPE, "application/json"));
            response.insert_header((header::VARY, "accept-encoding"));
            if has(header::ACCEPT_ENCODING, "gzip") {
                response.insert_header((header::CONTENT_ENCODING, "gzip"));
                return response.body(gzip.clone());
            }
        }
        None => {
            response.insert_header((header::CONTENT_TYPE, "application/octet-stream"));
        }
    }
    response.body(served.body.clone())
}

#[cfg(test)]
mod tests;
