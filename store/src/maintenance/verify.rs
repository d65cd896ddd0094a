//! Re-reads what the database says is here and hashes it again. Never changes anything.
//!
//! Packages come in pages; within a page blobs are read in the order they lie on the disk,
//! by as many threads as there are cores, because hashing is the dear part.

use std::collections::HashMap;
use std::num::NonZero;
use std::thread;

use npm::{ExpectedDigest, Mismatch, PackageName, Sha512Digest};

use crate::blobs::{BlobError, BlobLocation, BlobReader, BlockingRuntime};
use crate::packages::PackageRow;
use crate::versions::VersionRow;
use crate::{Store, StoreError, VersionState, blob_rows, packages, versions};

/// Packages looked at between two progress reports.
const PAGE: i64 = 200;
/// Bytes read at once; a thread never holds more of a blob.
const SLICE_BYTES: usize = 1 << 20;

/// What to verify.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions {
    /// Share of the blobs to check, 0 to 1; `None` for all.
    pub sample: Option<f64>,
    /// Which share: another seed takes other blobs, so repeated samples cover all in time.
    pub seed: u64,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Packages done.
    pub packages: u64,
    /// Packages there are.
    pub of_packages: u64,
    /// Blobs checked.
    pub checked: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Blobs checked.
    pub checked: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong, by package name.
    pub damaged: Vec<Damage>,
}

/// One file that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The package.
    pub name: PackageName,
    /// The version; `None` when it is the package's document.
    pub version: Option<String>,
    /// Its tarball's file name; empty for a document.
    pub file: String,
    /// The blob's key.
    pub digest: Sha512Digest,
    /// What is wrong.
    pub kind: DamageKind,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// Nothing is where the row says.
    Missing,
    /// Fewer or other bytes than the row says.
    Length {
        /// Bytes there should be.
        expected: i64,
        /// Bytes the blob's row has.
        found: i64,
    },
    /// The bytes have another sha512 than their row, or their place is no record of them.
    Differs,
    /// The bytes are not what upstream announced.
    NotAnnounced(Mismatch),
    /// They could not be read.
    Unreadable(String),
}

impl std::fmt::Display for DamageKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Length { expected, found } => {
                write!(f, "{found} bytes instead of {expected}")
            }
            Self::Differs => f.write_str("sha512 differs"),
            Self::NotAnnounced(mismatch) => write!(f, "{mismatch}"),
            Self::Unreadable(text) => f.write_str(text),
        }
    }
}

/// One file to check.
struct Check {
    name: PackageName,
    version: Option<String>,
    file: String,
    digest: Sha512Digest,
    expected: Option<String>,
    length: Option<i64>,
    location: Option<BlobLocation>,
}

/// Checks every held tarball and every document, or a sample of them.
///
/// # Errors
/// Those of the database. What is wrong with blobs is in the report.
pub fn verify_blocking(
    store: &Store,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, StoreError> {
    let of_packages = store.read_blocking(packages::count)?;
    let mut now =
        VerifyProgress { of_packages: of_packages.unsigned_abs(), ..VerifyProgress::default() };
    let mut report = VerifyReport::default();
    let runtime = BlockingRuntime::new()?;
    let mut after = String::new();
    loop {
        let names = store.read_blocking(|c| packages::names_after(c, &after, PAGE))?;
        let Some(last) = names.last() else { break };
        last.as_str().clone_into(&mut after);
        let mut checks = checks(store, &names)?;
        checks.retain(|check| options.takes(&check.digest));
        check_all(store, &runtime, checks, &mut report);
        now.packages += names.len() as u64;
        (now.checked, now.bytes) = (report.checked, report.bytes);
        progress(now);
    }
    let key = |damage: &Damage| (damage.name.clone(), damage.version.clone());
    report.damaged.sort_by_key(key);
    Ok(report)
}

impl VerifyOptions {
    /// The same blobs for the same seed, spread evenly: digests are as good as random.
    pub(super) fn takes(&self, digest: &Sha512Digest) -> bool {
        let Some(sample) = self.sample else { return true };
        let number = super::rows::fingerprint(digest.as_bytes()) ^ self.seed;
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        #[expect(clippy::cast_precision_loss, reason = "32 bits fit an f64 exactly")]
        let place = mixed as f64 / f64::from(u32::MAX);
        place <= sample && sample > 0.0
    }
}

/// The files of these packages, in the order they lie on the disk.
fn checks(store: &Store, names: &[PackageName]) -> Result<Vec<Check>, StoreError> {
    store.read_blocking(|connection| {
        let rows = packages::find_many(connection, names)?;
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let mut versions = versions::of_packages(connection, &ids)?;
        let mut checks = Vec::new();
        for row in &rows {
            checks.extend(document_check(row));
            let held = versions.remove(&row.id).unwrap_or_default();
            checks.extend(held.into_iter().filter_map(|version| tarball_check(row, version)));
        }
        let wanted: Vec<Sha512Digest> =
            checks.iter().filter(|c| c.location.is_none()).map(|c| c.digest).collect();
        let places = blob_rows::find_many(connection, &wanted)?;
        for check in &mut checks {
            check.location = check.location.or_else(|| places.get(&check.digest).copied());
        }
        checks.sort_by_key(|check| check.location.map(|place| (place.segment, place.offset)));
        Ok(checks)
    })
}

fn document_check(row: &PackageRow) -> Option<Check> {
    let document = row.document.as_ref()?;
    Some(Check {
        name: row.name.clone(),
        version: None,
        file: String::new(),
        digest: document.digest,
        expected: None,
        length: Some(document.stored_bytes),
        location: Some(document.location),
    })
}

fn tarball_check(row: &PackageRow, version: VersionRow) -> Option<Check> {
    let digest = version.blob.filter(|_| version.state == VersionState::Held)?;
    Some(Check {
        name: row.name.clone(),
        version: Some(version.version),
        file: version.tarball_file,
        digest,
        expected: version.expected,
        length: version.size_bytes,
        location: None,
    })
}

/// Checks a page on all cores; equal bytes announced equally are read once.
fn check_all(
    store: &Store,
    runtime: &BlockingRuntime,
    checks: Vec<Check>,
    report: &mut VerifyReport,
) {
    let mut order = Vec::new();
    let mut same: HashMap<(Sha512Digest, Option<String>), Vec<Check>> = HashMap::new();
    for check in checks {
        let key = (check.digest, check.expected.clone());
        let group = same.entry(key.clone()).or_default();
        if group.is_empty() {
            order.push(key);
        }
        group.push(check);
    }
    let groups: Vec<Vec<Check>> = order.into_iter().filter_map(|key| same.remove(&key)).collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = groups.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let work = |groups: &[Vec<Check>]| check_groups(store, runtime, groups);
        let running: Vec<_> =
            groups.chunks(share).map(|groups| scope.spawn(move || work(groups))).collect();
        for thread in running {
            match thread.join() {
                Ok(part) => report.add(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
}

impl VerifyReport {
    fn add(&mut self, part: Self) {
        self.checked += part.checked;
        self.bytes += part.bytes;
        self.damaged.extend(part.damaged);
    }
}

fn check_groups(store: &Store, runtime: &BlockingRuntime, groups: &[Vec<Check>]) -> VerifyReport {
    let mut report = VerifyReport::default();
    for group in groups {
        let Some(first) = group.first() else { continue };
        let outcome = runtime.wait(check_bytes(store, first));
        report.checked += 1;
        report.bytes += *outcome.as_ref().unwrap_or(&0);
        for check in group {
            if let Some(kind) = outcome.as_ref().err().cloned().or_else(|| check.length_differs()) {
                report.damaged.push(Damage {
                    name: check.name.clone(),
                    version: check.version.clone(),
                    file: check.file.clone(),
                    digest: check.digest,
                    kind,
                });
            }
        }
    }
    report
}

impl Check {
    fn length_differs(&self) -> Option<DamageKind> {
        let (expected, found) = (self.length?, self.location?.length);
        (expected != found).then_some(DamageKind::Length { expected, found })
    }
}

/// Reads and hashes one blob; answers its length.
async fn check_bytes(store: &Store, check: &Check) -> Result<u64, DamageKind> {
    let location = check.location.ok_or(DamageKind::Missing)?;
    match hash(store, check, location).await {
        // Compaction may have moved it since the page was read.
        Err(DamageKind::Missing) => {
            let digest = check.digest;
            let moved = store.read(move |c| blob_rows::find(c, &digest)).await;
            let moved = moved.map_err(|error| DamageKind::Unreadable(error.to_string()))?;
            match moved.filter(|moved| *moved != location) {
                Some(moved) => hash(store, check, moved).await,
                None => Err(DamageKind::Missing),
            }
        }
        outcome => outcome,
    }
}

async fn hash(store: &Store, check: &Check, location: BlobLocation) -> Result<u64, DamageKind> {
    let reader = store.blobs().reader(&check.digest, location).await.map_err(kind)?;
    let own = ExpectedDigest::from_text(&check.digest.to_sri()).map_err(|_| DamageKind::Differs)?;
    let announced = check.expected.as_deref().and_then(|text| ExpectedDigest::from_text(text).ok());
    match digest(&reader, announced.as_ref().unwrap_or(&own)).await? {
        Ok(digest) if digest == check.digest => Ok(reader.len()),
        // Are they at least the bytes that were stored, only not the announced ones?
        Err(mismatch) if announced.is_some() && digest(&reader, &own).await?.is_ok() => {
            Err(DamageKind::NotAnnounced(mismatch))
        }
        _ => Err(DamageKind::Differs),
    }
}

async fn digest(
    reader: &BlobReader,
    expected: &ExpectedDigest,
) -> Result<Result<Sha512Digest, Mismatch>, DamageKind> {
    let mut verifier = expected.verifier();
    let mut at = 0;
    while at < reader.len() {
        let slice = reader.read(at, SLICE_BYTES).await.map_err(kind)?;
        verifier.update(&slice);
        at += slice.len() as u64;
    }
    Ok(verifier.finish())
}

fn kind(error: BlobError) -> DamageKind {
    match error {
        BlobError::Missing { .. } => DamageKind::Missing,
        BlobError::Damaged { .. } => DamageKind::Differs,
        BlobError::DiskFull(text) | BlobError::Failed(text) => DamageKind::Unreadable(text),
    }
}
