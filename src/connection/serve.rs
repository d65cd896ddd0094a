//! From a listener to our routes: what actix-web's own server does, with [`Patient`] around every
//! connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use actix_web::web::{Data, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{App as WebApp, Error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::crowd::{Crowd, Place};
use super::open_files::room_for_connections;
use super::{Limits, Patient};
use crate::always_auth::AlwaysAuth;
use crate::app::App;
use crate::around::Around;
use crate::error::ApiError;

/// Idle connections are kept this long: longer than a package manager pauses while it unpacks.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Time to read the last of a request that was answered before its end.
const LINGER: Duration = Duration::from_secs(1);

/// Two slices of a body; see [`crate::views::body`].
const WRITE_BUFFER: usize = 128 << 10;

/// Threads for queries and cold reads, per worker.
const BLOCKING_THREADS: usize = 64;

/// What answers on a listener.
#[derive(Clone)]
pub struct Served {
    /// The server's state.
    pub app: Arc<App>,
    /// What goes around every request.
    pub around: fn(&Arc<App>) -> Rc<Around>,
    /// The URL table.
    pub routes: fn(&mut ServiceConfig),
    /// Whether reads need a token.
    pub needs_token: bool,
    /// Threads.
    pub workers: usize,
}

impl Served {
    /// Serves plain HTTP.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn tcp(self, listener: std::net::TcpListener) -> io::Result<Server> {
        let (builder, stopping) = self.builder();
        let served = self;
        let factory = move || {
            let (opening, crowd) = (served.clone(), Crowd::new(served.most_of_a_worker()));
            let open = move |stream: TcpStream| {
                let peer = without_delay(&stream);
                let patient = opening.patient(stream, crowd.enter(), cut);
                let opened = (patient, Protocol::Http1, peer);
                async move { Ok::<_, DispatchError>(opened) }
            };
            fn_service(open).and_then(served.http(stopping.clone()))
        };
        Ok(builder.listen("registry", listener, factory)?.run())
    }

    /// Serves HTTP over TLS.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn tls(
        self,
        listener: std::net::TcpListener,
        mut tls: rustls::ServerConfig,
    ) -> io::Result<Server> {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let (builder, stopping) = self.builder();
        let served = self;
        let factory = move || {
            let (acceptor, opening) = (acceptor.clone(), served.clone());
            let crowd = Crowd::new(served.most_of_a_worker());
            let open = move |stream: TcpStream| {
                tls_opened(opening.clone(), acceptor.clone(), stream, crowd.enter())
            };
            fn_service(open).and_then(served.http(stopping.clone()))
        };
        Ok(builder.listen("registry", listener, factory)?.run())
    }

    /// Serves plain HTTP on a socket of the file system.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn unix(self, listener: std::os::unix::net::UnixListener) -> io::Result<Server> {
        let (builder, stopping) = self.builder();
        let served = self;
        let factory = move || {
            let (opening, crowd) = (served.clone(), Crowd::new(served.most_of_a_worker()));
            let open = move |stream: UnixStream| {
                let patient = opening.patient(stream, crowd.enter(), |_| ());
                let opened = (patient, Protocol::Http1, None);
                async move { Ok::<_, DispatchError>(opened) }
            };
            fn_service(open).and_then(served.http(stopping.clone()))
        };
        Ok(builder.listen_uds("control", listener, factory)?.run())
    }

    fn builder(&self) -> (ServerBuilder, GracefulShutdownSignal) {
        let builder = Server::build()
            .workers(self.workers)
            .max_concurrent_connections(self.most_of_a_worker())
            .worker_max_blocking_threads(BLOCKING_THREADS)
            .shutdown_timeout(self.app.settings.stop_grace.as_secs())
            .disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        (builder, stopping)
    }

    /// Most connections of one worker.
    fn most_of_a_worker(&self) -> usize {
        let most = self.app.settings.most_connections.unwrap_or_else(room_for_connections);
        most.div_ceil(self.workers.max(1))
    }

    fn patient<S>(&self, stream: S, place: Place, cut: fn(&S)) -> Patient<S> {
        let settings = &self.app.settings;
        let limits = Limits { head: settings.headers_within, stall: settings.stalls_after };
        Patient::new(stream, place, limits, Arc::clone(&self.app.request_ids), cut)
    }

    /// The HTTP side; called once per worker.
    fn http<S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        stopping: GracefulShutdownSignal,
    ) -> impl ServiceFactory<
        (Patient<S>, Protocol, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<S> {
        let around = (self.around)(&self.app);
        let web = WebApp::new()
            .app_data(Data::from(Arc::clone(&self.app)))
            .app_data(QueryConfig::default().error_handler(|error, _| refused(&error)))
            .app_data(PathConfig::default().error_handler(|error, _| refused(&error)))
            .configure(self.routes)
            .wrap(AlwaysAuth(self.needs_token))
            .wrap_fn(move |request, next| Rc::clone(&around).call(request, next));
        let web = web.into_factory().map_err(|error: Error| error.error_response());
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(self.app.settings.headers_within)
            .client_disconnect_timeout(LINGER)
            .h1_write_buffer_size(WRITE_BUFFER)
            .on_connect_ext(|stream: &Patient<S>, data| {
                data.insert(stream.heard());
            })
            .finish(map_config(web, |()| AppConfig::default()))
    }
}

type Opened<S> = (Patient<S>, Protocol, Option<SocketAddr>);

fn tls_opened(
    served: Served,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    place: Place,
) -> impl Future<Output = Result<Opened<tokio_rustls::server::TlsStream<TcpStream>>, DispatchError>>
{
    let peer = without_delay(&stream);
    let within = served.app.settings.headers_within;
    async move {
        let accepted = tokio::time::timeout(within, acceptor.accept(stream)).await;
        let stream = accepted.map_err(io::Error::from).flatten().map_err(DispatchError::Io)?;
        let patient = served.patient(stream, place, |stream| cut(stream.get_ref().0));
        Ok((patient, Protocol::Http1, peer))
    }
}

/// Answers leave at once; a connection that is gone already shows it when it is read.
fn without_delay(stream: &TcpStream) -> Option<SocketAddr> {
    let _ = stream.set_nodelay(true);
    stream.peer_addr().ok()
}

/// What was not taken yet is thrown away, instead of waiting in the kernel for a client that is
/// not going to take it.
fn cut(stream: &TcpStream) {
    // a connection that is gone has nothing to throw away
    let _ = stream.set_zero_linger();
}

/// What an extractor refuses gets the common envelope.
fn refused(error: &impl std::fmt::Display) -> Error {
    ApiError::Invalid(error.to_string()).into()
}
