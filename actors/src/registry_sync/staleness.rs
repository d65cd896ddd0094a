//! Documents older than the row of the feed that asked for them.
//!
//! The caches in front of an upstream lag behind its feed, for minutes as a rule and for an hour
//! and a half at worst. Where the row says a revision, the document must have come as far; else it
//! is taken as it is and asked for again, first soon, then in spans as long as the row is old. A
//! name that its row says exists and that answers 404 is the same, for a shorter time.
//!
//! Whether the numbers of both revisions mean the same is the upstream's matter. Where many rows
//! in a row never saw a document that came as far, they do not, and nobody waits for them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use npm::change::generation_of;
use store::tasks::{FeedTarget, TaskRow};

use super::settle::JobError;
use crate::clock::now_ms;
use crate::upstream::UpstreamError;

/// A 404 is believed after this long: most names that answer it are gone for good.
const MISSING_FOR: Duration = Duration::from_secs(10 * 60);
/// Longest wait between two looks.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);
/// So many rows given up, one after another, mean that revisions are not to be compared.
const GIVEN_UP_IN_A_ROW: u32 = 20;

/// How long to wait for caches; shared by the jobs of one registry.
#[derive(Debug)]
pub struct Staleness {
    first_wait: Duration,
    give_up_after: Duration,
    given_up_in_a_row: AtomicU32,
    asked_again: AtomicU64,
}

impl Staleness {
    /// Asks again after `first_wait` at the earliest, until a row is `give_up_after` old.
    pub fn new(first_wait: Duration, give_up_after: Duration) -> Self {
        Self {
            first_wait,
            give_up_after,
            given_up_in_a_row: AtomicU32::new(0),
            asked_again: AtomicU64::new(0),
        }
    }

    /// How often a document was asked for again because it was older than its row.
    pub fn asked_again(&self) -> u64 {
        self.asked_again.load(Ordering::Relaxed)
    }

    /// Says what is wrong with a document of this revision; `None` when it is to be taken as the
    /// last word.
    pub(super) fn judge(&self, task: &TaskRow, revision: Option<&str>) -> Option<JobError> {
        let target = task.options.target.filter(|target| !target.deleted)?;
        let (wanted, found) = (target.generation?, generation_of(revision?)?);
        if found >= wanted {
            self.given_up_in_a_row.store(0, Ordering::Relaxed);
            return None;
        }
        if self.given_up_in_a_row.load(Ordering::Relaxed) >= GIVEN_UP_IN_A_ROW {
            return None;
        }
        match self.wait(&target, self.give_up_after) {
            Some(wait) => Some(JobError::Older { found, wanted, wait }),
            None => {
                self.given_up_in_a_row.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// A 404 for a name that its row says exists is not believed at once.
    pub(super) fn judge_failure(&self, task: &TaskRow, error: UpstreamError) -> JobError {
        let target = task.options.target.filter(|target| !target.deleted);
        let wait = match (&error, target) {
            (UpstreamError::NotFound, Some(target)) => {
                self.wait(&target, MISSING_FOR.min(self.give_up_after))
            }
            _ => None,
        };
        wait.map_or_else(|| JobError::Upstream(error), |wait| JobError::NotYet { wait })
    }

    /// Whether this is the last look: it takes no "unchanged" for an answer.
    pub(super) fn is_last(&self, task: &TaskRow) -> bool {
        let target = task.options.target.filter(|target| target.generation.is_some());
        let next = |target: &FeedTarget| age(target) + self.wait_at(age(target));
        task.attempts > 1 && target.is_some_and(|target| next(&target) >= self.give_up_after)
    }

    fn wait(&self, target: &FeedTarget, for_: Duration) -> Option<Duration> {
        let age = age(target);
        if age >= for_ {
            return None;
        }
        self.asked_again.fetch_add(1, Ordering::Relaxed);
        Some(self.wait_at(age))
    }

    /// As long as the row is old: few looks, and the time of the lag at most doubled.
    fn wait_at(&self, age: Duration) -> Duration {
        age.clamp(self.first_wait, LONGEST_WAIT.max(self.first_wait))
    }
}

fn age(target: &FeedTarget) -> Duration {
    let age_ms = now_ms().saturating_sub(target.read_at_ms);
    Duration::from_millis(u64::try_from(age_ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use npm::PackageName;
    use store::tasks::TaskOptions;
    use store::{TaskId, TaskState};

    use super::*;

    fn staleness() -> Staleness {
        Staleness::new(Duration::from_secs(30), Duration::from_secs(7_200))
    }

    fn task(generation: Option<u64>, age: Duration, deleted: bool) -> TaskRow {
        let read_at_ms = now_ms() - i64::try_from(age.as_millis()).unwrap();
        let target = Some(FeedTarget { epoch: 1, seq: 9, generation, deleted, read_at_ms });
        TaskRow {
            id: TaskId::new(),
            name: PackageName::parse("lamp").unwrap(),
            registry: "default".into(),
            state: TaskState::Processing,
            priority: 10,
            options: TaskOptions { target, ..TaskOptions::default() },
            attempts: 1,
            error: None,
            failure: None,
            author: None,
            author_ip: None,
            created_at_ms: 0,
            updated_at_ms: 0,
            not_before_ms: 0,
        }
    }

    fn wait(error: Option<JobError>) -> Option<u64> {
        match error {
            Some(JobError::Older { wait, .. } | JobError::NotYet { wait }) => Some(wait.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn only_a_document_that_says_an_older_revision_is_asked_again() {
        let young = Duration::ZERO;
        for (wanted, found, deleted, waits) in [
            (Some(5), Some("4-a"), false, Some(30)),
            (Some(5), Some("5-a"), false, None),
            (Some(5), Some("6-a"), false, None),
            (Some(5), Some("4-a"), true, None),
            (Some(5), Some("abc"), false, None),
            (Some(5), None, false, None),
            (None, Some("4-a"), false, None),
        ] {
            let judged = staleness().judge(&task(wanted, young, deleted), found);
            assert_eq!(wait(judged), waits, "{wanted:?} {found:?}");
        }
    }

    #[test]
    fn waits_grow_with_the_age_of_the_row_and_end() {
        let at = |minutes: u64| {
            let task = task(Some(5), Duration::from_secs(minutes * 60 + 1), false);
            wait(staleness().judge(&task, Some("4-a")))
        };
        assert_eq!(at(0), Some(30));
        assert!((60..90).contains(&at(1).unwrap()));
        assert!((960..990).contains(&at(16).unwrap()));
        assert_eq!(at(90), Some(1_800));
        assert_eq!(at(120), None);
        let mut looks = 0;
        let mut age = 0;
        while let Some(next) =
            wait(staleness().judge(&task(Some(5), Duration::from_secs(age), false), Some("4-a")))
        {
            age += next;
            looks += 1;
        }
        assert!((7..=12).contains(&looks), "{looks} looks in two hours");
    }

    #[test]
    fn a_404_is_believed_after_ten_minutes_and_at_once_for_a_deleted_name() {
        let judge = |age, deleted| {
            let task = task(None, Duration::from_secs(age), deleted);
            wait(Some(staleness().judge_failure(&task, UpstreamError::NotFound)))
        };
        assert_eq!(judge(0, false), Some(30));
        assert_eq!(judge(601, false), None);
        assert_eq!(judge(0, true), None);
        let gone = staleness()
            .judge_failure(&task(None, Duration::ZERO, false), UpstreamError::Gone { status: 451 });
        assert!(matches!(gone, JobError::Upstream(_)));
    }

    #[test]
    fn revisions_that_never_agree_are_not_waited_for() {
        let staleness = staleness();
        let old = task(Some(5), Duration::from_secs(8_000), false);
        let young = task(Some(5), Duration::ZERO, false);
        for _ in 0..GIVEN_UP_IN_A_ROW {
            assert!(staleness.judge(&young, Some("4-a")).is_some());
            assert!(staleness.judge(&old, Some("4-a")).is_none());
        }
        assert!(staleness.judge(&young, Some("4-a")).is_none(), "they mean different things");
        assert!(staleness.judge(&young, Some("5-a")).is_none());
        assert!(staleness.judge(&young, Some("4-a")).is_some(), "one that agreed changes that");
    }

    #[test]
    fn the_last_look_is_unconditional() {
        let mut again = task(Some(5), Duration::from_secs(6_000), false);
        again.attempts = 7;
        assert!(staleness().is_last(&again));
        again.attempts = 1;
        assert!(!staleness().is_last(&again), "a first look that comes late is an ordinary one");
        let mut young = task(Some(5), Duration::ZERO, false);
        young.attempts = 2;
        assert!(!staleness().is_last(&young));
    }
}
