//! Which changes of a batch are accepted, found out before anything is written.

use std::collections::{HashMap, HashSet};

use diesel::sql_types::Binary;
use npm::Sha512Digest;

use super::Outcome;
use super::package_rows::{Columns, Plan, SqlColumns, conflict};
use crate::blobs::BlobStore;
use crate::change::PackageChange;
use crate::dialect::{self, Value};
use crate::hooks::watch::HookInterests;
use crate::{AnyConnection, StoreError, VersionState, blob_rows};

type Refused = Vec<(usize, Outcome)>;

/// What a change is held against beside the rows.
#[derive(Clone, Copy)]
pub(super) struct Judges<'a> {
    pub blobs: &'a dyn BlobStore,
    pub interests: &'a HookInterests,
}

/// Accepts or refuses each change of a round.
pub(super) fn judge<'a>(
    connection: &mut AnyConnection,
    changes: &'a [PackageChange],
    round: &[usize],
    Judges { blobs, interests }: Judges<'_>,
) -> Result<(Vec<Plan<'a>>, Refused), StoreError> {
    let round: Vec<(usize, &PackageChange)> =
        round.iter().filter_map(|&index| Some((index, changes.get(index)?))).collect();
    let mut stored = stored_rows(connection, &round)?;
    let present = stored_blobs(connection, &round)?;
    let mut plans = Vec::with_capacity(round.len());
    let mut refused = Refused::new();
    for (index, change) in round {
        let row = stored.remove(change.name.as_str());
        let verdict = check_watched(change, row.as_ref(), interests)
            .and_then(|()| check_revision(change, row.as_ref()))
            .and_then(|()| check_text(change))
            .and_then(|()| check_blobs(change, &present, blobs))
            .and_then(|()| Plan::new(index, change, row));
        match verdict {
            Ok(plan) => plans.push(plan),
            Err(error) => refused.push((index, Err(error))),
        }
    }
    Ok((plans, refused))
}

fn stored_rows(
    connection: &mut AnyConnection,
    round: &[(usize, &PackageChange)],
) -> Result<HashMap<String, Columns>, StoreError> {
    let mut names: Vec<&str> = round.iter().map(|(_, change)| change.name.as_str()).collect();
    names.sort_unstable();
    let names: Vec<_> = names.into_iter().map(Value::Text).collect();
    let statement = dialect::packages_for_change(connection);
    let rows: Vec<Columns> = statement.load::<SqlColumns, _>(connection, &names)?;
    Ok(rows.into_iter().map(|row| (row.name.clone(), row)).collect())
}

/// Which of the blobs that changes count on without bringing them are stored.
fn stored_blobs(
    connection: &mut AnyConnection,
    round: &[(usize, &PackageChange)],
) -> Result<HashSet<Sha512Digest>, StoreError> {
    let mut wanted: Vec<Sha512Digest> =
        round.iter().flat_map(|(_, change)| needed(change)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let keys: Vec<_> = wanted.iter().map(|digest| Value::Binary(digest.as_bytes())).collect();
    let statement = dialect::blobs_for_reuse(connection);
    let found: Vec<Vec<u8>> = statement.load::<Binary, _>(connection, &keys)?;
    found.iter().map(|digest| blob_rows::digest(digest)).collect()
}

/// Blobs that a change names but does not bring: whatever it says itself about reusing them.
fn needed(change: &PackageChange) -> impl Iterator<Item = Sha512Digest> {
    let brought: HashSet<&Sha512Digest> = change.blobs.iter().map(|(digest, _)| digest).collect();
    let versions = change.versions.iter().filter_map(|version| version.blob);
    let document = change.document.iter().map(|document| document.digest);
    let named = change.reused.iter().copied().chain(versions).chain(document);
    named.filter(move |digest| !brought.contains(digest)).collect::<Vec<_>>().into_iter()
}

fn check_revision(change: &PackageChange, stored: Option<&Columns>) -> Result<(), StoreError> {
    let found = stored.map(|row| row.revision);
    if found == change.base_revision { Ok(()) } else { Err(conflict(change, found)) }
}

/// A hook was made after the change was worked out and before it is written: made again, it tells
/// the hook.
fn check_watched(
    change: &PackageChange,
    stored: Option<&Columns>,
    interests: &HookInterests,
) -> Result<(), StoreError> {
    match interests.missed(change) {
        true => Err(conflict(change, stored.map(|row| row.revision))),
        false => Ok(()),
    }
}

fn check_blobs(
    change: &PackageChange,
    present: &HashSet<Sha512Digest>,
    blobs: &dyn BlobStore,
) -> Result<(), StoreError> {
    if let Some(missing) = needed(change).find(|digest| !present.contains(digest)) {
        return Err(StoreError::MissingBlob(missing));
    }
    let lost = change.blobs.iter().find(|(_, location)| !blobs.is_durable(*location));
    if let Some((digest, _)) = lost {
        return Err(StoreError::MissingBlob(*digest));
    }
    let empty =
        change.versions.iter().find(|row| row.state == VersionState::Held && row.blob.is_none());
    match empty {
        Some(row) => Err(StoreError::Invalid(format!(
            "{}@{} is said to be held without naming its blob",
            change.name.as_str(),
            row.version
        ))),
        None => Ok(()),
    }
}

/// No text of a change may hold NUL, which PostgreSQL cannot store: only this change is refused.
fn check_text(change: &PackageChange) -> Result<(), StoreError> {
    let document = change.document.iter().flat_map(|document| {
        let tags = document.dist_tags.iter().flat_map(|(tag, version)| [tag, version]);
        tags.chain(&document.upstream_rev).chain(&document.modified)
    });
    let versions = change.versions.iter().flat_map(|row| {
        let always = [&row.version, &row.tarball_file];
        always.into_iter().chain(&row.tarball_url).chain(&row.expected).chain(&row.reason)
    });
    let validators = change.validators.etag.iter().chain(&change.validators.last_modified);
    let rest = change.removed_versions.iter().chain(&change.alarms).chain([&change.registry]);
    let mut texts = document.chain(versions).chain(validators).chain(rest);
    match texts.find(|text| text.contains('\0')) {
        Some(text) => Err(StoreError::Invalid(format!(
            "a text about {} holds a NUL character, which databases refuse: {text:?}",
            change.name.as_str()
        ))),
        None => Ok(()),
    }
}
