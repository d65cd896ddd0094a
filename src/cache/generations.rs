//! How caches learn of commits: a counter per stripe of names, raised by every commit.
//!
//! A reader notes the counter *before* it reads the tables. A commit that becomes visible
//! later raises it, so a value read too early can never be taken for current, whatever the
//! order in which the reader stores it. Names share stripes; a stranger's commit costs one
//! more read of a row.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use npm::PackageName;

/// Enough that a bulk sync (thousands of commits a second) touches a given name's stripe
/// about once a second; 32 KiB.
const STRIPES: usize = 4096;

/// The counters.
#[derive(Debug)]
pub struct Generations {
    stripes: Vec<AtomicU64>,
    hasher: RandomState,
}

/// The counter as it stood when a value was read.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    stripe: usize,
    generation: u64,
}

impl Seen {
    /// Whether this look at the same name was not before another.
    #[must_use]
    pub fn is_since(self, other: Self) -> bool {
        self.generation >= other.generation
    }
}

impl Generations {
    /// All counters at zero.
    #[must_use]
    pub fn new() -> Self {
        let stripes = (0..STRIPES).map(|_| AtomicU64::new(0)).collect();
        Self { stripes, hasher: RandomState::new() }
    }

    /// To be called before the tables are read.
    #[must_use]
    pub fn look(&self, name: &PackageName) -> Seen {
        let stripe = self.stripe(name);
        Seen { stripe, generation: self.at(stripe) }
    }

    /// Whether nothing was committed since.
    #[must_use]
    pub fn is_current(&self, seen: Seen) -> bool {
        self.at(seen.stripe) == seen.generation
    }

    /// Something about this package was committed.
    pub fn raise(&self, name: &PackageName) {
        if let Some(counter) = self.stripes.get(self.stripe(name)) {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    /// Makes everything that was read before old; answers with the counter from then on.
    #[must_use]
    pub fn raise_and_look(&self, name: &PackageName) -> Seen {
        self.raise(name);
        self.look(name)
    }

    /// Events were lost: anything may have been committed.
    pub fn raise_all(&self) {
        for counter in &self.stripes {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    fn stripe(&self, name: &PackageName) -> usize {
        let hash = self.hasher.hash_one(name);
        usize::try_from(hash % STRIPES as u64).unwrap_or(0)
    }

    fn at(&self, stripe: usize) -> u64 {
        self.stripes.get(stripe).map_or(0, |counter| counter.load(Ordering::Acquire))
    }
}

impl Default for Generations {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_after_the_look_makes_a_value_old() {
        let generations = Generations::new();
        let name = PackageName::parse("lamp").unwrap();
        let before = generations.look(&name);
        assert!(generations.is_current(before));
        generations.raise(&name);
        assert!(!generations.is_current(before));
        let after = generations.look(&name);
        assert!(generations.is_current(after));
        generations.raise_all();
        assert!(!generations.is_current(after));
    }
}
