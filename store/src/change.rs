//! What the write path takes and answers: [`CommitBatch`], [`PackageChange`] and their parts.

use npm::{HookEvent, ManifestDigest, PackageName, Sha512Digest, SignatureVerdict};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::blobs::BlobLocation;
use crate::facts::ManifestFacts;
use crate::publication::Publication;
use crate::states::{
    DocumentEncoding, Keeping, PackageStatus, TaskFailure, TaskState, VersionState,
};
use crate::versions::VersionRow;
use crate::{AnyConnection, StoreError, registries};

/// A rare write; runs in a savepoint of the batch's transaction.
pub type WriteFn = Box<dyn FnOnce(&mut AnyConnection) -> Result<(), StoreError> + Send>;

/// Everything that goes into one transaction.
#[derive(Default)]
pub struct CommitBatch {
    /// Run in order, before the changes.
    pub writes: Vec<WriteFn>,
    /// Written in bulk.
    pub changes: Vec<PackageChange>,
}

/// One answer for each part of a [`CommitBatch`], in its order.
#[derive(Debug)]
pub struct BatchOutcome {
    /// Of [`CommitBatch::writes`]; a failed one left nothing behind.
    pub writes: Vec<Result<(), StoreError>>,
    /// Of [`CommitBatch::changes`]; a refused one left nothing behind.
    pub changes: Vec<Result<Committed, StoreError>>,
    /// What is to be sent to hooks because of them.
    pub deliveries: usize,
}

/// Where a change ended up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// Row id of the package.
    pub package_id: i64,
    /// Its revision now: raised when what readers see may differ (document, status, removals).
    pub revision: i64,
    /// Seq of the change-log row; when nothing changed, the newest seq there is.
    pub local_seq: i64,
}

/// All that one sync, miss or tarball brings for one package: committed whole or not at all.
#[derive(Clone, Debug)]
pub struct PackageChange {
    /// The package.
    pub name: PackageName,
    /// Name of the registry that owns it, `default` unless bound elsewhere; kept when already set.
    pub registry: String,
    /// How much is kept; `Cached` never lowers `Mirrored`.
    pub keep: Keeping,
    /// The revision that the diff was made against; `None` = package unknown.
    pub base_revision: Option<i64>,
    /// The new document; `None` = upstream says not modified, or only tarballs came.
    pub document: Option<DocumentChange>,
    /// Validators of the newest answer.
    pub validators: Validators,
    /// When upstream was asked; an older time than the stored one is ignored.
    pub checked_at_ms: i64,
    /// Added or changed versions.
    pub versions: Vec<VersionChange>,
    /// Versions gone upstream: hidden, rows kept.
    pub removed_versions: Vec<String>,
    /// Blobs that were put for this change.
    pub blobs: Vec<(Sha512Digest, BlobLocation)>,
    /// Blobs found before, which must still be there.
    pub reused: Vec<Sha512Digest>,
    /// The task that ends with this change.
    pub task: Option<TaskEnd>,
    /// Word of the change-log row: `sync`, `miss`, `tarball`.
    pub cause: &'static str,
    /// Sentences for the operator, for example a second integrity for a known version.
    pub alarms: Vec<String>,
    /// Upstream says that there is no such package; a document takes it back.
    pub gone: Option<Gone>,
    /// What readers see differs although neither document nor removals say so.
    pub revise: bool,
    /// What comes with it from a publisher, when it comes from one.
    pub publication: Option<Box<Publication>>,
    /// What hooks hear of it, in order.
    pub events: Vec<HookEvent>,
    /// Login names of the package's maintainers, before and after: hooks about a user.
    pub owners: Vec<String>,
    /// The number of the [interests](crate::hooks::watch::HookInterests) of which none wanted to
    /// hear of it, so that no events were worked out; `None` when `events` are all there are.
    pub watched_at: Option<u64>,
}

impl PackageChange {
    /// A change that brings nothing yet: of a package nobody knows, kept as little as can be and
    /// owned by the default registry.
    #[must_use]
    pub fn new(name: PackageName, cause: &'static str) -> Self {
        Self {
            name,
            registry: registries::DEFAULT.to_owned(),
            keep: Keeping::Cached,
            base_revision: None,
            document: None,
            validators: Validators::default(),
            checked_at_ms: 0,
            versions: Vec::new(),
            removed_versions: Vec::new(),
            blobs: Vec::new(),
            reused: Vec::new(),
            task: None,
            cause,
            alarms: Vec::new(),
            gone: None,
            revise: false,
            publication: None,
            events: Vec::new(),
            owners: Vec::new(),
            watched_at: None,
        }
    }
}

/// Upstream's answer that it does not have a package any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone {
    /// When it said so; the first time in a row is what is kept.
    pub at_ms: i64,
    /// What the package counts as from now on; `None` until a later answer said the same.
    pub status: Option<PackageStatus>,
}

/// A new document of a package.
#[derive(Clone, Debug)]
pub struct DocumentChange {
    /// Of the stored bytes; the blob's key.
    pub digest: Sha512Digest,
    /// Where they are; also listed in [`PackageChange::blobs`].
    pub location: BlobLocation,
    /// How the stored bytes are compressed.
    pub encoding: DocumentEncoding,
    /// Size as stored.
    pub stored_bytes: i64,
    /// Size when decoded.
    pub body_bytes: i64,
    /// Upstream's `_rev`.
    pub upstream_rev: Option<String>,
    /// The last of the versions that no document had before.
    pub added_version: Option<String>,
    /// All dist-tags of the document.
    pub dist_tags: Vec<(String, String)>,
    /// `time.modified` of the document.
    pub modified: Option<String>,
    /// What the document says about the package.
    pub status: PackageStatus,
}

/// What a conditional request upstream carries.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Validators {
    /// The `ETag` as received.
    pub etag: Option<String>,
    /// The `Last-Modified` as received.
    pub last_modified: Option<String>,
}

/// One added or changed version.
#[derive(Clone, Debug)]
pub struct VersionChange {
    /// The version's key in the document.
    pub version: String,
    /// Fingerprint of its manifest.
    pub manifest: ManifestDigest,
    /// Where upstream keeps the tarball.
    pub tarball_url: Option<String>,
    /// Upstream's file name, or the canonical one.
    pub tarball_file: String,
    /// `ExpectedDigest::text`; written once, a later value never replaces it.
    pub expected: Option<String>,
    /// `Remote` never lowers `Held`.
    pub state: VersionState,
    /// The tarball's blob when held.
    pub blob: Option<Sha512Digest>,
    /// Size of the tarball.
    pub size_bytes: Option<i64>,
    /// Why it failed or was skipped.
    pub reason: Option<String>,
    /// What its registry signatures are worth; `None` leaves what was found before.
    pub signature: Option<SignatureVerdict>,
    /// When it was published; written once, a later value never replaces it.
    pub published_at_ms: Option<i64>,
    /// What its manifest says that rules look at; `None` leaves what was read before.
    pub facts: Option<ManifestFacts>,
}

impl From<&VersionRow> for VersionChange {
    /// The change that writes a row again as it stands.
    fn from(row: &VersionRow) -> Self {
        Self {
            version: row.version.clone(),
            manifest: row.manifest,
            tarball_url: row.tarball_url.clone(),
            tarball_file: row.tarball_file.clone(),
            expected: row.expected.clone(),
            state: row.state,
            blob: row.blob,
            size_bytes: row.size_bytes,
            reason: row.reason.clone(),
            signature: row.signature,
            published_at_ms: row.published_at_ms,
            facts: None,
        }
    }
}

/// Id of a sync task; its text form sorts by age.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub Uuid);

impl TaskId {
    /// A new id; later ids sort behind earlier ones.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when it is no UUID.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|error| StoreError::Invalid(format!("{text:?} is no task id: {error}")))
    }
}

impl Default for TaskId {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

impl std::str::FromStr for TaskId {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// How a task ended.
#[derive(Clone, Debug)]
pub struct TaskEnd {
    /// The task.
    pub id: TaskId,
    /// `Success` or `Error`.
    pub state: TaskState,
    /// What went wrong.
    pub error: Option<String>,
    /// What kind of failure that is; none when the task succeeded.
    pub failure: Option<TaskFailure>,
    /// The last lines of its log.
    pub log: String,
}
