//! The body of a publish on its way in.

use bytes::Bytes;
use npm::integrity::Digests;
use npm::publish::{BodyScanner, ScannerError, TarballFacts};
use store::Store;
use store::blobs::{BlobError, BlobUpload};
use tokio::sync::mpsc;

use super::edit::HeldTarball;
use super::inspect::{Inspector, OddTarball, TarballPackage};

/// How much is taken.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveLimits {
    /// Most bytes of the body without its tarball.
    pub document_bytes: u64,
    /// Most bytes of the tarball.
    pub tarball_bytes: u64,
}

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It cannot be read, or is too large.
    #[error(transparent)]
    Scanner(#[from] ScannerError),
    /// The tarball could not be written.
    #[error("the tarball cannot be stored: {0}")]
    Blob(#[from] BlobError),
    /// The engine is being stopped.
    #[error("the engine is being stopped")]
    Stopped,
}

/// A body that came whole.
pub struct Received {
    /// All of it but the tarball's text.
    pub document: Vec<u8>,
    /// Name of the attachment that was decoded.
    pub tarball_file: Option<String>,
    /// What came of it.
    pub tarball: Option<ReceivedTarball>,
}

/// A tarball whose bytes are spooled; dropped, nothing of them is left.
pub struct ReceivedTarball {
    /// What its bytes are.
    pub facts: TarballFacts,
    /// What stands in it, or why that cannot be told.
    pub package: Result<TarballPackage, OddTarball>,
    upload: Box<dyn BlobUpload>,
}

impl ReceivedTarball {
    pub(super) async fn keep(self) -> Result<HeldTarball, ReceiveError> {
        let digest = self.facts.sha512;
        let location = self.upload.finish(digest).await?;
        Ok(HeldTarball { digest, location })
    }
}

pub(super) async fn receive(
    store: Store,
    limits: ReceiveLimits,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<Received, ReceiveError> {
    let mut scanner = BodyScanner::new(limits.document_bytes, limits.tarball_bytes);
    let mut incoming: Option<Incoming> = None;
    while let Some(piece) = pieces.recv().await {
        let mut bytes = Vec::new();
        scanner.feed(&piece, &mut bytes)?;
        if bytes.is_empty() {
            continue;
        }
        let incoming = match &mut incoming {
            Some(incoming) => incoming,
            None => incoming.insert(Incoming::begin(&store).await?),
        };
        incoming.write(Bytes::from(bytes)).await?;
    }
    let scanned = scanner.finish()?;
    let tarball = match incoming {
        Some(incoming) => Some(incoming.end().await?),
        None => None,
    };
    Ok(Received { document: scanned.document, tarball_file: scanned.tarball_file, tarball })
}

struct Incoming {
    upload: Box<dyn BlobUpload>,
    digests: Digests,
    length: u64,
    inspector: Inspector,
}

impl Incoming {
    async fn begin(store: &Store) -> Result<Self, BlobError> {
        Ok(Self {
            upload: store.blobs().upload().await?,
            digests: Digests::default(),
            length: 0,
            inspector: Inspector::start(),
        })
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.digests.update(&bytes);
        self.length += bytes.len() as u64;
        self.inspector.show(bytes.clone()).await;
        self.upload.write(bytes).await
    }

    async fn end(self) -> Result<ReceivedTarball, ReceiveError> {
        let package = self.inspector.end().await.map_err(|_| ReceiveError::Stopped)?;
        let (sha512, shasum) = self.digests.finish();
        let seen = package.as_ref().ok();
        let facts = TarballFacts {
            sha512,
            shasum,
            bytes: self.length,
            files: seen.map_or(0, |package| package.files),
            unpacked_bytes: seen.map_or(0, |package| package.unpacked_bytes),
            has_shrinkwrap: seen.is_some_and(|package| package.has_shrinkwrap),
        };
        Ok(ReceivedTarball { facts, package, upload: self.upload })
    }
}
