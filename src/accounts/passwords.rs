//! Passwords: hashed slowly, a few at a time, so that a storm of logins never stalls readers.
//!
//! bcrypt reads 72 bytes and stops at a NUL, so what it hashes is the base64 of the password's
//! SHA-384: every byte of a longer one counts.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use sha2::{Digest, Sha384};
use store::users::PasswordHash;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::error::ApiError;

/// Costs that `security.password_cost` may have: each is twice the time of the one before.
pub const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// Who waits for a hash at most; the next one is told to come back.
const MOST_WAITING: usize = 128;

/// Hashes and compares.
#[derive(Debug)]
pub struct Passwords {
    cost: u32,
    /// What the password of nobody is compared with, so that it takes as long.
    nobody: PasswordHash,
    waiting: Arc<Semaphore>,
    running: Arc<Semaphore>,
    runtime: Handle,
}

impl Passwords {
    /// One core is left to readers, where there are two.
    #[must_use]
    pub fn new(cost: u32, cores: usize, runtime: Handle) -> Self {
        let cost = cost.clamp(*COSTS.start(), *COSTS.end());
        Self {
            cost,
            // salt and hash are all zero bits: well-formed, and the hash of no known password
            nobody: PasswordHash(format!("$2b${cost:02}${}", ".".repeat(53))),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            running: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))),
            runtime,
        }
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub async fn hash(&self, password: String) -> Result<PasswordHash, ApiError> {
        let cost = self.cost;
        self.run(move || hash_blocking(&password, cost)).await?
    }

    /// Whether this is the password. Without a hash, because there is no such user or none that
    /// has a password, it never is, and that takes as long.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub async fn is_right(
        &self,
        password: String,
        hash: Option<PasswordHash>,
    ) -> Result<bool, ApiError> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let same = self.run(move || bcrypt::verify(prepared(&password), &hash.0)).await?;
        Ok(same.map_err(|error| ApiError::Internal(format!("a stored password: {error}")))?
            && exists)
    }

    /// Whether a hash is of another cost than new ones are made with.
    #[must_use]
    pub fn is_outdated(&self, hash: &PasswordHash) -> bool {
        hash.0.parse::<HashParts>().is_ok_and(|parts| parts.get_cost() != self.cost)
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| too_many())?;
        let permit = Arc::clone(&self.running).acquire_owned().await;
        let running = self.runtime.spawn_blocking(move || {
            let _held = (place, permit);
            job()
        });
        running.await.map_err(|error| ApiError::Internal(format!("a password: {error}")))
    }
}

fn too_many() -> ApiError {
    ApiError::Unavailable {
        reason: format!("more than {MOST_WAITING} logins wait for their turn"),
        retry_after: Duration::from_secs(5),
        hint: "try again in a moment; tokens work meanwhile",
    }
}

/// The hash of a new password, on this thread: tens of milliseconds and more.
///
/// # Errors
/// When the system gives no random bytes.
pub fn hash_blocking(password: &str, cost: u32) -> Result<PasswordHash, ApiError> {
    let hashed = bcrypt::hash(prepared(password), cost);
    hashed.map(PasswordHash).map_err(|error| ApiError::Internal(format!("a password: {error}")))
}

fn prepared(password: &str) -> String {
    STANDARD.encode(Sha384::digest(password.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(4, 2, Handle::current())
    }

    #[tokio::test]
    async fn only_the_whole_password_is_right() {
        let passwords = passwords();
        let long = "ü".repeat(100);
        let hash = passwords.hash(long.clone()).await.unwrap();
        assert!(hash.0.starts_with("$2b$04$"), "{}", hash.0);
        assert_eq!(passwords.is_right(long.clone(), Some(hash.clone())).await, Ok(true));
        // beyond what bcrypt itself reads
        let other = format!("{}u", "ü".repeat(99));
        assert_eq!(passwords.is_right(other, Some(hash.clone())).await, Ok(false));
        let nul = format!("{long}\0");
        assert_eq!(passwords.is_right(nul, Some(hash)).await, Ok(false));
    }

    #[tokio::test]
    async fn nobody_has_a_password_and_the_comparison_is_made_all_the_same() {
        let passwords = passwords();
        assert_eq!(passwords.is_right(String::new(), None).await, Ok(false));
        assert_eq!(bcrypt::verify("anything", &passwords.nobody.0).ok(), Some(false));
        let damaged = Some(PasswordHash("no hash".into()));
        assert!(passwords.is_right("12345678".into(), damaged).await.is_err());
    }

    #[tokio::test]
    async fn a_queue_that_is_full_says_so_and_recovers() {
        let passwords = passwords();
        let all = passwords.waiting.clone().try_acquire_many_owned(128).unwrap();
        let refused = passwords.hash("12345678".into()).await.unwrap_err();
        assert!(matches!(refused, ApiError::Unavailable { .. }), "{refused}");
        drop(all);
        assert!(passwords.hash("12345678".into()).await.is_ok());
        assert_eq!(passwords.waiting.available_permits(), MOST_WAITING);
    }
}
