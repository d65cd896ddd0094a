//! The `blobs` table: where each digest is stored.
//!
//! Rows are written by commits after the bytes are durable, and deleted before the bytes are.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use npm::Sha512Digest;

use crate::blobs::BlobLocation;
use crate::dialect::{RowsStatement, Value};
use crate::schema::blobs;
use crate::{AnyConnection, StoreError};

/// A digest that is stored already keeps its place; the new bytes become dead space.
const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO blobs (digest, segment, start_bytes, length_bytes) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (digest) DO NOTHING",
};

const FIND: RowsStatement = RowsStatement {
    head: "SELECT digest, segment, start_bytes, length_bytes FROM blobs WHERE digest IN (",
    columns: 1,
    tail: ")",
};
type FoundColumns = (Binary, BigInt, BigInt, BigInt);

/// The columns of a location, as selected.
pub(crate) type LocationColumns = (blobs::segment, blobs::start_bytes, blobs::length_bytes);
/// Those columns.
pub(crate) const LOCATION: LocationColumns =
    (blobs::segment, blobs::start_bytes, blobs::length_bytes);
/// Their values.
pub(crate) type RawLocation = (i64, i64, i64);

pub(crate) fn location((segment, offset, length): RawLocation) -> BlobLocation {
    BlobLocation { segment, offset, length }
}

/// Reads a digest column.
pub(crate) fn digest(bytes: &[u8]) -> Result<Sha512Digest, StoreError> {
    Sha512Digest::from_slice(bytes).ok_or_else(|| {
        StoreError::damaged(format!("a digest column holds {} bytes instead of 64", bytes.len()))
    })
}

/// Where a digest is stored.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    digest: &Sha512Digest,
) -> Result<Option<BlobLocation>, StoreError> {
    let found = blobs::table
        .filter(blobs::digest.eq(digest.as_bytes().as_slice()))
        .select(LOCATION)
        .get_result::<RawLocation>(connection)
        .optional()?;
    Ok(found.map(location))
}

/// Where these digests are stored; those that are not are left out.
///
/// # Errors
/// Those of the database.
pub fn find_many(
    connection: &mut AnyConnection,
    digests: &[Sha512Digest],
) -> Result<HashMap<Sha512Digest, BlobLocation>, StoreError> {
    let keys: Vec<_> = digests.iter().map(|digest| Value::Binary(digest.as_bytes())).collect();
    let rows: Vec<(Vec<u8>, i64, i64, i64)> = FIND.load::<FoundColumns, _>(connection, &keys)?;
    let mut found = HashMap::with_capacity(rows.len());
    for (key, segment, start, length) in rows {
        found.insert(digest(&key)?, location((segment, start, length)));
    }
    Ok(found)
}

/// Writes rows for bytes that are durable already (a write).
///
/// # Errors
/// Those of the database.
pub fn insert(
    connection: &mut AnyConnection,
    rows: &mut Vec<(Sha512Digest, BlobLocation)>,
) -> Result<(), StoreError> {
    rows.sort_unstable_by_key(|(digest, _)| *digest);
    rows.dedup_by_key(|(digest, _)| *digest);
    let mut values = Vec::with_capacity(rows.len() * INSERT.columns);
    for (digest, place) in rows.iter() {
        values.extend([
            Value::Binary(digest.as_bytes()),
            Value::BigInt(place.segment),
            Value::BigInt(place.offset),
            Value::BigInt(place.length),
        ]);
    }
    INSERT.execute(connection, &values)?;
    Ok(())
}
