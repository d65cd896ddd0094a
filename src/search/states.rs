//! What the tables say of packages now: whether they may be shown, and with which versions.
//!
//! The same rules as for readers of documents, for many names in one read.

use std::collections::HashMap;

use actors::EngineHandle;
use npm::PackageName;
use store::packages::{self, DocumentRef, PackageRow};
use store::{AnyConnection, PackageStatus, StoreError, downloads};

use crate::cache::withheld::{HiddenVersions, Withheld};

/// Downloads of so many days count.
const COUNTED_DAYS: i64 = 365;

/// A package that is here.
#[derive(Debug)]
pub struct State {
    /// Its name.
    pub name: PackageName,
    /// Its registry.
    pub registry: String,
    /// Raised by every change that readers may see.
    pub revision: i64,
    /// Versions that readers do not see.
    pub hidden: HiddenVersions,
    /// Fingerprint of these.
    pub hidden_print: i64,
    /// The whole package is withheld.
    pub withheld: bool,
    /// Where the document is.
    pub document: DocumentRef,
    /// Downloads of the last year.
    pub downloads: u64,
}

/// The packages of these names that are here; what is gone or emptied is not.
///
/// # Errors
/// Those of the database.
pub async fn of_names(
    engine: &EngineHandle,
    names: Vec<PackageName>,
) -> Result<HashMap<PackageName, State>, StoreError> {
    let policy = engine.clone();
    let read = move |rows: &mut AnyConnection| read(rows, &policy, &names);
    engine.store().read(read).await
}

fn read(
    rows: &mut AnyConnection,
    engine: &EngineHandle,
    names: &[PackageName],
) -> Result<HashMap<PackageName, State>, StoreError> {
    let today = downloads::day_of(engine.policy().clock.now_ms());
    let counts = downloads::sums(rows, names, today.saturating_sub(COUNTED_DAYS))?;
    let mut found = HashMap::with_capacity(names.len());
    for row in packages::find_many(rows, names)? {
        let withheld = Withheld::read(rows, &engine.policy(), &row.name, Some(&row))?;
        let count = counts.get(row.name.as_str()).copied().unwrap_or(0);
        if let Some(state) = state(row, withheld, u64::try_from(count).unwrap_or(0)) {
            found.insert(state.name.clone(), state);
        }
    }
    Ok(found)
}

/// As for readers: a row without a document, or whose document lists nothing, is as good as none.
fn state(row: PackageRow, withheld: Withheld, downloads: u64) -> Option<State> {
    let is_here = row.status != PackageStatus::Emptied && !row.status.is_absent();
    let document = row.document.filter(|_| is_here)?;
    Some(State {
        name: row.name,
        registry: row.registry,
        revision: row.revision,
        hidden_print: withheld.versions.fingerprint(),
        hidden: withheld.versions,
        withheld: withheld.package.is_some(),
        document,
        downloads,
    })
}
