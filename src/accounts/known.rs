//! The tokens that were used a moment ago, so that a request costs no query.
//!
//! A token is believed for [`KNOWN_FOR`], and only while nothing was written about accounts, on this
//! node or on another that told of it: whatever was read before counts as unknown. So a revoked
//! token, a locked account, a right that was taken away end at once, and within [`KNOWN_FOR`] where
//! nothing was heard. Unknown tokens are not kept: whoever guesses fills nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use moka::sync::Cache;
use npm::Sha512Digest;
use parking_lot::Mutex;
use store::tokens::{self, TokenRow};
use store::{Store, StoreError};

use super::ranges::{holds, parse_range};
use crate::error::ApiError;

/// How long a token is believed without being read again.
pub const KNOWN_FOR: Duration = Duration::from_secs(3);

/// Tokens kept; about a kilobyte each.
const KEPT: u64 = 10_000;

/// A token as it stood when it was read.
#[derive(Debug)]
pub struct Known {
    /// Its row.
    pub row: TokenRow,
    ranges: Vec<IpNet>,
    generation: u64,
    noted: AtomicBool,
}

/// The tokens; cheap to clone.
#[derive(Clone)]
pub struct KnownTokens(Arc<Inner>);

struct Inner {
    store: Store,
    cache: Cache<Sha512Digest, Arc<Known>>,
    generation: AtomicU64,
    used: Mutex<HashMap<Sha512Digest, i64>>,
}

impl Known {
    fn new(row: TokenRow, generation: u64) -> Self {
        // an entry that is no range lets nobody in, and the others stand
        let ranges = row.limits.cidr.iter().filter_map(|text| parse_range(text)).collect();
        Self { row, ranges, generation, noted: AtomicBool::new(false) }
    }

    /// Whether the token opens anything now, from the address that is asked for when it matters.
    ///
    /// # Errors
    /// 401 when it has expired or its account is locked, 403 from an address not in its list.
    pub fn check(
        &self,
        now_ms: i64,
        client: impl FnOnce() -> Option<IpAddr>,
    ) -> Result<(), ApiError> {
        if self.row.disabled {
            return Err(ApiError::Unauthorized("Account disabled"));
        }
        if self.row.limits.expires_at_ms.is_some_and(|expires| expires <= now_ms) {
            return Err(ApiError::Unauthorized("Token expired"));
        }
        if self.row.limits.cidr.is_empty() {
            return Ok(());
        }
        let client = client();
        if holds(&self.ranges, client) {
            return Ok(());
        }
        let from = client.map(|client| client.to_canonical().to_string());
        let from = from.as_deref().unwrap_or("an unknown address");
        let mark = &self.row.mark;
        Err(ApiError::Forbidden(format!("Token \"{mark}\" may not be used from {from}")))
    }
}

impl KnownTokens {
    /// None is known.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Inner {
            store,
            cache: Cache::builder().max_capacity(KEPT).time_to_live(KNOWN_FOR).build(),
            generation: AtomicU64::new(0),
            used: Mutex::default(),
        }))
    }

    /// The token with this key, when there is one.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn find(&self, key: Sha512Digest) -> Result<Option<Arc<Known>>, StoreError> {
        // before the tables are read: what is written later makes this entry old
        let generation = self.0.generation.load(Ordering::Acquire);
        if let Some(known) = self.0.cache.get(&key)
            && known.generation == generation
        {
            return Ok(Some(known));
        }
        let row = self.0.store.read(move |rows| tokens::find(rows, &key)).await?;
        let Some(row) = row else { return Ok(None) };
        let known = Arc::new(Known::new(row, generation));
        self.0.cache.insert(key, Arc::clone(&known));
        Ok(Some(known))
    }

    /// Something about accounts was written.
    pub fn forget(&self) {
        self.0.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that a token was used: once each time that it is read, which is often enough.
    pub fn note_use(&self, known: &Known, now_ms: i64) {
        if !known.noted.swap(true, Ordering::Relaxed) {
            self.0.used.lock().insert(known.row.key, now_ms);
        }
    }

    /// The uses that were not taken yet.
    #[must_use]
    pub fn take_uses(&self) -> Vec<(Sha512Digest, i64)> {
        let mut used: Vec<_> = std::mem::take(&mut *self.0.used.lock()).into_iter().collect();
        // rows are locked in one order on all nodes
        used.sort_unstable();
        used
    }
}

#[cfg(test)]
mod tests {
    use store::tokens::TokenLimits;

    use super::*;

    fn known(limits: TokenLimits) -> Known {
        let row = TokenRow {
            key: Sha512Digest::of(b"token"),
            user: "me".into(),
            admin: false,
            disabled: false,
            mark: "npm_ab...cd".into(),
            limits,
            created_at_ms: 0,
            last_used_at_ms: None,
        };
        Known::new(row, 0)
    }

    #[test]
    fn a_token_with_ranges_works_from_them_only() {
        let with = |cidr: &[&str]| {
            let cidr = cidr.iter().map(|range| (*range).to_owned()).collect();
            known(TokenLimits { cidr, ..TokenLimits::default() })
        };
        let at = |address: &str| Some(address.parse::<IpAddr>().unwrap());
        assert!(with(&[]).check(0, || None).is_ok());
        let ranges = with(&["192.0.2.0/24", "2001:db8::1"]);
        assert!(ranges.check(0, || at("192.0.2.7")).is_ok());
        assert!(ranges.check(0, || at("::ffff:192.0.2.7")).is_ok());
        assert!(ranges.check(0, || at("2001:db8::1")).is_ok());
        let error = ranges.check(0, || at("198.51.100.1")).unwrap_err().to_string();
        assert_eq!(error, "Token \"npm_ab...cd\" may not be used from 198.51.100.1");
        assert!(ranges.check(0, || None).is_err());
        assert!(with(&["nonsense"]).check(0, || at("192.0.2.7")).is_err());
    }

    #[test]
    fn a_token_ends_with_its_time_and_with_its_account() {
        let ends = known(TokenLimits { expires_at_ms: Some(100), ..TokenLimits::default() });
        assert!(ends.check(99, || None).is_ok());
        assert_eq!(ends.check(100, || None), Err(ApiError::Unauthorized("Token expired")));
        let mut locked = known(TokenLimits::default());
        locked.row.disabled = true;
        assert_eq!(locked.check(0, || None), Err(ApiError::Unauthorized("Account disabled")));
    }
}
