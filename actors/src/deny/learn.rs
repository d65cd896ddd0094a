//! Facts of versions whose rows are older than the columns for them, read from the stored document.

use std::collections::HashMap;

use npm::{PackageName, PackumentScan};
use store::facts::{self, Facts, ManifestFacts, VersionFactsRow};
use store::{AnyConnection, Store, StoreError};

use crate::known::Known;
use crate::upstream::in_place;

/// What was found for the rows of one package that lack facts.
#[derive(Debug)]
pub struct Learned {
    package_id: i64,
    found: Vec<(String, Option<ManifestFacts>)>,
}

impl Learned {
    /// Looks in the stored document; `None` when there is nothing to write. A document that cannot
    /// be read leaves the rows as they are: it is fetched again when a reader meets it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn read(store: &Store, name: &PackageName) -> Result<Option<Self>, StoreError> {
        let known = Known::read(store, name).await?;
        let Some(package_id) = known.row.as_ref().map(|row| row.id) else { return Ok(None) };
        let rows = store.read(move |rows| facts::of_package(rows, package_id)).await?;
        let unread = rows.into_iter().filter(|row| row.facts == Facts::Unread);
        let unread: Vec<String> = unread.map(|row| row.version).collect();
        if unread.is_empty() {
            return Ok(None);
        }
        let has_document = known.row.as_ref().is_some_and(|row| row.document.is_some());
        let Some(body) = known.document_body(store).await else {
            let gone = unread.into_iter().map(|version| (version, None)).collect();
            return Ok((!has_document).then_some(Self { package_id, found: gone }));
        };
        let found = in_place(body.len(), || {
            let mut all = of_document(&body)?;
            Some(
                unread
                    .into_iter()
                    .map(|version| {
                        let facts = all.remove(&version);
                        (version, facts)
                    })
                    .collect(),
            )
        });
        Ok(found.map(|found| Self { package_id, found }))
    }

    /// Writes it down (a write).
    ///
    /// # Errors
    /// Those of the database.
    pub fn save(&self, rows: &mut AnyConnection) -> Result<(), StoreError> {
        facts::save(rows, self.package_id, &self.found)
    }
}

/// The facts of all versions of a document; `None` when it is none.
#[must_use]
pub fn of_document(body: &[u8]) -> Option<HashMap<String, ManifestFacts>> {
    let scan = PackumentScan::parse(body).ok()?;
    let facts = scan.versions.iter().map(|entry| {
        let facts = entry.facts().map(|facts| ManifestFacts::from(&facts)).unwrap_or_default();
        (entry.key.to_string(), facts)
    });
    Some(facts.collect())
}

/// As a row that is about to be written.
#[must_use]
pub fn as_row(version: &str, size_bytes: Option<i64>, facts: ManifestFacts) -> VersionFactsRow {
    VersionFactsRow { version: version.to_owned(), size_bytes, facts: Facts::Read(facts) }
}
