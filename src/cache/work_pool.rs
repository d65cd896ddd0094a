//! Where documents are scanned, rendered and compressed and large blobs hashed: never on an
//! HTTP thread.
//!
//! Small jobs go to the blocking pool, as many at a time as there are workers. Large ones
//! have threads of their own, few and at low priority: readers of a 40 MB packument wait
//! for each other, readers of small ones hardly notice. A job that was accepted runs to its
//! end; who stops waiting loses only the answer.

use std::sync::Arc;
use std::sync::mpsc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use crate::error::ApiError;

/// Jobs on more than this many bytes are large: they take milliseconds from here on.
pub const LARGE_BYTES: u64 = 512 * 1024;

/// Large jobs at a time; a rendering holds its body twice.
const LARGE_AT_ONCE: usize = 2;

/// Added to the nice value of the threads for large jobs.
const LARGE_NICE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The two lanes.
#[derive(Debug)]
pub struct WorkPool {
    runtime: Handle,
    small: Arc<Semaphore>,
    large: mpsc::Sender<Job>,
}

impl WorkPool {
    /// Starts the threads for large jobs; they end when the pool is dropped.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(runtime: Handle, workers: usize) -> std::io::Result<Self> {
        let (large, jobs) = mpsc::channel::<Job>();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..LARGE_AT_ONCE {
            let jobs = Arc::clone(&jobs);
            std::thread::Builder::new().name("large-work".to_owned()).spawn(move || work(&jobs))?;
        }
        Ok(Self { runtime, small: Arc::new(Semaphore::new(workers.max(2))), large })
    }

    /// Runs a job on `bytes` bytes.
    ///
    /// # Errors
    /// [`ApiError::Internal`] when the job panicked or the pool is stopping.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: u64,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        if bytes <= LARGE_BYTES {
            let permit = Arc::clone(&self.small).acquire_owned().await.map_err(|_| ended())?;
            let running = self.runtime.spawn_blocking(move || {
                let _permit = permit;
                job()
            });
            return running.await.map_err(|error| ApiError::Internal(format!("work: {error}")));
        }
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || drop(answer.send(job())));
        self.large.send(job).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())
    }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    // On Linux the nice value belongs to the thread. Refused, the lane is merely less polite.
    if let Err(error) = rustix::process::nice(LARGE_NICE) {
        tracing::debug!(%error, "large work is done at normal priority");
    }
    loop {
        let next = jobs.lock().recv();
        let Ok(job) = next else { return };
        // The sender of the answer is dropped in a panic, which is what its reader sees.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            tracing::error!("large work panicked");
        }
    }
}

fn ended() -> ApiError {
    ApiError::Internal("the work for a request did not finish".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_lanes_answer_and_survive_a_panic() {
        let pool = WorkPool::start(Handle::current(), 2).unwrap();
        for bytes in [1, LARGE_BYTES + 1] {
            assert_eq!(pool.run(bytes, || 7).await, Ok(7));
            for _ in 0..LARGE_AT_ONCE + 1 {
                let failed = pool.run(bytes, || -> u8 { panic!("planned") }).await;
                assert!(matches!(failed, Err(ApiError::Internal(_))));
            }
            assert_eq!(pool.run(bytes, || 8).await, Ok(8));
        }
    }
}
