//! `espejo bench serve`: a mirror of its own filled from the simulated upstream, under load.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use url::Url;

use super::{
    child,
    limit::Figure,
    load::{self, Measured, Request},
    usage::Usage,
};
use crate::simulated::{CorpusSettings, package_names};

/// What npm sends for an installation.
const ABBREVIATED: &str =
    "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*";
/// The figures: slowest hundredth of all answers, wrong answers, answers a second of each kind,
/// bytes of tarballs, processor time of the mirror for each answer, its most memory.
pub const FIGURES: [&str; 8] =
    ["p99", "errors", "packument", "not-modified", "tarball", "throughput", "cpu", "memory"];
/// Documents asked for in turns.
const DOCUMENTS: usize = 50;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Packages in the mirror.
    pub packages: usize,
    /// Seed of the packages.
    pub seed: u64,
    /// Connections at once.
    pub connections: usize,
    /// Time of all three parts together.
    pub duration: Duration,
}

/// Fills a mirror and measures it.
///
/// # Errors
/// When a process does not start or the mirror does not answer as it should.
pub fn measure(folder: &Path, load: Load) -> anyhow::Result<Vec<Figure>> {
    let upstream = child::simulated_upstream(load.packages, load.seed)?;
    let data = folder.join("data");
    let mirror = child::mirror(&data, &upstream.url)?;
    fill(&data, load)?;
    let url = Url::parse(&mirror.url).context("the mirror said no address")?;
    let address: SocketAddr = url
        .socket_addrs(|| None)
        .ok()
        .and_then(|all| all.first().copied())
        .context("the mirror said no address")?;
    let tarball = upstream.typical_tarball.context("there is no tarball of usual size")?;
    let part = load.duration / 3;
    let before = Usage::of(mirror.running.id());

    let documents = documents(address, load)?;
    let unchanged = unchanged(address, &documents)?;
    let tarball = Request::get(address, &format!("/{tarball}"), &[], 200);
    expect(load::ask_once(address, &tarball, "etag")?.0, 200)?;
    let packument = load::run(address, &documents, load.connections, part);
    let not_modified = load::run(address, &unchanged, load.connections, part);
    let tarballs = load::run(address, &[tarball], load.connections, part);

    let after = Usage::of(mirror.running.id());
    Ok(figures([&packument, &not_modified, &tarballs], before, after))
}

/// Lets the mirror sync everything; the command speaks to it over its socket.
fn fill(data: &Path, load: Load) -> anyhow::Result<()> {
    let names = package_names(CorpusSettings { seed: load.seed, packages: load.packages });
    let mut command = child::myself()?;
    command.args(["--quiet", "--config", "/dev/null", "--data"]).arg(data).arg("sync").args(names);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().context("cannot start the sync that fills the mirror")?;
    if !status.success() {
        bail!("the sync that fills the mirror ended with {status}");
    }
    Ok(())
}

fn documents(address: SocketAddr, load: Load) -> anyhow::Result<Vec<Request>> {
    let names = package_names(CorpusSettings { seed: load.seed, packages: load.packages });
    let headers = [("accept", ABBREVIATED), ("accept-encoding", "gzip")];
    let requests: Vec<Request> = names
        .iter()
        .take(DOCUMENTS)
        .map(|name| Request::get(address, &format!("/{}", name.replace('/', "%2f")), &headers, 200))
        .collect();
    for request in &requests {
        // The first read of a document renders it, which is not what is measured here.
        expect(load::ask_once(address, request, "etag")?.0, 200)?;
    }
    Ok(requests)
}

fn unchanged(address: SocketAddr, documents: &[Request]) -> anyhow::Result<Vec<Request>> {
    let mut requests = Vec::with_capacity(documents.len());
    for document in documents {
        let (_, etag, _) = load::ask_once(address, document, "etag")?;
        let etag = etag.context("a document without ETag")?;
        let mut bytes = document.bytes.clone();
        bytes.truncate(bytes.len().saturating_sub(2));
        bytes.extend_from_slice(format!("if-none-match: {etag}\r\n\r\n").as_bytes());
        requests.push(Request { bytes, expected: 304 });
    }
    Ok(requests)
}

fn expect(status: u16, expected: u16) -> anyhow::Result<()> {
    if status != expected {
        bail!("the mirror answered {status} instead of {expected}");
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures are shown with three digits")]
fn figures(parts: [&Measured; 3], before: Option<Usage>, after: Option<Usage>) -> Vec<Figure> {
    let [packument, not_modified, tarballs] = parts;
    let worst = parts.iter().map(|part| part.percentile_ms(99)).fold(0.0, f64::max);
    let errors: u64 = parts.iter().map(|part| part.errors).sum();
    let answers: u64 = parts.iter().map(|part| part.answers).sum();
    let mut figures = vec![
        Figure::new("p99", worst, "ms"),
        Figure::new("errors", errors as f64, ""),
        Figure::new("packument", packument.per_second(), "/s"),
        Figure::new("not-modified", not_modified.per_second(), "/s"),
        Figure::new("tarball", tarballs.per_second(), "/s"),
        Figure::new("throughput", tarballs.bytes_per_second() / 1_048_576.0, "MiB/s"),
    ];
    if let (Some(before), Some(after)) = (before, after) {
        let cpu = after.processor.saturating_sub(before.processor);
        let each = cpu.as_secs_f64() * 1_000_000.0 / (answers as f64).max(1.0);
        figures.push(Figure::new("cpu", each, "us"));
        figures.push(Figure::new("memory", after.peak_bytes as f64 / 1_048_576.0, "MiB"));
    }
    figures
}
