//! What a change does to the row of its package.

use diesel::sql_types::{BigInt, Text};

use super::Outcome;
use crate::change::{Committed, PackageChange};
use crate::dialect::{RowsStatement, Value};
use crate::dist_tags::NewTags;
use crate::schema::packages;
use crate::states::{Keeping, PackageStatus};
use crate::{AnyConnection, StoreError, missing_names};

/// A package's columns in the order of the table.
#[derive(Clone, PartialEq, Eq, Debug, diesel::Queryable)]
pub(super) struct Columns {
    pub id: i64,
    pub name: String,
    pub registry: String,
    pub keep: String,
    pub status: String,
    pub revision: i64,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub document_digest: Option<Vec<u8>>,
    pub document_encoding: Option<String>,
    pub document_stored_bytes: Option<i64>,
    pub document_body_bytes: Option<i64>,
    pub upstream_rev: Option<String>,
    pub modified: Option<String>,
    pub checked_at_ms: i64,
    pub changed_at_ms: i64,
    pub gone_at_ms: Option<i64>,
}

/// Column types of the whole table.
pub(super) type SqlColumns = packages::SqlType;

/// An accepted change and what becomes of its package's row.
pub(super) struct Plan<'a> {
    /// Place of the change in the batch.
    pub index: usize,
    pub change: &'a PackageChange,
    /// The row to be; its id is 0 until the package has one.
    row: Columns,
    /// The package is new.
    fresh: bool,
    /// The row differs from what is stored.
    differs: bool,
    /// What readers see differs.
    raised: bool,
    new_document: bool,
}

/// As many as upstream's own revs have.
const REV_DIGEST_BYTES: usize = 16;

/// What the log says of an accepted change.
pub(super) struct News {
    /// Place of the change in the batch.
    pub index: usize,
    /// Names the document in the feed.
    pub rev: String,
    /// The package is gone.
    pub deleted: bool,
}

macro_rules! columns {
    () => {
        "name, registry, keep, status, revision, etag, last_modified, document_digest, \
         document_encoding, document_stored_bytes, document_body_bytes, upstream_rev, modified, \
         checked_at_ms, changed_at_ms, gone_at_ms"
    };
}

/// Another node may have been faster (PostgreSQL): such a row is not answered.
const INSERT: RowsStatement = RowsStatement {
    head: concat!("INSERT INTO packages (", columns!(), ") VALUES "),
    columns: 16,
    tail: " ON CONFLICT (name) DO NOTHING RETURNING id, name",
};

/// The rows exist and are locked: this never inserts.
const UPDATE: RowsStatement = RowsStatement {
    head: concat!("INSERT INTO packages (", columns!(), ") VALUES "),
    columns: 16,
    tail: " ON CONFLICT (name) DO UPDATE SET registry = excluded.registry, keep = excluded.keep, \
           status = excluded.status, revision = excluded.revision, etag = excluded.etag, \
           last_modified = excluded.last_modified, document_digest = excluded.document_digest, \
           document_encoding = excluded.document_encoding, \
           document_stored_bytes = excluded.document_stored_bytes, \
           document_body_bytes = excluded.document_body_bytes, \
           upstream_rev = excluded.upstream_rev, modified = excluded.modified, \
           checked_at_ms = excluded.checked_at_ms, changed_at_ms = excluded.changed_at_ms, \
           gone_at_ms = excluded.gone_at_ms",
};

impl<'a> Plan<'a> {
    /// Merges a change into the stored row.
    pub fn new(
        index: usize,
        change: &'a PackageChange,
        stored: Option<Columns>,
    ) -> Result<Self, StoreError> {
        let fresh = stored.is_none();
        let before = stored.unwrap_or_else(|| unknown(change));
        let mut row = before.clone();
        if change.publication.is_some() {
            row.registry.clone_from(&change.registry);
        }
        row.keep = change.keep.raised_by(Keeping::from_text(&before.keep)?).as_str().to_owned();
        row.checked_at_ms = before.checked_at_ms.max(change.checked_at_ms);
        put_validators(&mut row, change);
        let new_document = put_document(&mut row, change);
        let gone = put_gone(&mut row, change);
        let raised =
            fresh || new_document || gone || change.revise || !change.removed_versions.is_empty();
        if raised {
            row.revision = before.revision + 1;
            row.changed_at_ms = change.checked_at_ms.max(before.changed_at_ms);
        }
        let differs = fresh || row != before;
        Ok(Self { index, change, row, fresh, differs, raised, new_document })
    }

    /// Row id of the package, once saved.
    pub fn package_id(&self) -> i64 {
        self.row.id
    }

    /// What belongs into the log; asking upstream in vain does not.
    pub fn news(&self) -> Option<News> {
        let change = self.change;
        let is_news = self.raised || !change.versions.is_empty() || !change.alarms.is_empty();
        is_news.then(|| News {
            index: self.index,
            rev: rev(&self.row),
            deleted: PackageStatus::from_text(&self.row.status).is_ok_and(PackageStatus::is_gone),
        })
    }

    /// Without a seq yet.
    pub fn committed(&self) -> Committed {
        Committed { package_id: self.row.id, revision: self.row.revision, local_seq: 0 }
    }

    /// The tags to store, if the document is a new one.
    pub fn new_tags(&self) -> Option<NewTags<'_>> {
        let document = self.change.document.as_ref().filter(|_| self.new_document)?;
        let tags = &document.dist_tags;
        Some(NewTags { package_id: self.row.id, fresh: self.fresh, tags })
    }

    fn values(&self) -> [Value<'_>; 16] {
        let row = &self.row;
        [
            Value::Text(&row.name),
            Value::Text(&row.registry),
            Value::Text(&row.keep),
            Value::Text(&row.status),
            Value::BigInt(row.revision),
            Value::OptionalText(row.etag.as_deref()),
            Value::OptionalText(row.last_modified.as_deref()),
            Value::OptionalBinary(row.document_digest.as_deref()),
            Value::OptionalText(row.document_encoding.as_deref()),
            Value::OptionalBigInt(row.document_stored_bytes),
            Value::OptionalBigInt(row.document_body_bytes),
            Value::OptionalText(row.upstream_rev.as_deref()),
            Value::OptionalText(row.modified.as_deref()),
            Value::BigInt(row.checked_at_ms),
            Value::BigInt(row.changed_at_ms),
            Value::OptionalBigInt(row.gone_at_ms),
        ]
    }
}

/// Upstream's `_rev`, which readers find in the document, or one of ours in the same form.
fn rev(row: &Columns) -> String {
    match (&row.upstream_rev, &row.document_digest) {
        (Some(rev), _) => rev.clone(),
        (None, Some(digest)) => {
            let digest = digest.get(..REV_DIGEST_BYTES).unwrap_or(digest);
            format!("{}-{}", row.revision, hex::encode(digest))
        }
        (None, None) => format!("{}-0", row.revision),
    }
}

fn unknown(change: &PackageChange) -> Columns {
    Columns {
        id: 0,
        name: change.name.as_str().to_owned(),
        registry: change.registry.clone(),
        keep: change.keep.as_str().to_owned(),
        status: PackageStatus::Live.as_str().to_owned(),
        revision: 0,
        etag: None,
        last_modified: None,
        document_digest: None,
        document_encoding: None,
        document_stored_bytes: None,
        document_body_bytes: None,
        upstream_rev: None,
        modified: None,
        checked_at_ms: 0,
        changed_at_ms: 0,
        gone_at_ms: None,
    }
}

/// An answer without a document that repeats no validators leaves the known ones alone.
fn put_validators(row: &mut Columns, change: &PackageChange) {
    let validators = &change.validators;
    let given = validators.etag.is_some() || validators.last_modified.is_some();
    if change.document.is_some() || given {
        row.etag.clone_from(&validators.etag);
        row.last_modified.clone_from(&validators.last_modified);
    }
}

/// Says whether the document differs from the stored one.
fn put_document(row: &mut Columns, change: &PackageChange) -> bool {
    let Some(document) = &change.document else { return false };
    let same = row.document_digest.as_deref() == Some(document.digest.as_bytes().as_slice())
        && row.status == document.status.as_str();
    row.document_digest = Some(document.digest.as_bytes().to_vec());
    row.document_encoding = Some(document.encoding.as_str().to_owned());
    row.document_stored_bytes = Some(document.stored_bytes);
    row.document_body_bytes = Some(document.body_bytes);
    row.upstream_rev.clone_from(&document.upstream_rev);
    row.modified.clone_from(&document.modified);
    document.status.as_str().clone_into(&mut row.status);
    !same
}

/// Says whether the package counts as something else now. A document ends every absence.
fn put_gone(row: &mut Columns, change: &PackageChange) -> bool {
    if change.document.is_some() {
        row.gone_at_ms = None;
        return false;
    }
    let Some(gone) = change.gone else { return false };
    row.gone_at_ms = Some(row.gone_at_ms.unwrap_or(gone.at_ms));
    let status = gone.status.map(PackageStatus::as_str).filter(|status| *status != row.status);
    status.is_some_and(|status| {
        status.clone_into(&mut row.status);
        true
    })
}

/// Writes the rows; a package that another node added meanwhile leaves `plans` with a conflict.
pub(super) fn save(
    connection: &mut AnyConnection,
    plans: &mut Vec<Plan<'_>>,
) -> Result<Vec<(usize, Outcome)>, StoreError> {
    plans.sort_unstable_by(|a, b| a.row.name.cmp(&b.row.name));
    let changed = plans.iter().filter(|plan| plan.differs && !plan.fresh);
    UPDATE.execute(connection, &changed.flat_map(Plan::values).collect::<Vec<_>>())?;
    let fresh: Vec<_> = plans.iter().filter(|plan| plan.fresh).flat_map(Plan::values).collect();
    let mut ids: Vec<(i64, String)> = INSERT.load::<(BigInt, Text), _>(connection, &fresh)?;
    ids.sort_unstable_by(|a, b| a.1.cmp(&b.1));
    let arrived = plans.iter().filter(|plan| plan.fresh);
    let arrived: Vec<_> =
        arrived.map(|plan| (plan.row.registry.as_str(), plan.row.name.as_str())).collect();
    missing_names::forget(connection, &arrived)?;
    let mut lost = Vec::new();
    plans.retain_mut(|plan| {
        if !plan.fresh {
            return true;
        }
        let found = ids.binary_search_by(|(_, name)| name.as_str().cmp(&plan.row.name));
        match found.ok().and_then(|place| ids.get(place)) {
            Some((id, _)) => {
                plan.row.id = *id;
                true
            }
            None => {
                lost.push((plan.index, Err(conflict(plan.change, None))));
                false
            }
        }
    });
    Ok(lost)
}

/// The refusal of a change that was made against another revision.
pub(super) fn conflict(change: &PackageChange, found: Option<i64>) -> StoreError {
    StoreError::Conflict {
        name: change.name.as_str().to_owned(),
        expected: change.base_revision,
        found,
    }
}
