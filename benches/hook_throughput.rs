//! How many deliveries a second a receiver on this machine gets from a whole mirror, and what a long
//! outbox costs memory.
//!
//! `cargo bench --bench hook_throughput`; with `--test` one short run that must succeed. Deliveries
//! carry real documents (200 packages of a few KB), are signed, and are written down with what the
//! receiver answered. A million of them are queued first, of which some seconds' worth is delivered.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actors::{Engine, EngineHandle, EngineSettings};
use bytes::Bytes;
use espejo::app::ServeSettings;
use espejo::server;
use npm::{HookEvent, HookKind, PackageName, Sha512Digest};
use store::audit::By;
use store::hooks::outbox::{self, PackageNews};
use store::hooks::{HookSecret, Made, NewHook};
use store::{
    BlobSettings, DatabaseSettings, DocumentChange, DocumentEncoding, PackageChange, PackageStatus,
    Store, StoreSettings, users,
};
use tokio::sync::oneshot;

const PACKAGES: usize = 200;
/// Deliveries that one write queues.
const AT_ONCE: usize = 2_000;
/// What the mirror must reach.
const LEAST_A_SECOND: f64 = 2_000.0;
/// What memory may grow by while a long outbox is worked on.
const MOST_GROWTH_MIB: f64 = 64.0;

struct Sizes {
    queued: usize,
    measured: Duration,
    warm: u64,
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let sizes = match is_test {
        true => Sizes { queued: 4_000, measured: Duration::from_secs(1), warm: 200 },
        false => Sizes { queued: 1_000_000, measured: Duration::from_secs(20), warm: 5_000 },
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    let (rate, grown) = runtime.block_on(Box::pin(run(&sizes)));
    println!("{rate:.0} deliveries/s, memory grew by {grown:.1} MiB with {} queued", sizes.queued);
    // a debug build on a busy machine proves that it works, not how fast
    if !is_test && (rate < LEAST_A_SECOND || grown > MOST_GROWTH_MIB) {
        println!("at least {LEAST_A_SECOND} a second and at most {MOST_GROWTH_MIB} MiB are wanted");
        exit(1);
    }
}

async fn run(sizes: &Sizes) -> (f64, f64) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let settings = StoreSettings {
        database: DatabaseSettings::Sqlite { path: folder.path().join("espejo.db") },
        blobs: BlobSettings::Local { folder: folder.path().join("blobs"), segment_bytes: 64 << 20 },
    };
    let store = Store::open_blocking(&settings).expect("a store");
    let mut engine = EngineSettings { data_folder: None, ..EngineSettings::default() };
    engine.hooks.allow_private = vec!["127.0.0.0/8".parse().expect("a range")];
    let engine = Engine::start(engine, store).await.expect("an engine");
    let handle = engine.handle();
    let names: Vec<PackageName> = (0..PACKAGES)
        .map(|number| PackageName::parse(&format!("@bench/p{number}")).expect("a name"))
        .collect();
    for name in &names {
        commit(&handle, name).await;
    }
    let (address, received) = receiver();
    // nothing is delivered before there is a server to make documents
    queue(&handle, address, &names, sizes.queued).await;
    let (ready, running) = oneshot::channel();
    let serving = tokio::spawn(server::run(ServeSettings::default(), engine, ready));
    let running = running.await.expect("a server that starts");
    while received.load(Ordering::Relaxed) < sizes.warm {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (began, before, memory) =
        (Instant::now(), received.load(Ordering::Relaxed), resident_mib());
    while began.elapsed() < sizes.measured
        && received.load(Ordering::Relaxed) < u64::try_from(sizes.queued).expect("a number")
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let delivered = received.load(Ordering::Relaxed) - before;
    let grown = resident_mib() - memory;
    assert!(delivered > 0, "nothing was delivered");
    running.stop.stop();
    serving.await.expect("no panic").expect("a server that ends in order");
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = delivered as f64 / seconds;
    (rate, grown)
}

/// A package with a document of some KB.
async fn commit(engine: &EngineHandle, name: &PackageName) {
    let versions: Vec<String> = (0..8)
        .map(|minor| {
            format!(
                "\"1.{minor}.0\":{{\"name\":\"{name}\",\"version\":\"1.{minor}.0\",\
                 \"description\":\"{}\",\"dist\":{{\"tarball\":\"http://x/{name}.tgz\"}}}}",
                "of a bench ".repeat(20)
            )
        })
        .collect();
    let body = format!(
        "{{\"name\":\"{name}\",\"dist-tags\":{{\"latest\":\"1.7.0\"}},\"versions\":{{{}}}}}",
        versions.join(",")
    );
    let digest = Sha512Digest::of(body.as_bytes());
    let length = i64::try_from(body.len()).expect("a length");
    let location = engine.store().blobs().put(digest, Bytes::from(body)).await.expect("a blob");
    let document = DocumentChange {
        digest,
        location,
        encoding: DocumentEncoding::Identity,
        stored_bytes: length,
        body_bytes: length,
        upstream_rev: None,
        added_version: None,
        dist_tags: vec![("latest".to_owned(), "1.7.0".to_owned())],
        modified: None,
        status: PackageStatus::Live,
    };
    let change = PackageChange {
        document: Some(document),
        blobs: vec![(digest, location)],
        checked_at_ms: i64::MAX / 2,
        ..PackageChange::new(name.clone(), "sync")
    };
    engine.commit(change).await.expect("a commit");
}

async fn queue(
    engine: &EngineHandle,
    receiver: SocketAddr,
    names: &[PackageName],
    deliveries: usize,
) {
    engine.write(Box::new(|rows| users::ensure(rows, "ada", false))).await.expect("a user");
    let new = NewHook {
        owner: "ada".to_owned(),
        kind: HookKind::Scope,
        name: "@bench".to_owned(),
        endpoint: format!("http://{receiver}/in"),
        secret: HookSecret("of a bench".to_owned()),
    };
    let made = engine.create_hook(new, 20, By::terminal("bench")).await.expect("a hook");
    assert!(matches!(made, Made::Hook(_)));
    let interests = engine.store().hooks().current();
    let names: Arc<[PackageName]> = names.into();
    for first in (0..deliveries).step_by(AT_ONCE) {
        let (names, interests) = (Arc::clone(&names), Arc::clone(&interests));
        let write = Box::new(move |rows: &mut _| {
            let event = [HookEvent::publish("1.7.0", Some("latest"))];
            let of = |number: usize| PackageNews {
                name: &names[number % names.len()],
                owners: &[],
                events: &event,
            };
            let last = (first + AT_ONCE).min(deliveries);
            let news: Vec<_> = (first..last).map(of).collect();
            outbox::queue(rows, &interests, &news).map(drop)
        });
        engine.write(write).await.expect("an outbox");
    }
}

/// A receiver on threads of its own that counts what it answers with 200.
fn receiver() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let received = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&received);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counter = Arc::clone(&counter);
            std::thread::spawn(move || answer_all(stream, &counter));
        }
    });
    (address, received)
}

fn answer_all(mut stream: TcpStream, received: &AtomicU64) {
    let mut buffer = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        let whole = buffer.windows(4).position(|window| window == b"\r\n\r\n").and_then(|end| {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?;
            Some(end + 4 + length.parse::<usize>().ok()?)
        });
        match whole.filter(|whole| buffer.len() >= *whole) {
            Some(whole) => {
                buffer.drain(..whole);
                received.fetch_add(1, Ordering::Relaxed);
                if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                    return;
                }
            }
            None => match stream.read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(read) => buffer.extend_from_slice(&piece[..read]),
            },
        }
    }
}

/// Memory of this process, in MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    let kib: f64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib / 1024.0
}
