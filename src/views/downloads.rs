//! Counts of downloads as npm's service of counts writes them, and those of `GET /`.

use std::collections::BTreeMap;

use serde::Serialize;
use store::downloads::DayCount;

use crate::downloads::calendar::{month_start, text, week_start, year_start};
use crate::downloads::range::DayRange;

/// One day.
#[derive(Debug, Serialize)]
pub struct DayFigure {
    day: String,
    downloads: i64,
}

impl DayFigure {
    /// Of a day since 1970.
    #[must_use]
    pub fn new(day: i64, downloads: i64) -> Self {
        Self { day: text(day), downloads }
    }
}

/// All downloads of a range.
#[derive(Debug, Serialize)]
pub struct Sum {
    downloads: i64,
    start: String,
    end: String,
}

impl Sum {
    /// Puts the answer together.
    #[must_use]
    pub fn new(downloads: i64, range: DayRange) -> Self {
        Self { downloads, start: text(range.first), end: text(range.last) }
    }
}

/// The same of a package.
#[derive(Debug, Serialize)]
pub struct Point<'a> {
    /// The sum.
    #[serde(flatten)]
    pub sum: Sum,
    /// Its name.
    pub package: &'a str,
}

/// Day by day; days without downloads are left out.
#[derive(Debug, Serialize)]
pub struct Range<'a> {
    downloads: Vec<DayFigure>,
    start: String,
    end: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    versions: Option<BTreeMap<&'a str, Vec<DayFigure>>>,
}

impl<'a> Range<'a> {
    /// Of everything, or of a scope.
    #[must_use]
    pub fn new(downloads: Vec<DayFigure>, range: DayRange) -> Self {
        let (start, end) = (text(range.first), text(range.last));
        Self { downloads, start, end, package: None, versions: None }
    }

    /// Of one package.
    #[must_use]
    pub fn of_package(
        mut self,
        package: &'a str,
        versions: BTreeMap<&'a str, Vec<DayFigure>>,
    ) -> Self {
        self.package = Some(package);
        self.versions = Some(versions);
        self
    }
}

/// The counts of `GET /`, by the names that the reference implementation has.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct HomeDownloads {
    today: i64,
    yesterday: i64,
    #[serde(rename = "samedayLastweek")]
    same_day_last_week: i64,
    thisweek: i64,
    thismonth: i64,
    thisyear: i64,
    lastweek: i64,
    lastmonth: i64,
    lastyear: i64,
}

impl HomeDownloads {
    /// The first day that any of them needs.
    #[must_use]
    pub fn first_day(today: i64) -> i64 {
        year_start(year_start(today) - 1)
    }

    /// Sums the counts of all packages since [`first_day`](Self::first_day).
    #[must_use]
    pub fn new(today: i64, counts: &[DayCount]) -> Self {
        let between = |first: i64, last: i64| {
            let range = counts.iter().filter(|count| (first..=last).contains(&count.day));
            range.map(|count| count.count).sum()
        };
        let (week, month, year) = (week_start(today), month_start(today), year_start(today));
        Self {
            today: between(today, today),
            yesterday: between(today - 1, today - 1),
            same_day_last_week: between(today - 7, today - 7),
            thisweek: between(week, today),
            thismonth: between(month, today),
            thisyear: between(year, today),
            lastweek: between(week - 7, week - 1),
            lastmonth: between(month_start(month - 1), month - 1),
            lastyear: between(year_start(year - 1), year - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::downloads::calendar::parse;

    #[test]
    fn each_download_is_in_the_ranges_of_its_day() {
        let today = parse("2026-11-29").unwrap(); // a Sunday
        let one =
            |date: &str| DayCount { day: parse(date).unwrap(), version: "*".to_owned(), count: 1 };
        assert_eq!(text(HomeDownloads::first_day(today)), "2025-01-01");
        let dates = ["2025-03-01", "2026-01-02", "2026-10-31", "2026-11-22", "2026-11-28"];
        let counts: Vec<DayCount> = dates.into_iter().chain(["2026-11-29"]).map(one).collect();
        let expected = HomeDownloads {
            today: 1,
            yesterday: 1,
            same_day_last_week: 1,
            thisweek: 1,
            thismonth: 3,
            thisyear: 5,
            lastweek: 2,
            lastmonth: 1,
            lastyear: 1,
        };
        assert_eq!(HomeDownloads::new(today, &counts), expected);
    }
}
