//! What accounts cost readers: packuments with a token against packuments without one, and small
//! reads while fifty people log in at once.
//!
//! `cargo bench --bench accounts`; with `--test` one short run that must succeed. Both servers are
//! the real program on this machine; the parts of the first figure take turns, and the median of
//! their ratios counts, because a machine is never quite at rest.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio, exit};
use std::time::{Duration, Instant};

use espejo::cli::bench::load::{self, Request};
use espejo::simulated::{CorpusSettings, SimulatedUpstream, package_names};

/// Reads with a token reach at least this share of those without.
const LEAST_SHARE: f64 = 0.9;
/// Small reads stay below this while people log in.
const MOST_P99_MS: f64 = 20.0;
const PASSWORD: &str = "correct horse";
const DOCUMENTS: usize = 20;

struct Sizes {
    rounds: usize,
    part: Duration,
    connections: usize,
    logins: usize,
}

/// A running mirror; killed with its value.
struct Mirror {
    child: Child,
    address: SocketAddr,
}

impl Mirror {
    fn start(data: &Path, upstream: &str, always_auth: bool) -> Self {
        let mut child = espejo(data)
            .args(["--json", "serve", "--no-discovery", "--listen", "127.0.0.1:0"])
            .args(["--upstream", upstream])
            .env("ESPEJO_OPS_LISTEN", "")
            .env("ESPEJO_LIMITS__LOGIN_PER_MINUTE", "0")
            .env("ESPEJO_SECURITY__ALWAYS_AUTH", always_auth.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ready = lines.next().expect("a line").expect("a line");
        let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
        let listen = ready["listen"].as_str().expect("an address");
        Self { child, address: listen.parse().expect("an address") }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // an error means that it ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn espejo(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_espejo"));
    command.arg("--data").arg(data).args(["--config", "/dev/null"]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Makes the account that everybody uses, and a token of it.
fn account(folder: &Path, data: &Path) -> String {
    let file = folder.join("password");
    std::fs::write(&file, PASSWORD).expect("a file");
    let mut add = espejo(data);
    add.args(["user", "add", "ada", "--password-file"]).arg(file).stdout(Stdio::null());
    assert!(add.status().expect("the program starts").success());
    let made = espejo(data).args(["token", "create", "ada"]).stdin(Stdio::null()).output();
    let made = made.expect("the program starts");
    String::from_utf8(made.stdout).expect("a text").trim().to_owned()
}

/// Requests for documents that are here already.
fn documents(address: SocketAddr, names: &[String], token: Option<&str>) -> Vec<Request> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("accept", "application/json"), ("accept-encoding", "gzip")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    let request = |name: &String| {
        Request::get(address, &format!("/{}", name.replace('/', "%2f")), &headers, 200)
    };
    let requests: Vec<Request> = names.iter().map(request).collect();
    for request in &requests {
        let (status, ..) = load::ask_once(address, request, "etag").expect("an answer");
        assert_eq!(status, 200);
    }
    requests
}

/// Answers a second with a token, as a share of those without.
fn share(
    sizes: &Sizes,
    open: &[Request],
    at: SocketAddr,
    closed: &[Request],
    by: SocketAddr,
) -> f64 {
    let mut shares = Vec::with_capacity(sizes.rounds);
    for round in 0..sizes.rounds {
        let without = load::run(at, open, sizes.connections, sizes.part);
        let with = load::run(by, closed, sizes.connections, sizes.part);
        assert_eq!((without.errors, with.errors), (0, 0));
        let (without, with) = (without.per_second(), with.per_second());
        println!("round {round}: {without:.0}/s without a token, {with:.0}/s with one");
        shares.push(with / without);
    }
    shares.sort_by(f64::total_cmp);
    shares[shares.len() / 2]
}

/// One login; how it was answered.
fn log_in(address: SocketAddr) -> String {
    let body = format!(r#"{{"name":"ada","password":"{PASSWORD}","type":"user"}}"#);
    let mut stream = TcpStream::connect(address).expect("the mirror listens");
    let head = format!(
        "PUT /-/user/org.couchdb.user:ada HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the mirror reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

/// The p99 of small reads in milliseconds while all log in.
fn storm(sizes: &Sizes, address: SocketAddr, documents: &[Request]) -> f64 {
    std::thread::scope(|scope| {
        let started = Instant::now();
        let logins: Vec<_> =
            (0..sizes.logins).map(|_| scope.spawn(move || log_in(address))).collect();
        let reads = load::run(address, documents, 4, sizes.part);
        for login in logins {
            let status = login.join().expect("no panic");
            assert!(status.contains(" 201 "), "{status}");
        }
        let took = started.elapsed().as_secs_f64();
        assert_eq!(reads.errors, 0);
        println!("{} logins in {took:.1} s, {:.0} reads/s", sizes.logins, reads.per_second());
        reads.percentile_ms(99)
    })
}

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let sizes = if is_test {
        Sizes { rounds: 1, part: Duration::from_millis(200), connections: 4, logins: 3 }
    } else {
        Sizes { rounds: 7, part: Duration::from_secs(3), connections: 16, logins: 50 }
    };
    let settings = CorpusSettings { seed: 7, packages: DOCUMENTS };
    let upstream = SimulatedUpstream::start(settings).expect("a simulated upstream");
    let names = package_names(settings);
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (open, closed) = (folder.path().join("open"), folder.path().join("closed"));
    account(folder.path(), &open);
    let token = account(folder.path(), &closed);
    let open = Mirror::start(&open, &upstream.url(), false);
    let closed = Mirror::start(&closed, &upstream.url(), true);
    let plain = documents(open.address, &names, None);
    let known = documents(closed.address, &names, Some(&token));

    let share = share(&sizes, &plain, open.address, &known, closed.address);
    let p99_ms = storm(&sizes, open.address, &plain);
    println!("reads with a token: {share:.2} of those without (at least {LEAST_SHARE})");
    println!(
        "p99 of small reads while {} log in: {p99_ms:.1} ms (at most {MOST_P99_MS})",
        sizes.logins
    );
    if !is_test && (share < LEAST_SHARE || p99_ms > MOST_P99_MS) {
        exit(1);
    }
}
