//! Which packages people here asked for lately, in a table of fixed size that forgets.
//!
//! What keeps such a package fresh has a better rank in the budget of requests. Each name has one
//! place, found by its hash; a place holds a part of the hash and the hour of the last read, and
//! the name that was read last keeps it. So the answer is nearly always right: a wrong "yes" is one
//! in 65,536, a wrong "no" means that another name of the same place was read later. Nothing is
//! written down: after a restart the next read counts.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

use npm::PackageName;

/// Places, 512 KiB of them: more than the names that a large mirror is asked for in a week.
const PLACES: usize = 1 << 17;
/// So long a read counts.
const HOURS: u16 = 7 * 24;
const HOUR_MS: i64 = 3_600_000;

/// The table.
pub struct RecentReads {
    places: Vec<AtomicU32>,
    hasher: RandomState,
}

impl RecentReads {
    /// Nothing was read yet.
    #[must_use]
    pub fn new() -> Self {
        let places = (0..PLACES).map(|_| AtomicU32::new(0)).collect();
        Self { places, hasher: RandomState::new() }
    }

    /// Somebody asked for a package.
    pub fn note(&self, name: &PackageName, now_ms: i64) {
        let (place, mark) = self.place(name);
        let value = u32::from(mark) << 16 | u32::from(hour(now_ms));
        // a popular one is read all the time: its place is shared by all threads unchanged
        if let Some(place) = place.filter(|place| place.load(Ordering::Relaxed) != value) {
            place.store(value, Ordering::Relaxed);
        }
    }

    /// Whether somebody asked for it within the last week.
    #[must_use]
    pub fn contains(&self, name: &PackageName, now_ms: i64) -> bool {
        let (place, mark) = self.place(name);
        let value = place.map_or(0, |place| place.load(Ordering::Relaxed));
        let [high, low, first, second] = value.to_be_bytes();
        let (of, read) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([first, second]));
        of == mark && hour(now_ms).wrapping_sub(read) <= HOURS
    }

    /// Where a name is, and the part of its hash that is kept there, which is never 0.
    fn place(&self, name: &PackageName) -> (Option<&AtomicU32>, u16) {
        let hash = self.hasher.hash_one(name);
        let [high, low, ..] = hash.to_be_bytes();
        let place = usize::try_from(hash % PLACES as u64).unwrap_or(0);
        (self.places.get(place), u16::from_be_bytes([high, low]).max(1))
    }
}

impl Default for RecentReads {
    fn default() -> Self {
        Self::new()
    }
}

/// Hours since 1970, of which the last 65,536 can be told apart: seven years.
fn hour(now_ms: i64) -> u16 {
    u16::try_from((now_ms / HOUR_MS).rem_euclid(1 << 16)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_counts_for_a_week() {
        let reads = RecentReads::new();
        let name = |text: &str| PackageName::parse(text).unwrap();
        let now = 1_800_000_000_000;
        assert!(!reads.contains(&name("lamp"), now));
        reads.note(&name("lamp"), now);
        assert!(reads.contains(&name("lamp"), now));
        assert!(reads.contains(&name("lamp"), now + i64::from(HOURS) * HOUR_MS));
        assert!(!reads.contains(&name("lamp"), now + (i64::from(HOURS) + 1) * HOUR_MS));
        assert!(!reads.contains(&name("bulb"), now));
        reads.note(&name("lamp"), now + 100 * HOUR_MS);
        assert!(reads.contains(&name("lamp"), now + 200 * HOUR_MS));
    }

    #[test]
    fn hours_go_round_after_seven_years() {
        let reads = RecentReads::new();
        let name = PackageName::parse("lamp").unwrap();
        let last = HOUR_MS * ((1 << 16) - 1);
        reads.note(&name, last);
        assert!(reads.contains(&name, last + 2 * HOUR_MS));
    }
}
