//! Which versions a task asks for: by version, by dist-tag, by range.
//!
//! Only the document says what a tag or a range means, so they are read when it is here.

use std::collections::{BTreeSet, HashSet};

use store::{PackageChange, Store, StoreError, dist_tags};

use crate::known::Known;

/// What the specs of a task come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Versions to have.
    pub versions: HashSet<String>,
    /// Specs that no version satisfies.
    pub unknown: Vec<String>,
}

impl Asked {
    /// Reads `specs` against the rows that are there and those that `change` brings.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn read(
        specs: &[String],
        store: &Store,
        known: &Known,
        change: &PackageChange,
    ) -> Result<Self, StoreError> {
        let changed = change.versions.iter().map(|version| version.version.as_str());
        let rows = known.versions.iter();
        let there: HashSet<&str> =
            changed.clone().chain(rows.clone().map(|row| row.version.as_str())).collect();
        let mut asked = Self::default();
        let (exact, others): (Vec<_>, Vec<_>) =
            specs.iter().partition(|spec| there.contains(spec.as_str()));
        asked.versions.extend(exact.into_iter().cloned());
        if others.is_empty() {
            return Ok(asked);
        }
        let gone: HashSet<&str> = change.removed_versions.iter().map(String::as_str).collect();
        let current = rows
            .filter(|row| row.removed_at_ms.is_none())
            .map(|row| row.version.as_str())
            .filter(|version| !gone.contains(version));
        let current: BTreeSet<&str> = current.chain(changed).collect();
        let tags = tags(store, known, change).await?;
        for spec in others {
            asked.add(spec, &tags, &current);
        }
        Ok(asked)
    }

    fn add(&mut self, spec: &str, tags: &[(String, String)], current: &BTreeSet<&str>) {
        match npm::resolve_all(spec, tags, current.iter().copied()) {
            Ok(found) if !found.is_empty() => {
                self.versions.extend(found.into_iter().map(str::to_owned));
            }
            Ok(_) | Err(_) => self.unknown.push(spec.to_owned()),
        }
    }
}

/// The dist-tags of the new document, else those of the one that is here.
async fn tags(
    store: &Store,
    known: &Known,
    change: &PackageChange,
) -> Result<Vec<(String, String)>, StoreError> {
    match (&change.document, &known.row) {
        (Some(document), _) => Ok(document.dist_tags.clone()),
        (None, Some(row)) => {
            let name = row.name.clone();
            store.read(move |rows| dist_tags::of_package(rows, &name)).await
        }
        (None, None) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_nothing_is_kept_to_be_told() {
        let tags = [("latest".to_owned(), "1.1.0".to_owned())];
        let current = BTreeSet::from(["1.0.0", "1.1.0", "2.0.0"]);
        let mut asked = Asked::default();
        for spec in ["latest", "^1", "^9", "beta", "git+ssh://x/y"] {
            asked.add(spec, &tags, &current);
        }
        assert_eq!(asked.versions, ["1.0.0", "1.1.0"].map(str::to_owned).into());
        assert_eq!(asked.unknown, ["^9", "beta", "git+ssh://x/y"]);
    }
}
