//! Byte credits: a bound on what all jobs together hold in memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Credits are counted in KiB, because a semaphore counts at most `u32` permits.
const UNIT: u64 = 1024;

/// A shared budget of bytes; a permit is dropped when the bytes are.
#[derive(Clone, Debug)]
pub struct ByteCredits {
    semaphore: Arc<Semaphore>,
    whole: u32,
}

impl ByteCredits {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Self {
        let whole = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX / 8).max(1);
        let permits = usize::try_from(whole).unwrap_or(usize::MAX);
        Self { semaphore: Arc::new(Semaphore::new(permits)), whole }
    }

    /// Waits for room for `bytes`; a request above the whole budget gets the whole budget.
    ///
    /// `None` only when the budget was closed, which the engine never does.
    pub async fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.whole);
        Arc::clone(&self.semaphore).acquire_many_owned(units).await.ok()
    }

    /// Bytes free now.
    pub fn free_bytes(&self) -> u64 {
        u64::try_from(self.semaphore.available_permits()).unwrap_or(0).saturating_mul(UNIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_above_the_budget_waits_for_all_of_it_and_no_longer() {
        let credits = ByteCredits::new(10 * 1024);
        let all = credits.take(1 << 30).await.unwrap();
        assert_eq!(credits.free_bytes(), 0);
        drop(all);
        let some = credits.take(1).await.unwrap();
        assert_eq!(credits.free_bytes(), 9 * 1024);
        drop(some);
    }
}
