//! One change of a package by a person: read, decide, commit, and once more when overtaken.

use bytes::Bytes;
use npm::publish::Draft;
use npm::{HookEvent, PackageName, PackumentScan, Sha512Digest};
use store::blobs::BlobLocation;
use store::packages::PackageRow;
use store::registries::SELF;
use store::versions::VersionRow;
use store::{
    Committed, DocumentEncoding, Keeping, PackageChange, PackageStatus, Publication, Store,
    StoreError, Validators, VersionState, maintainers, readmes,
};

use crate::change_builder::Terms;
use crate::clock::now_ms;
use crate::committer::CommitError;
use crate::handle::{EngineError, EngineHandle};
use crate::known::Known;
use crate::upstream::{FetchedDocument, in_place};

/// Other nodes may change the same package; here one after another is let through.
const ATTEMPTS: usize = 8;

/// Why a package was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError<E> {
    /// Who decides refused.
    #[error("refused")]
    Refused(E),
    /// The engine could not do it.
    #[error(transparent)]
    Engine(EngineError),
}

impl<E, F: Into<EngineError>> From<F> for EditError<E> {
    fn from(error: F) -> Self {
        Self::Engine(error.into())
    }
}

/// A package before it is changed.
#[derive(Debug)]
pub struct Before {
    /// Its row; `None` when nothing is known of it.
    pub row: Option<PackageRow>,
    /// All its versions.
    pub versions: Vec<VersionRow>,
    /// Login names of those who maintain it.
    pub maintainers: Vec<String>,
    /// Its document; `None` when there is none.
    pub draft: Option<Draft>,
}

/// A package after that.
#[derive(Debug)]
pub struct Edit {
    /// Its document; what its newest version says of the package is put in before it is written,
    /// and then its revision.
    pub draft: Draft,
    /// When that is, as documents say it.
    pub at: String,
    /// What else is written.
    pub publication: Publication,
    /// The version whose tarball came with this.
    pub held: Option<(String, HeldTarball)>,
    /// What hooks hear of it.
    pub events: Vec<HookEvent>,
    /// Maintainers before and after, who may have such hooks.
    pub owners: Vec<String>,
    /// Word of the change-log row.
    pub cause: &'static str,
}

/// A tarball that is stored, but named by no row yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldTarball {
    /// Its digest.
    pub digest: Sha512Digest,
    /// Where its bytes are.
    pub location: BlobLocation,
}

pub(super) async fn read(
    store: &Store,
    name: &PackageName,
) -> Result<(Known, Before), EngineError> {
    let known = Known::read(store, name).await?;
    let of = name.clone();
    let maintainers = store.read_here(move |rows| maintainers::of_package(rows, &of)).await?;
    let has_document = known.row.as_ref().is_some_and(|row| row.document.is_some());
    let body = known.document_body(store).await;
    let draft = body.as_ref().and_then(|body| {
        in_place(body.len(), || PackumentScan::parse(body).ok().map(|scan| Draft::of(&scan)))
    });
    if has_document && draft.is_none() {
        let text = format!("the document of {name} cannot be read");
        return Err(StoreError::Invalid(text).into());
    }
    let (row, versions) = (known.row.clone(), known.versions.clone());
    Ok((known, Before { row, versions, maintainers, draft }))
}

pub(super) async fn edit<E>(
    handle: &EngineHandle,
    name: &PackageName,
    decide: impl Fn(Before) -> Result<Option<Edit>, E>,
) -> Result<Option<Committed>, EditError<E>> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let (known, before) = read(handle.store(), name).await?;
        let told = before.draft.as_ref().map(Told::by).unwrap_or_default();
        let Some(mut edit) = decide(before).map_err(EditError::Refused)? else { return Ok(None) };
        tell_latest(handle.store(), &known, told, &mut edit).await?;
        let change = change(handle.store(), &known, edit).await?;
        match handle.commit(change).await {
            Ok(committed) => return Ok(Some(committed)),
            Err(EngineError::Commit(CommitError::Conflict { .. })) if attempt < ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a document told of its newest version.
#[derive(Default)]
struct Told {
    latest: Option<String>,
    readme: Option<String>,
}

impl Told {
    fn by(draft: &Draft) -> Self {
        let latest = draft.tag("latest").map(str::to_owned);
        Self { latest, readme: draft.member_text("readme") }
    }
}

/// Makes a document say what its newest version says, where that is another one now, and gives it
/// its revision. The text of the one before was nowhere else if it came from an upstream.
async fn tell_latest(
    store: &Store,
    known: &Known,
    told: Told,
    edit: &mut Edit,
) -> Result<(), StoreError> {
    let latest = edit.draft.tag("latest").map(str::to_owned);
    if let Some(latest) = latest.filter(|latest| told.latest.as_ref() != Some(latest)) {
        let package_id = known.row.as_ref().map(|row| row.id);
        if let (Some(before), Some(text)) = (told.latest, told.readme)
            && edit.draft.version(&before).is_some()
            && kept_readme(store, package_id, &before).await?.is_none()
        {
            edit.publication.readmes.push((before, text));
        }
        let brought = edit.publication.readmes.iter().find(|(version, _)| *version == latest);
        let text = match brought {
            Some((_, text)) => text.clone(),
            None => kept_readme(store, package_id, &latest).await?.unwrap_or_default(),
        };
        edit.draft.follow_latest();
        edit.draft.put_text("readme", &text);
    }
    edit.draft.revise(&edit.at);
    Ok(())
}

async fn kept_readme(
    store: &Store,
    package_id: Option<i64>,
    version: &str,
) -> Result<Option<String>, StoreError> {
    let (Some(package_id), version) = (package_id, version.to_owned()) else { return Ok(None) };
    store.read_here(move |rows| readmes::find(rows, package_id, &version)).await
}

async fn change(store: &Store, known: &Known, edit: Edit) -> Result<PackageChange, EngineError> {
    let Edit { draft, at: _, publication, held, events, owners, cause } = edit;
    let mut fetched = FetchedDocument {
        body: Bytes::new(),
        stored: Bytes::new(),
        encoding: DocumentEncoding::Identity,
        validators: Validators::default(),
        lane: None,
    };
    fetched.replace_body(draft.text());
    let terms = Terms { keys: None, max_tarball_bytes: u64::MAX, now_ms: now_ms() };
    let mut plan = known.plan(&fetched, terms).map_err(|error| StoreError::Invalid(error.0))?;
    plan.removed.retain(|version| !publication.erased.contains(version));
    if plan.status == PackageStatus::SecurityHolding {
        // only an upstream puts such a version in place of something else
        plan.status = PackageStatus::Live;
    }
    if let Some((version, tarball)) = &held {
        for row in plan.versions.iter_mut().filter(|row| row.version == *version) {
            (row.state, row.reason) = (VersionState::Held, None);
            (row.blob, row.size_bytes) = (Some(tarball.digest), Some(tarball.location.length));
        }
    }
    let mut change = known.with_document(store, fetched, plan, cause).await?;
    change.blobs.extend(held.map(|(_, tarball)| (tarball.digest, tarball.location)));
    SELF.clone_into(&mut change.registry);
    change.keep = Keeping::Mirrored;
    change.revise = true;
    change.publication = Some(Box::new(publication));
    (change.events, change.owners) = (events, owners);
    Ok(change)
}
