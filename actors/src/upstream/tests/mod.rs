//! The upstream client against a scripted server on loopback.

mod addresses;
mod answers;
mod documents;
mod tarballs;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use npm::PackageName;
use store::{DocumentEncoding, Validators};
use tokio::sync::Semaphore;
use url::Url;

use super::raw_server::{Act, RawRequest, RawServer, answer, chunked, ok, raw};
use super::*;

const DOCUMENT: &[u8] = b"{\"name\":\"left-pad\",\"versions\":{}}";

fn settings(url: Url) -> UpstreamSettings {
    UpstreamSettings {
        retry: RetryPolicy {
            attempts: 1,
            first_delay: Duration::from_millis(1),
            ..RetryPolicy::default()
        },
        instance_id: String::from("test-node"),
        background_rate_per_second: 0,
        ..UpstreamSettings::new("default", url)
    }
}

fn upstream(server: &RawServer) -> Upstream {
    Upstream::new(settings(server.url("/"))).unwrap()
}

fn with(server: &RawServer, change: impl FnOnce(&mut UpstreamSettings)) -> Upstream {
    let mut settings = settings(server.url("/"));
    change(&mut settings);
    Upstream::new(settings).unwrap()
}

fn name() -> PackageName {
    PackageName::parse("left-pad").unwrap()
}

fn none() -> Validators {
    Validators::default()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn get(upstream: &Upstream) -> Result<PackumentAnswer, UpstreamError> {
    upstream.packument(&name(), &none(), Urgency::Person).await
}

async fn found(upstream: &Upstream) -> FetchedDocument {
    match get(upstream).await.unwrap() {
        PackumentAnswer::Found(document) => document,
        PackumentAnswer::NotModified { .. } => panic!("304"),
    }
}

async fn failure(upstream: &Upstream) -> UpstreamError {
    get(upstream).await.err().expect("an error")
}

async fn tarball(upstream: &Upstream, url: &Url) -> Result<Vec<u8>, UpstreamError> {
    let mut schedule = upstream.retry_policy().schedule(Urgency::Person);
    let mut body = upstream.tarball(url, &mut schedule).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
