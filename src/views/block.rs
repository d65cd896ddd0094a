//! Blocks as the API shows them (decisions 17 and 18).

use serde::Serialize;
use store::blocks::{BlockRow, WHOLE_PACKAGE};

use super::account::iso;

/// A block that was made.
#[derive(Debug, Serialize)]
pub struct BlockCreated {
    ok: bool,
    id: String,
    package_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

impl BlockCreated {
    /// Of the package with this row id, or of one version of it.
    #[must_use]
    pub fn of(row: &BlockRow, package_id: i64, version: Option<&str>) -> Self {
        let (id, package_id) = (row.id.clone(), package_id.to_string());
        Self { ok: true, id, package_id, version: version.map(str::to_owned) }
    }
}

/// Whether a package is blocked, and every block of it.
#[derive(Debug, Serialize)]
pub struct BlockStatus {
    /// The whole package is.
    blocked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(rename = "createdAt", skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    data: Vec<Block>,
}

#[derive(Debug, Serialize)]
struct Block {
    id: String,
    version: String,
    reason: String,
    scope: &'static str,
    created: String,
    modified: String,
}

impl BlockStatus {
    /// From all rows of a package.
    #[must_use]
    pub fn of(rows: Vec<BlockRow>) -> Self {
        let whole = rows.iter().find(|row| row.version == WHOLE_PACKAGE);
        let (reason, created_at) = whole.map(|row| (row.told(), iso(row.created_at_ms))).unzip();
        let data = rows.into_iter().map(Block::from).collect();
        Self { blocked: reason.is_some(), reason, created_at, data }
    }
}

impl From<BlockRow> for Block {
    fn from(row: BlockRow) -> Self {
        Self {
            reason: row.told(),
            scope: if row.version == WHOLE_PACKAGE { "package" } else { "version" },
            created: iso(row.created_at_ms),
            modified: iso(row.updated_at_ms),
            id: row.id,
            version: row.version,
        }
    }
}
