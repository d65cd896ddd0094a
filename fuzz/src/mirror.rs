//! A whole mirror on loopback, without an upstream, that lives as long as the process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use actors::upstream::UpstreamSettings;
use actors::{Engine, EngineSettings};
use espejo::admin_token::Token;
use espejo::app::{OnMiss, ServeSettings};
use espejo::server;
use store::tokens::TokenLimits;
use store::{BlobSettings, DatabaseSettings, Store, StoreSettings, WriteFn, tokens, users};
use tokio::sync::oneshot;

use crate::checks::requests::Tokens;

/// Where requests go.
#[derive(Debug)]
pub struct Mirror {
    address: SocketAddr,
    tokens: Tokens,
}

impl Mirror {
    /// Starts it on a thread of its own.
    pub fn start() -> Self {
        let (ready, started) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("threads");
            runtime.block_on(serve(ready));
        });
        started.recv().expect("a mirror that starts")
    }

    /// Of its accounts.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// What comes back on a connection of its own; nothing when the mirror stays silent.
    pub fn answer(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).expect("the mirror listens");
        let limit = Some(Duration::from_secs(5));
        stream.set_read_timeout(limit).and_then(|()| stream.set_write_timeout(limit)).expect("set");
        // the mirror may answer and close before it has read everything
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }
}

async fn serve(ready: mpsc::Sender<Mirror>) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let settings = StoreSettings {
        database: DatabaseSettings::Sqlite { path: folder.path().join("fuzz.db") },
        blobs: BlobSettings::Local { folder: folder.path().join("blobs"), segment_bytes: 4 << 20 },
    };
    let store = tokio::task::spawn_blocking(move || Store::open_blocking(&settings));
    let store = store.await.expect("no panic").expect("a store");
    let url = "http://127.0.0.1:9/".parse().expect("an address");
    let mut upstream = UpstreamSettings::new("default", url);
    upstream.offline = true;
    let engine = EngineSettings { upstream: Some(upstream), ..EngineSettings::default() };
    let engine = Engine::start(engine, store).await.expect("an engine");
    let (admin, user) =
        (account(&engine, "root", true).await, account(&engine, "ada", false).await);
    let serving = ServeSettings {
        on_miss: OnMiss::None,
        registration_open: true,
        sync_per_minute: 0,
        login_per_minute: 0,
        token_per_minute: 0,
        ..ServeSettings::default()
    };
    let (running, run) = oneshot::channel();
    let served = tokio::spawn(server::run(serving, engine, running));
    let address = run.await.expect("a server that starts").listen;
    ready.send(Mirror { address, tokens: Tokens { admin, user } }).expect("somebody waits");
    served.await.expect("no panic").expect("a server");
}

async fn account(engine: &Engine, name: &str, admin: bool) -> String {
    let token = Token::generate().expect("random bytes");
    let row = token.row(name, TokenLimits::default());
    let write: WriteFn = Box::new(move |connection| {
        users::ensure(connection, &row.user, admin)?;
        tokens::create(connection, &row)?;
        Ok(())
    });
    engine.handle().write(write).await.expect("a writable store");
    token.text().to_owned()
}
