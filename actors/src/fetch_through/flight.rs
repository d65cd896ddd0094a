//! Single flight: one piece of work per key, however many wait for it.
//!
//! The work is a task of its own on the engine's runtime, so who asked first may go away. It
//! answers through a [`Landing`] as soon as there is something to answer and may go on behind
//! it (a commit, the rest of a stream); only when it is over can the key be started again.
//! Failures are remembered for a while. Nothing survives a restart.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::MissError;
use crate::upstream::via;

/// Failures remembered at most; asking for made-up names must not fill the memory.
const MAX_FAILURES: usize = 4_096;

/// How long every failure is shared.
const SHARED_FOR: Duration = Duration::from_secs(1);

type Answer<T> = Result<T, MissError>;

/// All flights of one kind.
pub(super) struct Flights<K, T> {
    shared: Arc<Shared<K, T>>,
    runtime: Handle,
}

struct Shared<K, T> {
    state: Mutex<State<K, T>>,
    negative_for: Duration,
}

struct State<K, T> {
    running: HashMap<Key<K>, watch::Receiver<Option<Answer<T>>>>,
    failed: HashMap<Key<K>, (Instant, MissError)>,
}

/// Work for other mirrors flies apart: in a circle of mirrors it would wait for itself, and a
/// chain that somebody made up must not fail the readers here.
type Key<K> = (K, bool);

/// The end of a flight; dropped, it makes room for the next one of its key.
pub(super) struct Landing<K: Eq + Hash + Clone, T> {
    shared: Arc<Shared<K, T>>,
    key: Key<K>,
    answer: watch::Sender<Option<Answer<T>>>,
}

impl<K, T> Flights<K, T>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// "Not there" is believed for `negative_for`, other failures for a second.
    pub(super) fn new(runtime: Handle, negative_for: Duration) -> Self {
        let state = State { running: HashMap::new(), failed: HashMap::new() };
        let shared = Shared { state: Mutex::new(state), negative_for };
        Self { shared: Arc::new(shared), runtime }
    }

    /// Joins the flight of `key`, or starts `work`.
    pub(super) async fn join<Work>(
        &self,
        key: &K,
        work: impl FnOnce(Landing<K, T>) -> Work,
    ) -> Answer<T>
    where
        Work: Future<Output = ()> + Send + 'static,
    {
        let mut answer = self.board(key, work)?;
        match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or_else(|| Err(lost())),
            Err(_) => Err(lost()),
        }
    }

    /// As [`Flights::join`] without waiting.
    pub(super) fn start<Work>(&self, key: &K, work: impl FnOnce(Landing<K, T>) -> Work)
    where
        Work: Future<Output = ()> + Send + 'static,
    {
        // a remembered failure is as good as a flight that has just ended
        let _ = self.board(key, work);
    }

    fn board<Work>(
        &self,
        key: &K,
        work: impl FnOnce(Landing<K, T>) -> Work,
    ) -> Result<watch::Receiver<Option<Answer<T>>>, MissError>
    where
        Work: Future<Output = ()> + Send + 'static,
    {
        let key = (key.clone(), via::is_behind());
        let mut state = self.shared.state.lock();
        if let Some(running) = state.running.get(&key) {
            return Ok(running.clone());
        }
        match state.failed.get(&key) {
            Some((until, failure)) if *until > Instant::now() => return Err(failure.clone()),
            Some(_) => drop(state.failed.remove(&key)),
            None => {}
        }
        let (sender, receiver) = watch::channel(None);
        state.running.insert(key.clone(), receiver.clone());
        drop(state);
        let landing = Landing { shared: Arc::clone(&self.shared), key, answer: sender };
        self.runtime.spawn(via::carry(work(landing)));
        Ok(receiver)
    }
}

/// The work ended without an answer: it panicked, or the runtime is going down.
fn lost() -> MissError {
    MissError::unavailable("the request for it ended without an answer")
}

impl<K: Eq + Hash + Clone, T> Landing<K, T> {
    /// Answers everybody who waits; the flight goes on until the landing is dropped.
    pub(super) fn succeed(&self, value: T) {
        self.answer.send_replace(Some(Ok(value)));
    }

    /// Answers everybody who waits, and for a while everybody who comes. After
    /// [`Landing::succeed`] only those who come later hear of it.
    pub(super) fn fail(self, failure: MissError) {
        let believed = match &failure {
            MissError::NotFound | MissError::Gone(_) => self.shared.negative_for,
            _ => SHARED_FOR,
        };
        self.shared.remember(&self.key, Instant::now() + believed, failure.clone());
        if self.answer.borrow().is_none() {
            self.answer.send_replace(Some(Err(failure)));
        }
    }
}

impl<K: Eq + Hash + Clone, T> Shared<K, T> {
    fn remember(&self, key: &Key<K>, until: Instant, failure: MissError) {
        let mut state = self.state.lock();
        if state.failed.len() >= MAX_FAILURES {
            let now = Instant::now();
            state.failed.retain(|_, (until, _)| *until > now);
        }
        if state.failed.len() < MAX_FAILURES {
            state.failed.insert(key.clone(), (until, failure));
        }
    }
}

impl<K: Eq + Hash + Clone, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.shared.state.lock().running.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    type Numbers = Flights<&'static str, usize>;

    fn flights() -> Numbers {
        Flights::new(Handle::current(), Duration::from_secs(10))
    }

    /// Counts the times it is started and fails with what it is given.
    fn failing(
        started: &Arc<AtomicUsize>,
        failure: MissError,
    ) -> impl FnOnce(Landing<&'static str, usize>) -> futures_util::future::Ready<()> {
        let started = Arc::clone(started);
        move |landing| {
            started.fetch_add(1, Ordering::Relaxed);
            landing.fail(failure);
            futures_util::future::ready(())
        }
    }

    #[tokio::test]
    async fn a_leader_that_goes_away_fails_nobody_else() {
        let flights = Arc::new(flights());
        let (started, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let work = |started: Arc<AtomicUsize>, gate: Arc<Semaphore>| {
            move |landing: Landing<&'static str, usize>| async move {
                let number = started.fetch_add(1, Ordering::Relaxed);
                let _open = gate.acquire().await;
                landing.succeed(number);
            }
        };
        let mut leader = Box::pin(flights.join(&"a", work(started.clone(), gate.clone())));
        assert!(futures_util::poll!(leader.as_mut()).is_pending());
        let mut follower = Box::pin(flights.join(&"a", work(started.clone(), gate.clone())));
        assert!(futures_util::poll!(follower.as_mut()).is_pending());
        drop(leader);
        gate.add_permits(1);
        assert_eq!(follower.await, Ok(0));
        assert_eq!(started.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_flight_is_joined_until_the_work_behind_its_answer_is_over() {
        let flights = flights();
        let gate = Arc::new(Semaphore::new(0));
        let behind = gate.clone();
        let first = flights.join(&"a", |landing| async move {
            landing.succeed(1);
            let _open = behind.acquire().await;
        });
        assert_eq!(first.await, Ok(1));
        let second = flights.join(&"a", |landing| async move { landing.succeed(2) });
        assert_eq!(second.await, Ok(1));
        gate.add_permits(1);
        while !flights.shared.state.lock().running.is_empty() {
            tokio::task::yield_now().await;
        }
        let third = flights.join(&"a", |landing| async move { landing.succeed(3) });
        assert_eq!(third.await, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_shared_for_a_second_and_absence_for_longer() {
        let flights = flights();
        let started = Arc::new(AtomicUsize::new(0));
        for (failure, believed) in [
            (MissError::unavailable("down"), Duration::from_secs(1)),
            (MissError::NotFound, Duration::from_secs(10)),
            (MissError::Gone(451), Duration::from_secs(10)),
        ] {
            started.store(0, Ordering::Relaxed);
            for _ in 0..3 {
                let answer = flights.join(&"a", failing(&started, failure.clone())).await;
                assert_eq!(answer, Err(failure.clone()));
            }
            assert_eq!(started.load(Ordering::Relaxed), 1);
            tokio::time::advance(believed - Duration::from_millis(1)).await;
            let _ = flights.join(&"a", failing(&started, failure.clone())).await;
            assert_eq!(started.load(Ordering::Relaxed), 1, "{failure}");
            tokio::time::advance(Duration::from_millis(2)).await;
            let _ = flights.join(&"a", failing(&started, failure.clone())).await;
            assert_eq!(started.load(Ordering::Relaxed), 2, "{failure}");
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test]
    async fn a_panic_answers_with_an_error_and_the_key_can_be_tried_again() {
        let flights = flights();
        let broken = flights.join(&"a", |landing| async move {
            let _landing = landing;
            panic!("a fault in the work");
        });
        assert!(matches!(broken.await, Err(MissError::Unavailable { .. })));
        assert_eq!(flights.join(&"a", |landing| async move { landing.succeed(1) }).await, Ok(1));
    }

    #[tokio::test]
    async fn made_up_names_do_not_fill_the_memory() {
        let flights: Flights<usize, ()> =
            Flights::new(Handle::current(), Duration::from_secs(1_000));
        for number in 0..MAX_FAILURES + 50 {
            let _ =
                flights.join(&number, |landing| async { landing.fail(MissError::NotFound) }).await;
        }
        assert_eq!(flights.shared.state.lock().failed.len(), MAX_FAILURES);
    }
}
