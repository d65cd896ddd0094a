//! What publishing costs: small packages a second, and the memory that a tarball of 200 MB takes.
//!
//! `cargo bench --bench publish`; with `--test` a few packages and 16 MB. The server is the real
//! program on this machine; its memory is what the kernel says it had at most (`VmHWM`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The server may not need more than this above its own size, whatever the tarball has.
const MOST_GROWTH_KIB: u64 = 64 << 10;

struct Mirror {
    child: Child,
    address: SocketAddr,
    token: String,
}

impl Mirror {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_espejo"))
            .arg("--data")
            .arg(data)
            .args(["--config", "/dev/null", "--json", "serve", "--no-discovery"])
            .args(["--listen", "127.0.0.1:0"])
            .env("ESPEJO_OPS_LISTEN", "")
            .env("ESPEJO_PUBLISH__SCOPES", "@garden")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ready = lines.next().expect("a line").expect("a line");
        let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
        let address = ready["listen"].as_str().expect("an address").parse().expect("an address");
        std::thread::spawn(move || lines.count());
        let token = std::fs::read_to_string(data.join("admin.token")).expect("a token");
        Self { child, address, token: token.trim().to_owned() }
    }

    /// The most memory it ever had, KiB.
    fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a running program");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a figure");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    }

    /// Sends a version whose body is made while it is sent; the status.
    fn publish(&self, name: &str, tarball: &[u8]) -> u16 {
        let head = format!(
            "{{\"name\":\"{name}\",\"dist-tags\":{{\"latest\":\"1.0.0\"}},\"versions\":{{\"1.0.0\":\
             {{\"name\":\"{name}\",\"version\":\"1.0.0\"}}}},\"_attachments\":{{\"x.tgz\":\
             {{\"length\":{},\"data\":\"",
            tarball.len()
        );
        let length = head.len() + tarball.len().div_ceil(3) * 4 + 4;
        let mut stream = TcpStream::connect(self.address).expect("a server");
        write!(
            stream,
            "PUT /{} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{head}",
            name.replace('/', "%2f"),
            self.address,
            self.token
        )
        .expect("a reader");
        for piece in tarball.chunks(3 << 16) {
            stream.write_all(STANDARD.encode(piece).as_bytes()).expect("a reader");
        }
        stream.write_all(b"\"}}}").expect("a reader");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split(' ').nth(1).expect("a status").parse().expect("a number")
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // an error means that it ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An archive with a file that does not compress, and is not asked to.
fn tarball(name: &str, bytes: usize) -> Vec<u8> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        noise.extend_from_slice(&seed.to_le_bytes());
    }
    let manifest = format!("{{\"name\":\"{name}\",\"version\":\"1.0.0\"}}");
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    for (file, body) in [("package.json", manifest.as_bytes()), ("noise", &noise)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("package/{file}"), body).expect("memory");
    }
    archive.into_inner().expect("memory").finish().expect("memory")
}

fn main() {
    let short = std::env::args().any(|argument| argument == "--test");
    let (packages, megabytes) = if short { (20, 16) } else { (2_000, 190) };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let mirror = Mirror::start(folder.path());
    let names: Vec<String> = (0..packages).map(|n| format!("@garden/p{n}")).collect();
    let tarballs: Vec<Vec<u8>> = names.iter().map(|name| tarball(name, 6_000)).collect();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for part in 0..8 {
            let (mirror, names, tarballs) = (&mirror, &names, &tarballs);
            scope.spawn(move || {
                for n in (part..names.len()).step_by(8) {
                    assert_eq!(mirror.publish(&names[n], &tarballs[n]), 201);
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    println!("small packages: {:.0}/s from 8 publishers", f64::from(packages) / seconds);
    let large = tarball("@garden/large", megabytes << 20);
    let before = mirror.peak_kib();
    let started = Instant::now();
    assert_eq!(mirror.publish("@garden/large", &large), 201);
    let (after, seconds) = (mirror.peak_kib(), started.elapsed().as_secs_f64());
    println!(
        "a tarball of {} MB: {seconds:.2} s, peak memory {} KiB before and {after} KiB after",
        large.len() / 1_000_000,
        before
    );
    assert!(after < before + MOST_GROWTH_KIB, "a large tarball takes {} KiB", after - before);
}
