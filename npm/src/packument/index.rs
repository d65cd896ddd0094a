//! Finding keys among thousands, and the rule for duplicate ones.
//!
//! Eight bytes a key: half of its hash and its position, sorted. A map of the keys
//! themselves would cost five times that, beside bodies of which many are held at once.

use std::hash::{BuildHasher, RandomState};

use crate::json::fold_duplicates;

/// Positions of keys in a list, by hash.
#[derive(Debug, Default)]
pub(super) struct KeyIndex {
    hasher: RandomState,
    /// upper half: hash, lower half: position
    slots: Vec<u64>,
}

const POSITION: u64 = 0xffff_ffff;

impl KeyIndex {
    /// Indexes the keys of a list in order.
    fn of<'k>(keys: impl ExactSizeIterator<Item = &'k str>) -> Self {
        let hasher = RandomState::new();
        let mut slots = Vec::with_capacity(keys.len());
        slots.extend(keys.zip(0_u64..).map(|(key, at)| hash(&hasher, key) | (at & POSITION)));
        slots.sort_unstable();
        Self { hasher, slots }
    }

    /// The item that `get` accepts among those whose key hashes alike.
    pub(super) fn find<T>(&self, key: &str, get: impl Fn(usize) -> Option<T>) -> Option<T> {
        let hash = hash(&self.hasher, key);
        let start = self.slots.partition_point(|slot| slot & !POSITION < hash);
        let alike = self.slots.get(start..)?.iter().take_while(|&slot| slot & !POSITION == hash);
        alike.filter_map(|slot| usize::try_from(slot & POSITION).ok()).find_map(get)
    }

    /// Memory held, for the test of the limit.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }

    /// Whether two items with one hash have one key.
    fn has_duplicates<'k>(&self, key_at: impl Fn(usize) -> Option<&'k str>) -> bool {
        let key_of = |slot: &u64| usize::try_from(slot & POSITION).ok().and_then(&key_at);
        self.slots.chunk_by(|a, b| a & !POSITION == b & !POSITION).any(|alike| {
            alike.iter().enumerate().any(|(at, slot)| {
                alike.iter().skip(at + 1).any(|other| key_of(slot) == key_of(other))
            })
        })
    }
}

fn hash(hasher: &RandomState, key: &str) -> u64 {
    hasher.hash_one(key) & !POSITION
}

/// Indexes a list after folding duplicate keys.
pub(super) fn index_last_wins<T>(list: &mut Vec<T>, key: impl Fn(&T) -> &str) -> KeyIndex {
    let index = KeyIndex::of(list.iter().map(&key));
    if !index.has_duplicates(|at| list.get(at).map(&key)) {
        return index;
    }
    fold_duplicates(list, &key);
    KeyIndex::of(list.iter().map(&key))
}
