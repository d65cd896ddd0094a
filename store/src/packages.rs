//! The `packages` table: one row for each package that is here, with its current document.

use diesel::dsl::sql;
use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use npm::{PackageName, Sha512Digest};

use crate::blob_rows::{self, LOCATION, RawLocation};
use crate::blobs::BlobLocation;
use crate::change::Validators;
use crate::dialect::{RowsStatement, Value};
use crate::schema::{blobs, packages, totals};
use crate::states::{DocumentEncoding, Keeping, PackageStatus};
use crate::{AnyConnection, StoreError};

/// Names asked for in one statement.
const AT_ONCE: usize = 500;

/// A package.
#[derive(Clone, Debug)]
pub struct PackageRow {
    /// Row id.
    pub id: i64,
    /// The package.
    pub name: PackageName,
    /// Name of the registry that owns it.
    pub registry: String,
    /// How much of it is kept.
    pub keep: Keeping,
    /// What its document said.
    pub status: PackageStatus,
    /// Raised by every change that readers may see.
    pub revision: i64,
    /// For the next conditional request upstream.
    pub validators: Validators,
    /// The current document; `None` when there never was one.
    pub document: Option<DocumentRef>,
    /// Revision that the document says of itself.
    pub upstream_rev: Option<String>,
    /// When upstream was asked last.
    pub checked_at_ms: i64,
    /// When the revision was raised last.
    pub changed_at_ms: i64,
    /// Since when every answer of upstream was "not there".
    pub gone_at_ms: Option<i64>,
}

/// Where the upstream document of a package is and how it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DocumentRef {
    /// Of the stored bytes; the blob's key.
    pub digest: Sha512Digest,
    /// Where they are.
    pub location: BlobLocation,
    /// How they are compressed.
    pub encoding: DocumentEncoding,
    /// Size as stored.
    pub stored_bytes: i64,
    /// Size when decoded.
    pub body_bytes: i64,
}

/// How much is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Packages.
    pub packages: i64,
    /// Versions, removed ones included.
    pub versions: i64,
    /// Versions whose tarball is here.
    pub held: i64,
    /// Bytes of all blobs that rows name.
    pub bytes: i64,
}

#[derive(Queryable)]
struct RawPackage {
    id: i64,
    name: String,
    registry: String,
    keep: String,
    status: String,
    revision: i64,
    etag: Option<String>,
    last_modified: Option<String>,
    digest: Option<Vec<u8>>,
    encoding: Option<String>,
    stored_bytes: Option<i64>,
    body_bytes: Option<i64>,
    upstream_rev: Option<String>,
    checked_at_ms: i64,
    changed_at_ms: i64,
    gone_at_ms: Option<i64>,
    place: Option<RawLocation>,
}

/// Packages beside the place of their document, in the order of [`RawPackage`].
macro_rules! selected {
    () => {
        packages::table
            .left_join(blobs::table.on(packages::document_digest.eq(blobs::digest.nullable())))
            .select((
                packages::id,
                packages::name,
                packages::registry,
                packages::keep,
                packages::status,
                packages::revision,
                packages::etag,
                packages::last_modified,
                packages::document_digest,
                packages::document_encoding,
                packages::document_stored_bytes,
                packages::document_body_bytes,
                packages::upstream_rev,
                packages::checked_at_ms,
                packages::changed_at_ms,
                packages::gone_at_ms,
                LOCATION.nullable(),
            ))
    };
}

fn row(raw: RawPackage) -> Result<PackageRow, StoreError> {
    let document = document(&raw)?;
    Ok(PackageRow {
        id: raw.id,
        name: package_name(&raw.name)?,
        registry: raw.registry,
        keep: Keeping::from_text(&raw.keep)?,
        status: PackageStatus::from_text(&raw.status)?,
        revision: raw.revision,
        validators: Validators { etag: raw.etag, last_modified: raw.last_modified },
        document,
        upstream_rev: raw.upstream_rev,
        checked_at_ms: raw.checked_at_ms,
        changed_at_ms: raw.changed_at_ms,
        gone_at_ms: raw.gone_at_ms,
    })
}

fn document(raw: &RawPackage) -> Result<Option<DocumentRef>, StoreError> {
    let (Some(digest), Some(encoding), Some(stored_bytes), Some(body_bytes)) =
        (&raw.digest, &raw.encoding, raw.stored_bytes, raw.body_bytes)
    else {
        return Ok(None);
    };
    let digest = blob_rows::digest(digest)?;
    // Without its blob the package is as good as never fetched; the next request repairs it.
    let Some(place) = raw.place else { return Ok(None) };
    let encoding = DocumentEncoding::from_text(encoding)?;
    let location = blob_rows::location(place);
    Ok(Some(DocumentRef { digest, location, encoding, stored_bytes, body_bytes }))
}

/// Names of one query; SQLite takes 32,766 values at most.
const OWNERS_AT_ONCE: usize = 1_000;

/// Reads a name column.
pub(crate) fn package_name(text: &str) -> Result<PackageName, StoreError> {
    PackageName::parse(text)
        .map_err(|error| StoreError::damaged(format!("a stored package name is none: {error}")))
}

/// The registries that own these packages, of those that are known.
///
/// # Errors
/// Those of the database.
pub fn owners(
    connection: &mut AnyConnection,
    names: &[PackageName],
) -> Result<HashMap<PackageName, String>, StoreError> {
    let mut owners = HashMap::new();
    for names in names.chunks(OWNERS_AT_ONCE) {
        let rows = packages::table
            .filter(packages::name.eq_any(names.iter().map(PackageName::as_str)))
            .select((packages::name, packages::registry))
            .load::<(String, String)>(connection)?;
        for (name, registry) in rows {
            owners.insert(package_name(&name)?, registry);
        }
    }
    Ok(owners)
}

/// One of the packages that belong to a registry.
///
/// # Errors
/// Those of the database.
pub fn any_of(
    connection: &mut AnyConnection,
    registry: &str,
) -> Result<Option<PackageName>, StoreError> {
    let name = packages::table.filter(packages::registry.eq(registry)).select(packages::name);
    let found = name.first::<String>(connection).optional()?;
    found.map(|name| package_name(&name)).transpose()
}

/// The packages of a registry in a scope, which has its `@`, in byte order.
///
/// # Errors
/// Those of the database.
pub fn of_scope(
    connection: &mut AnyConnection,
    registry: &str,
    scope: &str,
) -> Result<Vec<PackageName>, StoreError> {
    // `0` is what comes behind `/`
    let (first, behind) = (format!("{scope}/"), format!("{scope}0"));
    let names = packages::table
        .filter(packages::registry.eq(registry))
        .filter(packages::name.ge(first))
        .filter(packages::name.lt(behind))
        .order(packages::name)
        .select(packages::name)
        .load::<String>(connection)?;
    names.iter().map(|name| package_name(name)).collect()
}

/// How many packages belong to a registry.
///
/// # Errors
/// Those of the database.
pub fn count_of(connection: &mut AnyConnection, registry: &str) -> Result<i64, StoreError> {
    Ok(packages::table.filter(packages::registry.eq(registry)).count().get_result(connection)?)
}

/// The package of this name.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    name: &PackageName,
) -> Result<Option<PackageRow>, StoreError> {
    let found = selected!()
        .filter(packages::name.eq(name.as_str()))
        .get_result::<RawPackage>(connection)
        .optional()?;
    found.map(row).transpose()
}

/// The packages of these names, in no order; unknown ones are left out.
///
/// # Errors
/// Those of the database.
pub fn find_many(
    connection: &mut AnyConnection,
    names: &[PackageName],
) -> Result<Vec<PackageRow>, StoreError> {
    let mut found = Vec::with_capacity(names.len());
    for names in names.chunks(AT_ONCE) {
        let rows = selected!()
            .filter(packages::name.eq_any(names.iter().map(PackageName::as_str)))
            .load::<RawPackage>(connection)?;
        for raw in rows {
            found.push(row(raw)?);
        }
    }
    Ok(found)
}

/// How many packages are here.
///
/// # Errors
/// Those of the database.
pub fn count(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    Ok(totals(connection)?.packages)
}

/// Names behind `after`, in byte order.
///
/// # Errors
/// Those of the database.
pub fn names_after(
    connection: &mut AnyConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<PackageName>, StoreError> {
    let names = packages::table
        .filter(packages::name.gt(after))
        .order(packages::name)
        .limit(limit)
        .select(packages::name)
        .load::<String>(connection)?;
    names.iter().map(|name| package_name(name)).collect()
}

/// How much is here: the sum of a row for each connection that ever wrote, kept by triggers as rows
/// come and go, so that its cost does not grow with the store.
///
/// # Errors
/// Those of the database.
pub fn totals(connection: &mut AnyConnection) -> Result<Totals, StoreError> {
    let sum = |column: &str| sql::<BigInt>(&format!("CAST(COALESCE(SUM({column}), 0) AS BIGINT)"));
    let sums = (sum("packages"), sum("versions"), sum("held"), sum("bytes"));
    let (packages, versions, held, bytes) = totals::table.select(sums).get_result(connection)?;
    Ok(Totals { packages, versions, held, bytes })
}

/// Notes that upstream was asked and nothing was new (a write): (name, when, validators).
///
/// Validators that upstream did not repeat are kept, and an older time changes nothing.
///
/// # Errors
/// Those of the database.
pub fn touch_checked(
    connection: &mut AnyConnection,
    checked: &[(PackageName, i64, Validators)],
) -> Result<(), StoreError> {
    let values = checked.iter().flat_map(|(name, at_ms, validators)| {
        [
            Value::Text(name.as_str()),
            Value::BigInt(*at_ms),
            Value::OptionalText(validators.etag.as_deref()),
            Value::OptionalText(validators.last_modified.as_deref()),
        ]
    });
    TOUCH.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(())
}

const TOUCH: RowsStatement = RowsStatement {
    head: "UPDATE packages SET checked_at_ms = checked.column2, \
           etag = COALESCE(checked.column3, etag), \
           last_modified = COALESCE(checked.column4, last_modified) FROM (VALUES ",
    columns: 4,
    tail: ") AS checked WHERE packages.name = checked.column1 \
           AND packages.checked_at_ms < checked.column2",
};
