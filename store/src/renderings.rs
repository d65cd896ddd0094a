//! The `renderings` table: documents made ready for readers, by package, form, encoding and base
//! address.
//!
//! Losable: whatever is missing here is rendered again.

use diesel::prelude::*;
use npm::Sha512Digest;

use crate::blob_rows::{self, LOCATION, RawLocation};
use crate::blobs::BlobLocation;
use crate::dialect::{RowsStatement, Value};
use crate::schema::{blobs, renderings};
use crate::{AnyConnection, StoreError};

/// Base addresses kept for one form; a further one is rendered without being kept, so that nobody
/// fills the disk by inventing host names.
pub const MAX_BASES: i64 = 8;

/// What a rendering was made from and for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RenderingKey {
    /// Row id of the package.
    pub package_id: i64,
    /// Its revision.
    pub revision: i64,
    /// `full` or `abbreviated`.
    pub form: &'static str,
    /// `gzip` or `identity`.
    pub encoding: &'static str,
    /// Base address of the links in it.
    pub base: String,
    /// Fingerprint of what is left out and why; 0 when nothing is. Blocks, rules and time change
    /// it, and a rendering with another one is made anew.
    pub policy_epoch: i64,
}

/// A stored rendering.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendering {
    /// Of the stored bytes; the blob's key.
    pub digest: Sha512Digest,
    /// Where they are.
    pub location: BlobLocation,
    /// The ETag it is served with.
    pub etag: String,
    /// Size as stored.
    pub bytes: i64,
}

/// One made from a newer revision stays.
const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO renderings (package_id, form, encoding, base, revision, policy_epoch, \
           digest, etag, body_bytes) VALUES ",
    columns: 9,
    tail: " ON CONFLICT (package_id, form, encoding, base) DO UPDATE SET \
           revision = excluded.revision, policy_epoch = excluded.policy_epoch, \
           digest = excluded.digest, etag = excluded.etag, body_bytes = excluded.body_bytes \
           WHERE excluded.revision >= renderings.revision",
};

/// The rendering for exactly this key.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    key: &RenderingKey,
) -> Result<Option<Rendering>, StoreError> {
    let found = renderings::table
        .inner_join(blobs::table.on(renderings::digest.eq(blobs::digest)))
        .filter(renderings::package_id.eq(key.package_id))
        .filter(renderings::form.eq(key.form))
        .filter(renderings::encoding.eq(key.encoding))
        .filter(renderings::base.eq(&key.base))
        .filter(renderings::revision.eq(key.revision))
        .filter(renderings::policy_epoch.eq(key.policy_epoch))
        .select((renderings::digest, LOCATION, renderings::etag, renderings::body_bytes))
        .get_result::<(Vec<u8>, RawLocation, String, i64)>(connection)
        .optional()?;
    let Some((digest, place, etag, bytes)) = found else { return Ok(None) };
    let digest = blob_rows::digest(&digest)?;
    Ok(Some(Rendering { digest, location: blob_rows::location(place), etag, bytes }))
}

/// Keeps a rendering whose bytes were put (a write); it replaces the one of an older revision.
///
/// Answers `false` when it is not kept because the package has [`MAX_BASES`] others in this form.
///
/// # Errors
/// Those of the database.
pub fn insert(
    connection: &mut AnyConnection,
    key: &RenderingKey,
    rendering: &Rendering,
) -> Result<bool, StoreError> {
    let others: i64 = renderings::table
        .filter(renderings::package_id.eq(key.package_id))
        .filter(renderings::form.eq(key.form))
        .filter(renderings::encoding.eq(key.encoding))
        .filter(renderings::base.ne(&key.base))
        .filter(renderings::revision.eq(key.revision))
        .count()
        .get_result(connection)?;
    if others >= MAX_BASES {
        return Ok(false);
    }
    drop_outdated(connection, key)?;
    blob_rows::insert(connection, &mut vec![(rendering.digest, rendering.location)])?;
    let values = [
        Value::BigInt(key.package_id),
        Value::Text(key.form),
        Value::Text(key.encoding),
        Value::Text(&key.base),
        Value::BigInt(key.revision),
        Value::BigInt(key.policy_epoch),
        Value::Binary(rendering.digest.as_bytes()),
        Value::Text(&rendering.etag),
        Value::BigInt(rendering.bytes),
    ];
    Ok(UPSERT.execute(connection, &values)? > 0)
}

/// Older revisions under other base addresses would only wait to be counted.
fn drop_outdated(connection: &mut AnyConnection, key: &RenderingKey) -> Result<(), StoreError> {
    let outdated = renderings::table
        .filter(renderings::package_id.eq(key.package_id))
        .filter(renderings::form.eq(key.form))
        .filter(renderings::encoding.eq(key.encoding))
        .filter(renderings::base.ne(&key.base))
        .filter(renderings::revision.lt(key.revision));
    diesel::delete(outdated).execute(connection)?;
    Ok(())
}
