//! Fetches the tarballs of one package: in parallel, verified, each digest once.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use npm::{ExpectedDigest, Sha512Digest};
use store::blobs::{BlobError, BlobLocation, HashingError, HashingUpload, SMALL_BLOB_BYTES};
use store::{StoreError, blob_rows};
use url::Url;

use super::JobDeps;
use super::lines::VersionLines;
use super::settle::JobError;
use crate::upstream::{Buffered, Schedule, TarballBody, Upstream, UpstreamError, Urgency};

/// One digest to have, and where it is said to be.
#[derive(Clone, Debug)]
pub struct WantedTarball {
    /// Address the upstream's document gives.
    pub url: String,
    /// What the bytes must hash to.
    pub expected: ExpectedDigest,
}

/// A verified tarball.
#[derive(Clone, Copy, Debug)]
pub struct HeldTarball {
    /// Its sha512.
    pub digest: Sha512Digest,
    /// Where its bytes are.
    pub location: BlobLocation,
    /// Whether it came over the wire in this run.
    pub fetched: bool,
}

/// Why one tarball is not here. The package goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum TarballFailure {
    /// Above the size limit: remembered as skipped, not as failed.
    #[error("{0}")]
    TooLarge(UpstreamError),
    /// Anything that concerns this tarball only.
    #[error("{0}")]
    Failed(String),
    /// The whole job must stop.
    #[error("{0}")]
    Stop(JobError),
}

/// Where tarballs come from, and how they are asked for.
pub struct Fetch<'a> {
    /// Store, credits, limits.
    pub deps: &'a JobDeps,
    /// Whom to ask.
    pub upstream: &'a Upstream,
    /// For whom.
    pub urgency: Urgency,
    /// Also what is here.
    pub again: bool,
    /// Tells the log.
    pub lines: VersionLines<'a>,
}

/// Fetches every wanted tarball once, however many versions share it, and answers in any order
/// with the index of the request.
///
/// `settled` is called after each with its bytes.
pub async fn fetch_all(
    fetch: &Fetch<'_>,
    wanted: &[WantedTarball],
    mut settled: impl FnMut(usize, &Result<HeldTarball, TarballFailure>),
) -> Result<Vec<Result<HeldTarball, TarballFailure>>, JobError> {
    let here = match fetch.again {
        true => HashMap::new(),
        false => already_here(fetch.deps, wanted).await?,
    };
    let mut results: Vec<Option<Result<HeldTarball, TarballFailure>>> = Vec::new();
    results.resize_with(wanted.len(), || None);
    let mut running = FuturesUnordered::new();
    for (index, tarball) in wanted.iter().enumerate() {
        let held = tarball.expected.sha512().and_then(|digest| {
            here.get(&digest).map(|location| HeldTarball {
                digest,
                location: *location,
                fetched: false,
            })
        });
        match held {
            Some(held) => note(&mut results, index, Ok(held), &mut settled),
            None => running.push(async move { (index, fetch.one(index, tarball).await) }),
        }
    }
    while let Some((index, result)) = running.next().await {
        if let Err(TarballFailure::Stop(error)) = result {
            return Err(error);
        }
        note(&mut results, index, result, &mut settled);
    }
    Ok(results.into_iter().flatten().collect())
}

fn note(
    results: &mut [Option<Result<HeldTarball, TarballFailure>>],
    index: usize,
    result: Result<HeldTarball, TarballFailure>,
    settled: &mut impl FnMut(usize, &Result<HeldTarball, TarballFailure>),
) {
    settled(index, &result);
    if let Some(slot) = results.get_mut(index) {
        *slot = Some(result);
    }
}

/// Which of the wanted digests the store holds already, perhaps under another name.
async fn already_here(
    deps: &JobDeps,
    wanted: &[WantedTarball],
) -> Result<HashMap<Sha512Digest, BlobLocation>, StoreError> {
    let digests: Vec<_> = wanted.iter().filter_map(|tarball| tarball.expected.sha512()).collect();
    if digests.is_empty() {
        return Ok(HashMap::new());
    }
    deps.store.read_here(move |connection| blob_rows::find_many(connection, &digests)).await
}

impl Fetch<'_> {
    async fn one(
        &self,
        index: usize,
        wanted: &WantedTarball,
    ) -> Result<HeldTarball, TarballFailure> {
        let url = Url::parse(&wanted.url).map_err(|error| {
            TarballFailure::Failed(format!("tarball address {}: {error}", wanted.url))
        })?;
        let _permit = self.deps.tarballs.acquire().await;
        self.lines.starts(index);
        let mut schedule = self.upstream.retry_policy().schedule(self.urgency);
        let mut mismatches = 0;
        loop {
            if let Some(reason) = self.deps.parking.reason() {
                return Err(TarballFailure::Stop(JobError::Parked(reason)));
            }
            let failure = match self.download(index, &mut schedule, &url, &wanted.expected).await {
                Ok(held) => return Ok(held),
                Err(failure) => failure,
            };
            match failure {
                Download::Upstream(error @ UpstreamError::TooLarge { .. }) => {
                    return Err(TarballFailure::TooLarge(error));
                }
                // the month has no room for what nobody waits for: the whole package comes later
                Download::Upstream(error @ UpstreamError::OverBudget { .. })
                    if self.urgency != Urgency::Person =>
                {
                    return Err(TarballFailure::Stop(JobError::Upstream(error)));
                }
                // a body that broke off and could not be continued is asked for again from the start
                Download::Upstream(error) => match schedule.next_delay(&error) {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => return Err(TarballFailure::Failed(error.to_string())),
                },
                // one edge of a CDN may hold bad bytes while its neighbour has good ones
                Download::Mismatch(text) if mismatches > 0 => {
                    return Err(TarballFailure::Failed(text));
                }
                Download::Mismatch(_) => mismatches += 1,
                Download::Blob(error) => return Err(blob_failure(error)),
            }
        }
    }

    async fn download(
        &self,
        index: usize,
        schedule: &mut Schedule,
        url: &Url,
        expected: &ExpectedDigest,
    ) -> Result<HeldTarball, Download> {
        let mut body = self.upstream.tarball(url, schedule).await?;
        let small = u64::try_from(SMALL_BLOB_BYTES).unwrap_or(u64::MAX);
        let announced = body.content_length();
        self.lines.answered(index, announced);
        if announced.is_some_and(|length| length > small) {
            return stream(self.deps, body, Bytes::new(), expected).await;
        }
        let credit = self.deps.bytes.take(announced.unwrap_or(small)).await;
        match body.read_up_to(SMALL_BLOB_BYTES).await? {
            Buffered::Whole(bytes) => keep_small(self.deps, bytes, expected).await,
            Buffered::Beginning(start) => {
                drop(credit); // what is collected goes straight on, nothing more gathers here
                stream(self.deps, body, start, expected).await
            }
        }
    }
}

fn blob_failure(error: BlobError) -> TarballFailure {
    TarballFailure::Stop(JobError::Store(StoreError::from(error)))
}

/// Why one download did not end with a stored blob.
enum Download {
    Upstream(UpstreamError),
    Mismatch(String),
    Blob(BlobError),
}

impl From<UpstreamError> for Download {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

async fn keep_small(
    deps: &JobDeps,
    bytes: Bytes,
    expected: &ExpectedDigest,
) -> Result<HeldTarball, Download> {
    let mut verifier = expected.verifier();
    verifier.update(&bytes);
    let digest = verifier.finish().map_err(|mismatch| Download::Mismatch(mismatch.to_string()))?;
    let location = deps.store.blobs().put(digest, bytes).await.map_err(Download::Blob)?;
    Ok(HeldTarball { digest, location, fetched: true })
}

async fn stream(
    deps: &JobDeps,
    mut body: TarballBody<'_>,
    start: Bytes,
    expected: &ExpectedDigest,
) -> Result<HeldTarball, Download> {
    let upload = deps.store.blobs().upload().await.map_err(Download::Blob)?;
    let mut upload = HashingUpload::new(upload, expected);
    if !start.is_empty() {
        upload.write(start).await.map_err(Download::Blob)?;
    }
    while let Some(piece) = body.next().await? {
        upload.write(piece).await.map_err(Download::Blob)?;
    }
    match upload.finish().await {
        Ok((digest, location, _)) => Ok(HeldTarball { digest, location, fetched: true }),
        Err(HashingError::Mismatch(mismatch)) => Err(Download::Mismatch(mismatch.to_string())),
        Err(HashingError::Blob(error)) => Err(Download::Blob(error)),
    }
}
