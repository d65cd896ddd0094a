//! The queries of maintenance: whole tables in pages, and the few writes.

use std::collections::HashSet;

use diesel::dsl::{max, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use npm::Sha512Digest;

use super::verify::Damage;
use crate::blob_rows::{self, LOCATION, RawLocation};
use crate::blobs::{BlobLocation, BlobStore};
use crate::schema::{blobs, changes, packages, renderings, tasks, versions};
use crate::{AnyConnection, StoreError, TaskState, VersionState, segments};

/// Package ids a page of `versions` spans.
const PACKAGES_AT_ONCE: i64 = 1_000;
/// Digests named in one statement.
const DIGESTS_AT_ONCE: usize = 500;

/// A blob as its row describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BlobRow {
    pub digest: Sha512Digest,
    pub location: BlobLocation,
}

/// What rows in a segment still need of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LiveBytes {
    pub segment: i64,
    pub blobs: i64,
    pub bytes: i64,
}

/// First 64 bits of a digest. Two of the same only keep a blob longer than needed.
pub(super) fn fingerprint(digest: &[u8]) -> u64 {
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Fingerprints of every digest that a version, a document or a rendering names, sorted.
///
/// Eight bytes each, because a large mirror names tens of millions.
pub(super) fn referenced(connection: &mut AnyConnection) -> Result<Vec<u64>, StoreError> {
    let mut found = Vec::new();
    let last = packages::table.select(max(packages::id)).get_result::<Option<i64>>(connection)?;
    let mut first = i64::MIN;
    let mut page = 0;
    while page <= last.unwrap_or(-1) {
        let to = page + PACKAGES_AT_ONCE;
        let held = versions::table
            .filter(versions::package_id.ge(first))
            .filter(versions::package_id.lt(to))
            .select(versions::blob.assume_not_null())
            .filter(versions::blob.is_not_null())
            .load::<Vec<u8>>(connection)?;
        let documents = packages::table
            .filter(packages::id.ge(first))
            .filter(packages::id.lt(to))
            .filter(packages::document_digest.is_not_null())
            .select(packages::document_digest.assume_not_null())
            .load::<Vec<u8>>(connection)?;
        found.extend(held.iter().chain(&documents).map(|digest| fingerprint(digest)));
        (first, page) = (to, to);
    }
    let rendered = renderings::table.select(renderings::digest).load::<Vec<u8>>(connection)?;
    found.extend(rendered.iter().map(|digest| fingerprint(digest)));
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Rows of blobs behind `after`, by digest.
pub(super) fn blobs_after(
    connection: &mut AnyConnection,
    after: &[u8],
    limit: i64,
) -> Result<Vec<BlobRow>, StoreError> {
    let rows = blobs::table
        .filter(blobs::digest.gt(after))
        .order(blobs::digest)
        .limit(limit)
        .select((blobs::digest, LOCATION))
        .load::<(Vec<u8>, RawLocation)>(connection)?;
    rows.into_iter().map(blob_row).collect()
}

/// Rows of blobs in these segments.
pub(super) fn blobs_in_segments(
    connection: &mut AnyConnection,
    ids: &[i64],
) -> Result<Vec<BlobRow>, StoreError> {
    let rows = blobs::table
        .filter(blobs::segment.eq_any(ids))
        .order((blobs::segment, blobs::start_bytes))
        .select((blobs::digest, LOCATION))
        .load::<(Vec<u8>, RawLocation)>(connection)?;
    rows.into_iter().map(blob_row).collect()
}

fn blob_row((digest, place): (Vec<u8>, RawLocation)) -> Result<BlobRow, StoreError> {
    Ok(BlobRow { digest: blob_rows::digest(&digest)?, location: blob_rows::location(place) })
}

/// What is named in each segment; segments nobody names are left out.
pub(super) fn live_bytes(connection: &mut AnyConnection) -> Result<Vec<LiveBytes>, StoreError> {
    let rows = blobs::table
        .filter(blobs::segment.gt(0))
        .group_by(blobs::segment)
        .select((
            blobs::segment,
            sql::<BigInt>("COUNT(*)"),
            sql::<BigInt>("CAST(SUM(length_bytes) AS BIGINT)"),
        ))
        .load::<(i64, i64, i64)>(connection)?;
    let live = |(segment, blobs, bytes)| LiveBytes { segment, blobs, bytes };
    Ok(rows.into_iter().map(live).collect())
}

/// Removes the rows of blobs that nothing names (a write). `since` is the seq at which the
/// candidates were found; whatever was committed behind it is looked at again here.
///
/// Answers the digests whose rows, if they had one, are gone.
pub(super) fn delete_unreferenced(
    connection: &mut AnyConnection,
    candidates: &[Sha512Digest],
    since: i64,
) -> Result<Vec<Sha512Digest>, StoreError> {
    let named = named_since(connection, since)?;
    let gone: Vec<Sha512Digest> = candidates
        .iter()
        .filter(|digest| !named.contains(digest.as_bytes().as_slice()))
        .copied()
        .collect();
    for digests in gone.chunks(DIGESTS_AT_ONCE) {
        let keys = digests.iter().map(|digest| digest.as_bytes().as_slice());
        diesel::delete(blobs::table.filter(blobs::digest.eq_any(keys))).execute(connection)?;
    }
    Ok(gone)
}

/// Digests named by packages that changed behind a seq. Renderings are in no log: all count.
fn named_since(connection: &mut AnyConnection, since: i64) -> Result<HashSet<Vec<u8>>, StoreError> {
    let changed = || changes::table.filter(changes::seq.gt(since)).select(changes::name);
    let ids = packages::table.filter(packages::name.eq_any(changed())).select(packages::id);
    let versions = versions::table
        .filter(versions::package_id.eq_any(ids))
        .filter(versions::blob.is_not_null())
        .select(versions::blob.assume_not_null())
        .load::<Vec<u8>>(connection)?;
    let documents = packages::table
        .filter(packages::name.eq_any(changed()))
        .filter(packages::document_digest.is_not_null())
        .select(packages::document_digest.assume_not_null())
        .load::<Vec<u8>>(connection)?;
    let rendered = renderings::table.select(renderings::digest).load::<Vec<u8>>(connection)?;
    Ok(versions.into_iter().chain(documents).chain(rendered).collect())
}

/// Points rows at their new places and forgets the segment (a write).
///
/// # Errors
/// [`StoreError::Other`] when a new place is not durable or a row is left in the segment:
/// then nothing may be moved.
pub(super) fn leave_segment(
    connection: &mut AnyConnection,
    segment: i64,
    moved: &[(Sha512Digest, BlobLocation)],
    store: &dyn BlobStore,
) -> Result<(), StoreError> {
    for (digest, to) in moved {
        if !store.is_durable(*to) {
            return Err(StoreError::MissingBlob(*digest));
        }
        let row = blobs::table
            .filter(blobs::digest.eq(digest.as_bytes().as_slice()))
            .filter(blobs::segment.eq(segment));
        let place = (blobs::segment.eq(to.segment), blobs::start_bytes.eq(to.offset));
        diesel::update(row).set(place).execute(connection)?;
    }
    let left: i64 =
        blobs::table.filter(blobs::segment.eq(segment)).count().get_result(connection)?;
    if left > 0 {
        return Err(StoreError::Other(format!(
            "{left} blobs were stored in segment {segment} while it was rewritten"
        )));
    }
    segments::delete(connection, segment)
}

/// How many finished tasks are older than this.
pub(super) fn count_finished_before(
    connection: &mut AnyConnection,
    at_ms: i64,
) -> Result<u64, StoreError> {
    let ended = [TaskState::Success.as_str(), TaskState::Error.as_str()];
    let count: i64 = tasks::table
        .filter(tasks::state.eq_any(ended))
        .filter(tasks::updated_at_ms.lt(at_ms))
        .count()
        .get_result(connection)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Makes damaged blobs count as not here (a write), so that the next sync of their packages
/// fetches them again.
///
/// Every version that named one becomes remote, every document that named one is asked for
/// without validators, renderings made from it go. The damaged bytes become dead space.
///
/// # Errors
/// Those of the database.
pub fn forget_damaged(
    connection: &mut AnyConnection,
    damaged: &[Damage],
) -> Result<(), StoreError> {
    let digests: Vec<&[u8]> =
        damaged.iter().map(|damage| damage.digest.as_bytes().as_slice()).collect();
    for digests in digests.chunks(DIGESTS_AT_ONCE) {
        let named = versions::table.filter(versions::blob.eq_any(digests));
        diesel::update(named)
            .set((
                versions::state.eq(VersionState::Remote.as_str()),
                versions::blob.eq(None::<Vec<u8>>),
                versions::size_bytes.eq(None::<i64>),
            ))
            .execute(connection)?;
        let documents = packages::table.filter(packages::document_digest.eq_any(digests));
        diesel::update(documents)
            .set((
                packages::document_digest.eq(None::<Vec<u8>>),
                packages::document_encoding.eq(None::<String>),
                packages::document_stored_bytes.eq(None::<i64>),
                packages::document_body_bytes.eq(None::<i64>),
                packages::etag.eq(None::<String>),
                packages::last_modified.eq(None::<String>),
            ))
            .execute(connection)?;
        diesel::delete(renderings::table.filter(renderings::digest.eq_any(digests)))
            .execute(connection)?;
        diesel::delete(blobs::table.filter(blobs::digest.eq_any(digests))).execute(connection)?;
    }
    Ok(())
}
