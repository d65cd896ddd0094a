//! Tarballs: by digest if they are here under another name, else one download for all.

use bytes::Bytes;
use npm::{ExpectedDigest, PackageName};
use store::blobs::{BlobError, HashingError, HashingUpload, SMALL_BLOB_BYTES};
use store::{blob_rows, releases};
use url::Url;

use super::flight::Landing;
use super::rows::Asked;
use super::spool::{SettleGuard, Spool, Stored};
use super::{FetchThroughDeps, Landed, MissError};
use crate::committer::CommitError;
use crate::upstream::{Buffered, Schedule, TarballBody, Upstream, UpstreamError, Urgency};

/// A package that changes all the time is given up after this many tries.
const TRIES_ON_CONFLICT: usize = 4;

/// What is to be fetched.
pub(super) struct Wanted {
    pub(super) expected: ExpectedDigest,
    url: Url,
    registry: String,
}

impl Wanted {
    /// Refuses what could not be verified or has no address.
    pub(super) fn new(asked: &Asked) -> Result<Self, MissError> {
        let row = &asked.version.row;
        let what = format!("{}@{}", asked.package.name, row.version);
        let Some(expected) = &row.expected else {
            let why = row.reason.as_deref().unwrap_or("upstream gives no digest");
            return Err(MissError::Integrity(format!("{what} cannot be verified: {why}")));
        };
        let expected = ExpectedDigest::from_text(expected)
            .map_err(|error| MissError::Integrity(format!("{what}: {error}")))?;
        let url = row.tarball_url.as_deref().unwrap_or_default();
        let url = Url::parse(url).map_err(|error| {
            MissError::BadUpstream(format!("{what} has no usable dist.tarball: {error}"))
        })?;
        let registry = asked.package.registry.clone();
        Ok(Self { expected, url, registry })
    }
}

/// Why one download did not end well.
enum Failure {
    /// The next try may go better.
    Upstream(UpstreamError),
    Mismatch(String),
    Final(MissError),
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        Self::Final(error.into())
    }
}

impl From<HashingError> for Failure {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Mismatch(mismatch) => Self::Mismatch(mismatch.to_string()),
            HashingError::Blob(error) => error.into(),
        }
    }
}

pub(super) async fn fetch(
    deps: FetchThroughDeps,
    name: PackageName,
    version: String,
    wanted: Wanted,
    landing: Landing<String, Landed>,
) {
    let flight = Flight { deps: &deps, name: &name, version: &version, wanted: &wanted };
    if let Err(failure) = flight.run(&landing).await {
        tracing::warn!(package.name = %name, package.version = %version, error = %failure,
            "a tarball was not fetched");
        landing.fail(failure);
    }
}

/// One download and what it is for.
struct Flight<'a> {
    deps: &'a FetchThroughDeps,
    name: &'a PackageName,
    version: &'a str,
    wanted: &'a Wanted,
}

impl Flight<'_> {
    async fn run(&self, landing: &Landing<String, Landed>) -> Result<(), MissError> {
        if let Some(found) = self.find_equal_blob().await? {
            self.allow_size(u64::try_from(found.location.length).unwrap_or(0)).await?;
            match self.commit(found, false).await {
                Err(CommitError::MissingBlob(_)) => {} // deleted meanwhile: fetch it
                Err(error) => return Err(commit_failed(error)),
                Ok(()) => {
                    landing.succeed(Landed::Stored(found));
                    return Ok(());
                }
            }
        }
        self.deps.check_parked()?;
        let upstream = self.deps.upstream(self.name, Some(&self.wanted.registry))?;
        let mut schedule = upstream.retry_policy().schedule(Urgency::Person);
        let mut has_mismatched = false;
        loop {
            match self.download(&upstream, &mut schedule, landing).await {
                Ok(stored) => return self.land(stored, landing).await,
                Err(Failure::Final(error)) => return Err(error),
                // one edge of a CDN may hold bad bytes while its neighbour has good ones
                Err(Failure::Mismatch(_)) if !has_mismatched => has_mismatched = true,
                Err(Failure::Mismatch(text)) => return Err(self.wrong(&text)),
                Err(Failure::Upstream(error)) => match schedule.next_delay(&error) {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => return Err(error.into()),
                },
            }
        }
    }

    fn wrong(&self, mismatch: &str) -> MissError {
        MissError::Integrity(format!("{}@{}: {mismatch}", self.name, self.version))
    }

    /// The same bytes, perhaps under another name.
    async fn find_equal_blob(&self) -> Result<Option<Stored>, MissError> {
        let Some(digest) = self.wanted.expected.sha512() else { return Ok(None) };
        let found = self.deps.store.read(move |connection| blob_rows::find(connection, &digest));
        Ok(found.await?.map(|location| Stored { digest, location }))
    }

    /// Commits what a download stored and answers who waits.
    ///
    /// The bytes are good whatever becomes of the commit, so it fails nobody who waits.
    async fn land(
        &self,
        stored: Stored,
        landing: &Landing<String, Landed>,
    ) -> Result<(), MissError> {
        if let Err(error) = self.commit(stored, true).await {
            tracing::warn!(package.name = %self.name, package.version = %self.version, %error,
                "a tarball was served and not kept; the next reader fetches it again");
        }
        landing.succeed(Landed::Stored(stored));
        Ok(())
    }

    /// Marks the version as held; computed again when the package changed meanwhile.
    async fn commit(&self, stored: Stored, is_new: bool) -> Result<(), CommitError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let asked = Asked::read(&self.deps.store, self.name, self.version).await?;
            let Some(asked) = asked else { return Ok(()) }; // deleted here meanwhile
            match (self.deps.commit)(asked.held(stored, is_new)).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { .. } | CommitError::Restarted)
                    if tries < TRIES_ON_CONFLICT => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn download(
        &self,
        upstream: &Upstream,
        schedule: &mut Schedule,
        landing: &Landing<String, Landed>,
    ) -> Result<Stored, Failure> {
        let mut body = upstream.tarball(&self.wanted.url, schedule).await?;
        let limit = self.deps.rules.max_tarball_bytes;
        let announced = body.content_length();
        if announced.is_some_and(|bytes| bytes > limit) {
            return Err(too_large(limit, announced).into());
        }
        self.allow_size(announced.unwrap_or(0)).await.map_err(Failure::Final)?;
        match announced {
            Some(length) if length > SMALL_BLOB_BYTES as u64 => {
                self.stream(body, length, landing).await
            }
            _ => match body.read_up_to(SMALL_BLOB_BYTES).await? {
                Buffered::Whole(bytes) => self.store_small(bytes).await,
                Buffered::Beginning(bytes) => self.store_unannounced(bytes, body).await,
            },
        }
    }

    async fn store_small(&self, bytes: Bytes) -> Result<Stored, Failure> {
        self.allow_size(bytes.len() as u64).await.map_err(Failure::Final)?;
        let mut verifier = self.wanted.expected.verifier();
        verifier.update(&bytes);
        let digest = verifier.finish().map_err(HashingError::from)?;
        let location = self.deps.store.blobs().put(digest, bytes).await?;
        Ok(Stored { digest, location })
    }

    /// Large and of unknown length: nobody can be promised a length, so all wait for the end.
    async fn store_unannounced(
        &self,
        beginning: Bytes,
        mut body: TarballBody<'_>,
    ) -> Result<Stored, Failure> {
        let mut upload = self.upload().await?;
        let mut received = beginning.len() as u64;
        upload.write(beginning).await?;
        while let Some(chunk) = body.next().await? {
            received += chunk.len() as u64;
            if received > self.deps.rules.max_tarball_bytes {
                return Err(too_large(self.deps.rules.max_tarball_bytes, None).into());
            }
            upload.write(chunk).await?;
        }
        self.allow_size(received).await.map_err(Failure::Final)?;
        let (digest, location, _) = upload.finish().await?;
        Ok(Stored { digest, location })
    }

    /// Refuses what is larger than readers may get: npm's documents do not tell the size, so it is
    /// known here for the first time.
    async fn allow_size(&self, bytes: u64) -> Result<(), MissError> {
        let policy = self.deps.rules.current.get();
        let denied = policy.deny.size(bytes).filter(|_| policy.deny.concerns(self.name));
        let Some(denied) = denied else { return Ok(()) };
        let (name, version) = (self.name.clone(), self.version.to_owned());
        let is_released = self.deps.store.read(move |rows| releases::has(rows, &name, &version));
        if is_released.await? { Ok(()) } else { Err(MissError::Denied(denied.text())) }
    }

    async fn upload(&self) -> Result<HashingUpload, BlobError> {
        let blobs = self.deps.store.blobs();
        let upload = match self.wanted.expected.sha512() {
            Some(digest) => blobs.upload_known(digest).await?,
            None => blobs.upload().await?,
        };
        Ok(HashingUpload::new(upload, &self.wanted.expected))
    }

    /// Shows the bytes to readers while they are hashed and stored.
    ///
    /// The body is continued where it breaks off, if the upstream can; any other failure is
    /// final from here on, since readers have seen bytes that a second download might not
    /// repeat.
    async fn stream(
        &self,
        mut body: TarballBody<'_>,
        length: u64,
        landing: &Landing<String, Landed>,
    ) -> Result<Stored, Failure> {
        let mut upload = self.upload().await?;
        let spool = Spool::new(length, self.deps.store.clone());
        let guard = SettleGuard(spool.clone());
        // the first bytes prove that there is a body; until then a retry disturbs nobody
        let Some(first) = body.next().await? else {
            return Err(UpstreamError::Truncated(String::from("no bytes at all")).into());
        };
        spool.push(first.clone());
        landing.succeed(Landed::Streaming(spool.clone()));
        let outcome = match upload.write(first).await {
            Ok(()) => self.follow(body, upload, &spool).await,
            Err(error) => Err(error.into()),
        };
        let outcome = outcome.map_err(|failure| self.final_failure(failure));
        spool.settle(outcome.clone());
        drop(guard);
        outcome.map_err(Failure::Final)
    }

    async fn follow(
        &self,
        mut body: TarballBody<'_>,
        mut upload: HashingUpload,
        spool: &Spool,
    ) -> Result<Stored, Failure> {
        while let Some(chunk) = body.next().await? {
            spool.push(chunk.clone());
            upload.write(chunk).await?;
        }
        match upload.finish().await {
            Ok((digest, location, _)) => Ok(Stored { digest, location }),
            // compared before anything is stored: the bytes are good, only not kept
            Err(HashingError::Blob(error)) => {
                spool.verified();
                Err(error.into())
            }
            Err(mismatch) => Err(mismatch.into()),
        }
    }

    fn final_failure(&self, failure: Failure) -> MissError {
        match failure {
            Failure::Upstream(error) => error.into(),
            Failure::Mismatch(text) => self.wrong(&text),
            Failure::Final(error) => error,
        }
    }
}

fn too_large(limit: u64, announced: Option<u64>) -> UpstreamError {
    UpstreamError::TooLarge { what: "tarball", limit, announced }
}

fn commit_failed(error: CommitError) -> MissError {
    match error {
        CommitError::DiskFull(reason) => MissError::Parked(reason),
        error => MissError::unavailable(error.to_string()),
    }
}
