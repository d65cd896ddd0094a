//! The `blocks` table: packages and versions that are withheld, why, and by whom.
//!
//! Every write raises the revision of the package, so documents made before are made anew. What a
//! person does comes through [`add_by`] and [`remove_by`], which write it down in the audit log; what
//! a sync finds comes through [`add`] and [`remove`].

use diesel::prelude::*;
use npm::PackageName;
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, By};
use crate::dialect::{self, RowsStatement, Value};
use crate::packages::package_name;
use crate::schema::{blocks, packages};
use crate::states::BlockKind;
use crate::{AnyConnection, StoreError, epochs};

/// Stands for all versions of a package.
pub const WHOLE_PACKAGE: &str = "*";

/// A block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockRow {
    /// Its id.
    pub id: String,
    /// The package.
    pub name: PackageName,
    /// The version, [`WHOLE_PACKAGE`] for all.
    pub version: String,
    /// Who withholds.
    pub kind: BlockKind,
    /// Why, as clients are told.
    pub reason: String,
    /// Since when.
    pub created_at_ms: i64,
    /// When the reason changed last.
    pub updated_at_ms: i64,
    /// Who withholds it, `name/id`; none where no person does.
    pub operator: Option<String>,
}

impl BlockRow {
    /// The reason as clients are told it: with who said so.
    #[must_use]
    pub fn told(&self) -> String {
        match &self.operator {
            Some(operator) => format!("{} (operator: {operator})", self.reason),
            None => self.reason.clone(),
        }
    }
}

/// What is to be withheld, and why.
#[derive(Clone, Copy, Debug)]
pub struct NewBlock<'a> {
    /// The package.
    pub name: &'a PackageName,
    /// The version, [`WHOLE_PACKAGE`] for all.
    pub version: &'a str,
    /// Who withholds.
    pub kind: BlockKind,
    /// Why.
    pub reason: &'a str,
    /// `name/id` of the person.
    pub operator: Option<&'a str>,
}

type Raw = (String, String, String, String, String, i64, i64, Option<String>);

/// A person's word stands against what a sync finds, not the other way round.
const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO blocks (name, version, id, kind, reason, created_at_ms, updated_at_ms, \
           operator) VALUES ",
    columns: 8,
    tail: " ON CONFLICT (name, version) DO UPDATE SET kind = excluded.kind, \
           reason = excluded.reason, updated_at_ms = excluded.updated_at_ms, \
           operator = excluded.operator \
           WHERE (blocks.kind = 'removed' OR excluded.kind = 'admin') \
           AND (blocks.kind <> excluded.kind OR blocks.reason <> excluded.reason \
           OR COALESCE(blocks.operator, '') <> COALESCE(excluded.operator, ''))",
};

fn row(raw: Raw) -> Result<BlockRow, StoreError> {
    let (name, version, id, kind, reason, created, updated, operator) = raw;
    Ok(BlockRow {
        id,
        name: package_name(&name)?,
        version,
        kind: BlockKind::from_text(&kind)?,
        reason,
        created_at_ms: created,
        updated_at_ms: updated,
        operator,
    })
}

/// The blocks of a package: the whole package first, then its versions in byte order.
///
/// # Errors
/// Those of the database.
pub fn of_package(
    connection: &mut AnyConnection,
    name: &PackageName,
) -> Result<Vec<BlockRow>, StoreError> {
    let rows = blocks::table.filter(blocks::name.eq(name.as_str()));
    let rows = rows.order(blocks::version).load::<Raw>(connection)?;
    rows.into_iter().map(row).collect()
}

/// What withholds one version: the block of its package, else its own.
///
/// # Errors
/// Those of the database.
pub fn of_version(
    connection: &mut AnyConnection,
    name: &PackageName,
    version: &str,
) -> Result<Option<BlockRow>, StoreError> {
    let found = blocks::table
        .filter(blocks::name.eq(name.as_str()))
        .filter(blocks::version.eq_any([WHOLE_PACKAGE, version]))
        .order(blocks::version)
        .first::<Raw>(connection)
        .optional()?;
    found.map(row).transpose()
}

/// Blocks behind (name, version), in byte order.
///
/// # Errors
/// Those of the database.
pub fn list(
    connection: &mut AnyConnection,
    after: (&str, &str),
    limit: i64,
) -> Result<Vec<BlockRow>, StoreError> {
    let (name, version) = after;
    let behind = blocks::name.gt(name).or(blocks::name.eq(name).and(blocks::version.gt(version)));
    let rows = blocks::table.filter(behind).order((blocks::name, blocks::version)).limit(limit);
    rows.load::<Raw>(connection)?.into_iter().map(row).collect()
}

/// Withholds a version, or with [`WHOLE_PACKAGE`] all of them (a write). Again: a new reason
/// under the same id; with the same reason nothing happens.
///
/// # Errors
/// Those of the database.
pub fn add(connection: &mut AnyConnection, new: &NewBlock<'_>) -> Result<(), StoreError> {
    let now_ms = dialect::now_ms(connection)?;
    let id = Uuid::now_v7().hyphenated().to_string();
    let values = [
        Value::Text(new.name.as_str()),
        Value::Text(new.version),
        Value::Text(&id),
        Value::Text(new.kind.as_str()),
        Value::Text(new.reason),
        Value::BigInt(now_ms),
        Value::BigInt(now_ms),
        Value::OptionalText(new.operator),
    ];
    if UPSERT.execute(connection, &values)? > 0 {
        raise_revision(connection, new.name, now_ms)?;
        if new.kind == BlockKind::Admin {
            // others come with a commit, of which there are thousands a second in a bulk sync
            epochs::raise(connection, epochs::Kind::Blocks)?;
        }
    }
    Ok(())
}

/// The block of just this, not of what it is part of.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    name: &PackageName,
    version: &str,
) -> Result<Option<BlockRow>, StoreError> {
    let found = blocks::table.find((name.as_str(), version)).get_result::<Raw>(connection);
    found.optional()?.map(row).transpose()
}

/// A person withholds a version, or all of them (a write); answers the row.
///
/// # Errors
/// Those of the database.
pub fn add_by(
    connection: &mut AnyConnection,
    name: &PackageName,
    version: &str,
    reason: &str,
    by: &By,
) -> Result<BlockRow, StoreError> {
    let before = find(connection, name, version)?;
    // a login name is never given to another, so it is the id as well
    let operator = format!("{0}/{0}", by.who);
    let kind = BlockKind::Admin;
    add(connection, &NewBlock { name, version, kind, reason, operator: Some(&operator) })?;
    let after = find(connection, name, version)?;
    let after =
        after.ok_or_else(|| StoreError::damaged("a block that was written is not there"))?;
    record(connection, "block.add", before.as_ref(), Some(&after), by)?;
    Ok(after)
}

/// A person lifts a block, whoever made it (a write); `false` when there was none.
///
/// # Errors
/// Those of the database.
pub fn remove_by(
    connection: &mut AnyConnection,
    name: &PackageName,
    version: &str,
    by: &By,
) -> Result<bool, StoreError> {
    let Some(before) = find(connection, name, version)? else { return Ok(false) };
    record(connection, "block.remove", Some(&before), None, by)?;
    remove(connection, name, version, None)
}

fn record(
    connection: &mut AnyConnection,
    action: &str,
    before: Option<&BlockRow>,
    after: Option<&BlockRow>,
    by: &By,
) -> Result<(), StoreError> {
    let Some(row) = after.or(before) else { return Ok(()) };
    let subject = match row.version.as_str() {
        WHOLE_PACKAGE => row.name.to_string(),
        version => format!("{}@{version}", row.name),
    };
    let shown = |row: &BlockRow| json!({ "reason": row.reason, "kind": row.kind.as_str() });
    let (before, after) = (before.map(shown), after.map(shown));
    audit::record(connection, by, action, &subject, before.as_ref(), after.as_ref())
}

/// Ends a block (a write); `false` when there was none. With a kind only one of that kind.
///
/// # Errors
/// Those of the database.
pub fn remove(
    connection: &mut AnyConnection,
    name: &PackageName,
    version: &str,
    kind: Option<BlockKind>,
) -> Result<bool, StoreError> {
    let kinds = match kind {
        Some(kind) => vec![kind.as_str()],
        None => vec![BlockKind::Admin.as_str(), BlockKind::Removed.as_str()],
    };
    let gone = diesel::delete(
        blocks::table
            .filter(blocks::name.eq(name.as_str()))
            .filter(blocks::version.eq(version))
            .filter(blocks::kind.eq_any(kinds)),
    )
    .execute(connection)?;
    if gone > 0 {
        let now_ms = dialect::now_ms(connection)?;
        raise_revision(connection, name, now_ms)?;
        epochs::raise(connection, epochs::Kind::Blocks)?;
    }
    Ok(gone > 0)
}

/// Readers see another document from now on.
fn raise_revision(
    connection: &mut AnyConnection,
    name: &PackageName,
    now_ms: i64,
) -> Result<(), StoreError> {
    diesel::update(packages::table.filter(packages::name.eq(name.as_str())))
        .set((packages::revision.eq(packages::revision + 1), packages::changed_at_ms.eq(now_ms)))
        .execute(connection)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestStore, on_each_database, package};

    fn reason(test: &TestStore, version: &str) -> Option<String> {
        let lamp = package("lamp");
        let version = version.to_owned();
        test.read(move |rows| of_version(rows, &lamp, &version)).map(|row| row.reason)
    }

    fn block(test: &TestStore, version: &'static str, kind: BlockKind, reason: &'static str) {
        let name = package("lamp");
        test.write(move |rows| {
            add(rows, &NewBlock { name: &name, version, kind, reason, operator: None })
        });
    }

    #[test]
    fn what_a_person_does_has_a_name_and_a_line_in_the_audit_log() {
        on_each_database(|test| {
            let (lamp, ada) = (package("lamp"), By::terminal("ada"));
            let add = |reason| test.write(|rows| add_by(rows, &lamp, "1.0.0", reason, &ada));
            let first = add("miner");
            assert_eq!(first.told(), "miner (operator: ada/ada)");
            assert_eq!(add("runs a miner").id, first.id);
            assert!(test.write(|rows| remove_by(rows, &lamp, "1.0.0", &ada)));
            assert!(!test.write(|rows| remove_by(rows, &lamp, "1.0.0", &ada)));
            let filter = audit::AuditFilter { limit: 10, ..audit::AuditFilter::default() };
            let log = test.read(|rows| audit::list(rows, &filter));
            let told: Vec<_> = log.iter().map(|row| (row.action.as_str(), &*row.subject)).collect();
            let lines = [
                ("block.remove", "lamp@1.0.0"),
                ("block.add", "lamp@1.0.0"),
                ("block.add", "lamp@1.0.0"),
            ];
            assert_eq!(told, lines);
            assert_eq!(log[1].before.as_ref().unwrap()["reason"], "miner");
            assert_eq!(log[1].by, ada);
        });
    }

    #[test]
    fn a_block_of_the_package_counts_for_every_version_and_a_person_s_word_stays() {
        on_each_database(|test| {
            block(test, "1.0.0", BlockKind::Admin, "miner");
            assert_eq!(reason(test, "1.0.0").as_deref(), Some("miner"));
            assert_eq!(reason(test, "1.0.1"), None);
            block(test, "1.0.0", BlockKind::Removed, "gone");
            assert_eq!(reason(test, "1.0.0").as_deref(), Some("miner"));
            let first = test.read(|rows| of_package(rows, &package("lamp")));
            block(test, "1.0.0", BlockKind::Admin, "runs a miner");
            let again = test.read(|rows| of_package(rows, &package("lamp")));
            assert_eq!(again[0].id, first[0].id);
            assert_eq!(again[0].reason, "runs a miner");
            block(test, WHOLE_PACKAGE, BlockKind::Removed, "gone");
            assert_eq!(reason(test, "1.0.1").as_deref(), Some("gone"));
            assert_eq!(reason(test, "1.0.0").as_deref(), Some("gone"));
            assert_eq!(test.read(|rows| list(rows, ("lamp", "*"), 10)).len(), 1);
            let end = |kind| test.write(|rows| remove(rows, &package("lamp"), "*", kind));
            assert!(!end(Some(BlockKind::Admin)));
            assert!(end(Some(BlockKind::Removed)));
            assert!(!end(None));
            assert_eq!(test.read(|rows| of_package(rows, &package("lamp"))).len(), 1);
        });
    }

    #[test]
    fn a_block_raises_the_revision_of_a_package_that_is_here() {
        on_each_database(|test| {
            test.commit(test.change("lamp", None, "one")).unwrap();
            let revision = || {
                let row = test.read(|rows| crate::packages::find(rows, &package("lamp")));
                row.unwrap().revision
            };
            let before = revision();
            block(test, "1.0.0", BlockKind::Admin, "miner");
            assert_eq!(revision(), before + 1);
            test.write(|rows| remove(rows, &package("lamp"), "1.0.0", None));
            assert_eq!(revision(), before + 2);
        });
    }
}
