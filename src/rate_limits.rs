//! How often somebody may ask: so many requests a minute per address and per account.
//!
//! Counted in memory and per node; a restart forgives. Whoever is not heard of for a minute takes
//! no memory.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::error::ApiError;

/// After so many requests those who were not heard of lately are forgotten.
const FORGET_EVERY: u32 = 4096;

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    /// An IPv4 address, or the /64 of an IPv6 one: that is what one customer has.
    Address(u128),
    Account(String),
}

/// A limit per minute; all of it may be used at once.
#[derive(Debug)]
pub struct PerMinute {
    what: &'static str,
    most: u32,
    limiter: Option<DefaultKeyedRateLimiter<Who>>,
    checked: AtomicU32,
}

impl PerMinute {
    /// `most` a minute of `what`, 0 = no limit.
    #[must_use]
    pub fn new(what: &'static str, most: u32) -> Self {
        let quota = std::num::NonZeroU32::new(most).map(Quota::per_minute);
        Self { what, most, limiter: quota.map(RateLimiter::keyed), checked: AtomicU32::new(0) }
    }

    /// Counts a request of an address and, when it is known, of an account.
    ///
    /// # Errors
    /// 429 when either has used up its minute.
    pub fn check(&self, address: Option<IpAddr>, account: Option<&str>) -> Result<(), ApiError> {
        self.count(address, account).map_err(ApiError::from)
    }

    /// The same, for those who want to know whose minute it was.
    ///
    /// # Errors
    /// [`UsedUp`] when either has used up its minute.
    pub fn count(&self, address: Option<IpAddr>, account: Option<&str>) -> Result<(), UsedUp> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let address_key = address.map(|address| Who::Address(customer(address)));
        let account_key = account.map(|name| Who::Account(name.to_owned()));
        let now = limiter.clock().now();
        for who in [address_key, account_key].into_iter().flatten() {
            let counted = limiter.check_key(&who);
            counted
                .map_err(|until| self.refuse(&who, address, account, until.wait_time_from(now)))?;
        }
        if self.checked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
        }
        Ok(())
    }

    fn refuse(
        &self,
        who: &Who,
        address: Option<IpAddr>,
        account: Option<&str>,
        wait: Duration,
    ) -> UsedUp {
        let of_account = matches!(who, Who::Account(_));
        let whose = match who {
            Who::Account(_) => account.unwrap_or_default().to_owned(),
            Who::Address(_) => address.map(|address| address.to_string()).unwrap_or_default(),
        };
        let (most, what) = (self.most, self.what);
        // a whole second is the unit of the header, and the first one must not come too early
        let retry_after = Duration::from_secs(wait.as_secs() + 1);
        let rule = format!("more than {most} {what} a minute from {whose}");
        UsedUp { of_account, rule, retry_after }
    }
}

/// Somebody has used up a minute.
#[derive(Debug)]
pub struct UsedUp {
    /// Whether it was that of the account, not that of the address.
    pub of_account: bool,
    rule: String,
    retry_after: Duration,
}

impl From<UsedUp> for ApiError {
    fn from(used_up: UsedUp) -> Self {
        Self::TooManyRequests { rule: used_up.rule, retry_after: used_up.retry_after }
    }
}

/// Those who are counted together with an address, in words.
#[must_use]
pub fn customer_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(_) => format!("{}/64", Ipv6Addr::from_bits(customer(address))),
    }
}

fn customer(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_minute_is_per_address_and_per_account() {
        let limit = PerMinute::new("requests for a sync", 2);
        for _ in 0..2 {
            limit.check(at("192.0.2.1"), Some("me")).unwrap();
        }
        let error = limit.check(at("192.0.2.1"), None).unwrap_err();
        let ApiError::TooManyRequests { rule, retry_after } = error else { panic!("{error}") };
        assert_eq!(rule, "more than 2 requests for a sync a minute from 192.0.2.1");
        assert!((1..=31).contains(&retry_after.as_secs()), "{retry_after:?}");
        let error = limit.check(at("192.0.2.2"), Some("me")).unwrap_err().to_string();
        assert!(error.ends_with("from me"), "{error}");
        limit.check(at("192.0.2.2"), Some("you")).unwrap();
        limit.check(at("2001:db8:0:1::1"), None).unwrap();
        limit.check(at("2001:db8:0:1::2"), None).unwrap();
        assert!(limit.check(at("2001:db8:0:1::3"), None).is_err(), "one customer");
        limit.check(at("2001:db8:0:2::1"), None).unwrap();
        let words = ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:0:1::3"]
            .map(|text| customer_of(text.parse().unwrap()));
        assert_eq!(words, ["192.0.2.1", "192.0.2.1", "2001:db8:0:1::/64"]);
    }

    #[test]
    fn nought_is_no_limit() {
        let limit = PerMinute::new("requests", 0);
        for _ in 0..10_000 {
            limit.check(at("192.0.2.1"), None).unwrap();
        }
    }
}
