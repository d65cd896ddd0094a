//! Security advisories that audits are answered from.

use npm::PackageName;
use npm::advisory::Known;
use npm::advisory::osv::Record;
use serde::{Deserialize, Serialize};
use store::advisories::{self, AdvisoryRow};
use store::{AnyConnection, StoreError};

use super::{Operation, Surroundings};
use crate::registries::Refused;

type Performed<T> = Result<Result<T, Refused>, StoreError>;

/// An advisory about a package.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownAdvisory {
    /// The package.
    pub package: PackageName,
    /// Id of the record.
    pub record: String,
    /// What it says.
    pub known: Known,
    /// When it was loaded.
    pub loaded_at_ms: i64,
}

impl From<AdvisoryRow> for ShownAdvisory {
    fn from(row: AdvisoryRow) -> Self {
        let AdvisoryRow { name: package, record, known, loaded_at_ms } = row;
        Self { package, record, known, loaded_at_ms }
    }
}

/// How much is loaded.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdvisoryTotals {
    /// Records.
    pub records: i64,
    /// Packages in them.
    pub packages: i64,
    /// When the newest was loaded.
    pub loaded_at_ms: Option<i64>,
}

/// Records that take the place of what they said before; answers how many packages they are about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutAdvisories {
    /// The records as they were read, in the OSV format.
    pub records: Vec<String>,
}

impl Operation for PutAdvisories {
    type Answer = usize;
    const PATH: &'static str = "advisories/put";

    fn perform(self, rows: &mut AnyConnection, _: &Surroundings) -> Performed<Self::Answer> {
        let records = self.records.iter().map(|text| Record::parse(text.as_bytes()));
        match records.collect::<Result<Vec<_>, _>>() {
            Ok(records) => Ok(Ok(advisories::put(rows, &records)?)),
            Err(error) => Ok(Err(Refused::Invalid(error.to_string()))),
        }
    }
}

/// What is known of a package, or of all.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListAdvisories {
    /// Of this one only.
    pub package: Option<PackageName>,
    /// Only packages behind this name.
    pub after: String,
    /// At most so many.
    pub limit: i64,
}

impl Operation for ListAdvisories {
    type Answer = Vec<ShownAdvisory>;
    const PATH: &'static str = "advisories/list";
    const READS: bool = true;

    fn perform(self, rows: &mut AnyConnection, _: &Surroundings) -> Performed<Self::Answer> {
        let found = match self.package {
            Some(name) => advisories::of_packages(rows, &[name])?,
            None => advisories::list(rows, &self.after, self.limit.clamp(1, 1_000))?,
        };
        Ok(Ok(found.into_iter().map(ShownAdvisory::from).collect()))
    }
}

/// How much is loaded.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountAdvisories {}

impl Operation for CountAdvisories {
    type Answer = AdvisoryTotals;
    const PATH: &'static str = "advisories/count";
    const READS: bool = true;

    fn perform(self, rows: &mut AnyConnection, _: &Surroundings) -> Performed<Self::Answer> {
        let counts = advisories::counts(rows)?;
        let (records, packages) = (counts.records, counts.packages);
        Ok(Ok(AdvisoryTotals { records, packages, loaded_at_ms: counts.loaded_at_ms }))
    }
}

/// Forgets all; answers how many packages they were about.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearAdvisories {}

impl Operation for ClearAdvisories {
    type Answer = usize;
    const PATH: &'static str = "advisories/clear";

    fn perform(self, rows: &mut AnyConnection, _: &Surroundings) -> Performed<Self::Answer> {
        Ok(Ok(advisories::clear(rows)?))
    }
}
