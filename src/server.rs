//! Starts and stops the server: listeners, workers, signals, order of the end.
//!
//! Stopping: not ready, no new connections, running requests finish, then the engine hands
//! its work back; all of it within `stop_grace`. A second signal ends everything at once, as
//! a killed process would, which loses nothing that was acknowledged.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::{Server, ServerHandle};
use actors::Engine;
use futures_util::future::join_all;
use tokio::net::TcpSocket;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::app::{App, ServeSettings};
use crate::around::Around;
use crate::connection::serve::Served;
use crate::control::socket::ControlSocket;
use crate::hook_payloads;
use crate::routes;
use crate::tls::{self, TlsError};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Why the server did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another process listens there.
    #[error("cannot listen on {address}: the port is taken")]
    PortTaken {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The control socket cannot be made.
    #[error("cannot make the control socket {}: {source}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Threads or signal handlers cannot be had.
    #[error("the server cannot run: {0}")]
    Run(#[from] io::Error),
}

/// A server that accepts connections.
#[derive(Debug)]
pub struct Running {
    /// Address of the registry, with the real port.
    pub listen: SocketAddr,
    /// Address of the ops listener, when it is on.
    pub ops_listen: Option<SocketAddr>,
    /// Warnings for people.
    pub notes: Vec<String>,
    /// The way to stop it.
    pub stop: StopHandle,
}

/// Stops a server: once in order, twice at once.
#[derive(Debug, Clone)]
pub struct StopHandle(watch::Sender<u32>);

impl StopHandle {
    /// Like a SIGTERM.
    pub fn stop(&self) {
        self.0.send_modify(|asked| *asked = asked.saturating_add(1));
    }
}

/// Everything that listens.
struct Listeners {
    registry: TcpListener,
    ops: Option<TcpListener>,
    control: Option<(ControlSocket, std::os::unix::net::UnixListener)>,
    tls: Option<rustls::ServerConfig>,
    notes: Vec<String>,
}

/// Serves until it is told to stop, then shuts the engine down.
///
/// # Errors
/// When it cannot start. The engine is shut down then, too.
pub async fn run(
    settings: ServeSettings,
    engine: Engine,
    ready: oneshot::Sender<Running>,
) -> Result<(), ServeError> {
    let grace = settings.stop_grace;
    let stop = StopHandle(watch::Sender::new(0));
    let asked = stop.0.subscribe();
    match start(settings, &engine, &stop, ready) {
        Ok(serving) => serving.until_stopped(engine, asked, grace).await,
        Err(error) => {
            engine.shutdown(grace).await;
            Err(error)
        }
    }
}

struct Serving {
    app: Arc<App>,
    handles: Vec<ServerHandle>,
    servers: JoinSet<io::Result<()>>,
    _control: Option<ControlSocket>,
}

fn start(
    settings: ServeSettings,
    engine: &Engine,
    stop: &StopHandle,
    ready: oneshot::Sender<Running>,
) -> Result<Serving, ServeError> {
    if settings.handle_signals {
        follow_signals(stop.clone())?;
    }
    let listeners = listen(&settings)?;
    let address = |listener: &TcpListener| listener.local_addr();
    let listen = address(&listeners.registry)?;
    let ops_listen = listeners.ops.as_ref().map(address).transpose()?;
    let app = App::start(settings, engine.handle(), listen, ops_listen, stop.0.clone())?;
    let (control, control_listener) = listeners.control.unzip();
    let mut running = vec![registry_server(&app, listeners.registry, listeners.tls)?];
    if let Some(listener) = listeners.ops {
        running.push(ops_server(&app, listener)?);
    }
    if let Some(listener) = control_listener {
        running.push(control_server(&app, listener)?);
    }
    let handles = running.iter().map(Server::handle).collect();
    let mut servers = JoinSet::new();
    for server in running {
        servers.spawn(server);
    }
    let (engine, payloads) = (engine.handle(), hook_payloads::source(&app));
    // fails only when the engine is being stopped
    tokio::spawn(async move { engine.deliver_hooks(payloads).await });
    app.set_ready(true);
    // Nobody waiting for the news is no reason not to serve.
    let _ = ready.send(Running { listen, ops_listen, notes: listeners.notes, stop: stop.clone() });
    Ok(Serving { app, handles, servers, _control: control })
}

impl Serving {
    async fn until_stopped(
        mut self,
        engine: Engine,
        mut asked: watch::Receiver<u32>,
        grace: Duration,
    ) -> Result<(), ServeError> {
        let ended = tokio::select! {
            Some(ended) = self.servers.join_next() => ended.unwrap_or_else(|e| Err(e.into())),
            _ = asked.wait_for(|times| *times > 0) => Ok(()),
        };
        self.app.begin_stopping();
        let until = Instant::now() + grace;
        let in_order = async {
            join_all(self.handles.iter().map(|handle| handle.stop(true))).await;
            self.app.accounts.write_uses().await;
            self.app.accounts.write_refusals().await;
            self.app.downloads.write().await;
            if let Some(search) = &self.app.search {
                search.closed().await;
            }
            engine.shutdown(until.saturating_duration_since(Instant::now())).await;
        };
        tokio::select! {
            () = in_order => {}
            _ = asked.wait_for(|times| *times > 1) => {
                for handle in &self.handles {
                    drop(handle.stop(false));
                }
            }
        }
        Ok(ended?)
    }
}

fn listen(settings: &ServeSettings) -> Result<Listeners, ServeError> {
    let tls = match &settings.tls {
        Some((certificate, key)) => Some(tls::server_config(certificate, key)?),
        None => None,
    };
    let registry = bind(settings.listen)?;
    let mut notes = Vec::new();
    let ops = settings.ops_listen.and_then(|address| match bind(address) {
        Ok(listener) => Some(listener),
        Err(error) => {
            notes.push(format!("{error}; /livez, /readyz and /metrics are under /-/ only"));
            None
        }
    });
    let control = settings.control_socket.as_ref().map(|path| {
        ControlSocket::bind(path)
            .map_err(|source| ServeError::Socket { path: path.clone(), source })
    });
    Ok(Listeners { registry, ops, control: control.transpose()?, tls, notes })
}

fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    bound().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortTaken { address },
        _ => ServeError::Listen { address, source },
    })
}

fn registry_server(
    app: &Arc<App>,
    listener: TcpListener,
    tls: Option<rustls::ServerConfig>,
) -> io::Result<Server> {
    let workers = app.settings.workers.max(1);
    let needs_token = app.settings.always_auth;
    let (around, routes) = (Around::registry, routes::registry);
    let served = Served { app: Arc::clone(app), around, routes, needs_token, workers };
    match tls {
        Some(tls) => served.tls(listener, tls),
        None => served.tcp(listener),
    }
}

fn ops_server(app: &Arc<App>, listener: TcpListener) -> io::Result<Server> {
    let (around, routes) = (Around::registry, routes::ops);
    let served = Served { app: Arc::clone(app), around, routes, needs_token: false, workers: 1 };
    served.tcp(listener)
}

fn control_server(
    app: &Arc<App>,
    listener: std::os::unix::net::UnixListener,
) -> io::Result<Server> {
    let (around, routes) = (Around::owner, routes::owner);
    let served = Served { app: Arc::clone(app), around, routes, needs_token: false, workers: 1 };
    served.unix(listener)
}

fn follow_signals(stop: StopHandle) -> io::Result<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = terminate.recv() => {}
                Some(()) = interrupt.recv() => {}
                else => return,
            }
            stop.stop();
        }
    });
    Ok(())
}
