//! Logins that were refused, and passwords that were asked for again, on their way to the audit log.
//!
//! Nobody waits for their rows, so that a refusal takes as long for a name that there is as for one
//! that there is not. The first is written at once; what follows within [`GATHER_FOR`] is counted
//! and written together, a row for each name, address and reason, and one row for all beyond
//! `MOST_ROWS`: a storm of guesses does not fill the table.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use store::audit::{self, By, LOGIN_REFUSED};
use store::{AnyConnection, StoreError};
use tokio::sync::Notify;

use super::names::check_name;

/// How long refusals are gathered for one write.
pub const GATHER_FOR: Duration = Duration::from_secs(30);
/// Most rows of one write, 92,000 a day.
const MOST_ROWS: usize = 32;
/// What stands for all names and addresses beyond that.
const OTHERS: &str = "(others)";
/// What stands for the names that come from an address which has used up its minute.
pub const ANY_NAME: &str = "(any name)";
/// What stands for a name that no account can have; it may be a password in the wrong field.
const NO_NAME: &str = "(not a name)";

/// Refusals that were not written yet.
#[derive(Debug, Default)]
pub struct Refusals {
    gathered: Mutex<Gathered>,
    /// There is something to be written.
    pub news: Notify,
}

/// Refusals, counted.
#[derive(Debug, Default)]
pub struct Gathered {
    rows: HashMap<Refused, u64>,
    others: u64,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Refused {
    name: String,
    origin: String,
    way: &'static str,
    reason: &'static str,
}

impl Refusals {
    /// Counts a login that was refused; `by` is who it claimed to be.
    pub fn note(&self, by: By, way: &'static str, reason: &'static str) {
        let is_name = by.who == ANY_NAME || check_name(&by.who).is_ok();
        let name = if is_name { by.who } else { NO_NAME.to_owned() };
        let refused = Refused { name, origin: by.origin, way, reason };
        self.gathered.lock().add(refused);
        self.news.notify_one();
    }

    /// What was not written yet.
    #[must_use]
    pub fn take(&self) -> Gathered {
        std::mem::take(&mut *self.gathered.lock())
    }
}

impl Gathered {
    fn add(&mut self, refused: Refused) {
        if let Some(times) = self.rows.get_mut(&refused) {
            *times += 1;
        } else if self.rows.len() < MOST_ROWS {
            self.rows.insert(refused, 1);
        } else {
            self.others += 1;
        }
    }

    /// Whether there is nothing to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes them into the audit log (a write).
    ///
    /// # Errors
    /// Those of the database.
    pub fn write(&self, rows: &mut AnyConnection) -> Result<(), StoreError> {
        for (refused, times) in &self.rows {
            let by = By { who: refused.name.clone(), origin: refused.origin.clone() };
            let what = json!({ "way": refused.way, "reason": refused.reason, "times": times });
            audit::record(rows, &by, LOGIN_REFUSED, &refused.name, None, Some(&what))?;
        }
        if self.others > 0 {
            let by = By { who: OTHERS.to_owned(), origin: OTHERS.to_owned() };
            let what = json!({ "times": self.others });
            audit::record(rows, &by, LOGIN_REFUSED, OTHERS, None, Some(&what))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(who: &str, origin: &str) -> By {
        By { who: who.to_owned(), origin: origin.to_owned() }
    }

    #[test]
    fn the_same_is_counted_together_and_a_storm_is_one_number() {
        let refusals = Refusals::default();
        for _ in 0..3 {
            refusals.note(by("ada", "192.0.2.1"), "password", "wrong password");
        }
        refusals.note(by("ada", "192.0.2.2"), "password", "wrong password");
        refusals.note(by("ada", "192.0.2.1"), "browser", "wrong password");
        let gathered = refusals.take();
        let mut times: Vec<_> = gathered.rows.values().copied().collect();
        times.sort_unstable();
        assert_eq!((times, gathered.others), (vec![1, 1, 3], 0));
        assert!(refusals.take().is_empty());
        for number in 0..1_000 {
            refusals.note(by(&format!("n{number}"), "192.0.2.1"), "password", "no such account");
        }
        let gathered = refusals.take();
        assert_eq!((gathered.rows.len(), gathered.others), (MOST_ROWS, 1_000 - 32));
    }

    #[test]
    fn what_is_no_name_is_not_written_down() {
        let refusals = Refusals::default();
        refusals.note(by("My Password!\n", "192.0.2.1"), "password", "no such account");
        let gathered = refusals.take();
        let names: Vec<_> = gathered.rows.keys().map(|refused| refused.name.as_str()).collect();
        assert_eq!(names, [NO_NAME]);
    }
}
