//! What changes do to the rows of versions.

use std::collections::HashMap;

use super::package_rows::Plan;
use crate::change::VersionChange;
use crate::dialect::{RowsStatement, Value};
use crate::facts::scripts_text;
use crate::{AnyConnection, StoreError};

/// Three rules stand in this statement: what a version must hash to is written once, a version
/// that is held does not become remote because upstream was read again, and what is known of a
/// manifest stays where a change brings none.
const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO versions (package_id, version, manifest, tarball_url, tarball_file, \
           expected, state, blob, size_bytes, reason, signature, published_at_ms, licence, \
           announced_bytes, install_scripts) VALUES ",
    columns: 15,
    tail: " ON CONFLICT (package_id, version) DO UPDATE SET manifest = excluded.manifest, \
           tarball_url = excluded.tarball_url, tarball_file = excluded.tarball_file, \
           expected = COALESCE(versions.expected, excluded.expected), \
           state = CASE WHEN excluded.state = 'remote' AND versions.state = 'held' \
           THEN versions.state ELSE excluded.state END, \
           blob = CASE WHEN excluded.state = 'remote' AND versions.state = 'held' \
           THEN versions.blob ELSE excluded.blob END, \
           size_bytes = CASE WHEN excluded.state = 'remote' AND versions.state = 'held' \
           THEN versions.size_bytes ELSE excluded.size_bytes END, \
           reason = CASE WHEN excluded.state = 'remote' AND versions.state = 'held' \
           THEN versions.reason ELSE excluded.reason END, \
           signature = COALESCE(excluded.signature, versions.signature), \
           published_at_ms = COALESCE(versions.published_at_ms, excluded.published_at_ms), \
           licence = CASE WHEN excluded.install_scripts IS NULL \
           THEN versions.licence ELSE excluded.licence END, \
           announced_bytes = CASE WHEN excluded.install_scripts IS NULL \
           THEN versions.announced_bytes ELSE excluded.announced_bytes END, \
           install_scripts = COALESCE(excluded.install_scripts, versions.install_scripts), \
           removed_at_ms = NULL",
};

/// Gone upstream: the row stays, with the time when that was first seen.
const REMOVE: RowsStatement = RowsStatement {
    head: "UPDATE versions SET removed_at_ms = gone.column3 FROM (VALUES ",
    columns: 3,
    tail: ") AS gone WHERE versions.package_id = gone.column1 \
           AND versions.version = gone.column2 AND versions.removed_at_ms IS NULL",
};

pub(super) fn save(connection: &mut AnyConnection, plans: &[Plan<'_>]) -> Result<(), StoreError> {
    let mut rows: Vec<(i64, &VersionChange)> = Vec::new();
    for plan in plans {
        rows.extend(last_of_each(&plan.change.versions).map(|row| (plan.package_id(), row)));
    }
    rows.sort_unstable_by(|a, b| (a.0, &a.1.version).cmp(&(b.0, &b.1.version)));
    let values: Vec<_> = rows.iter().flat_map(|&(package, row)| values(package, row)).collect();
    UPSERT.execute(connection, &values)?;
    let gone = plans.iter().flat_map(|plan| {
        plan.change.removed_versions.iter().flat_map(|version| {
            [
                Value::BigInt(plan.package_id()),
                Value::Text(version),
                Value::BigInt(plan.change.checked_at_ms),
            ]
        })
    });
    REMOVE.execute(connection, &gone.collect::<Vec<_>>())?;
    Ok(())
}

/// A statement may touch a row only once (PostgreSQL); of a version named twice the last counts.
fn last_of_each(versions: &[VersionChange]) -> impl Iterator<Item = &VersionChange> {
    let last: HashMap<&str, &VersionChange> =
        versions.iter().map(|version| (version.version.as_str(), version)).collect();
    last.into_values()
}

fn values(package_id: i64, row: &VersionChange) -> [Value<'_>; 15] {
    let facts = row.facts.as_ref();
    [
        Value::BigInt(package_id),
        Value::Text(&row.version),
        Value::Binary(&row.manifest.0),
        Value::OptionalText(row.tarball_url.as_deref()),
        Value::Text(&row.tarball_file),
        Value::OptionalText(row.expected.as_deref()),
        Value::Text(row.state.as_str()),
        Value::OptionalBinary(row.blob.as_ref().map(|digest| digest.as_bytes().as_slice())),
        Value::OptionalBigInt(row.size_bytes),
        Value::OptionalText(row.reason.as_deref()),
        Value::OptionalText(row.signature.map(npm::SignatureVerdict::as_str)),
        Value::OptionalBigInt(row.published_at_ms),
        Value::OptionalText(facts.and_then(|facts| facts.licence.as_deref())),
        Value::OptionalBigInt(facts.and_then(|facts| facts.announced_bytes)),
        Value::OptionalText(facts.map(|facts| scripts_text(facts.install_scripts))),
    ]
}
