//! A worker: has the lease of one hook and delivers what waits for it, page by page, in the order
//! of each package, several packages at a time, from the first package to the last and once more
//! until nothing is left that can be sent.
//!
//! What fails is tried again later and holds back what follows of its package, not the others.
//! A receiver that fails altogether is left alone. Killed anywhere, what was not written down is
//! delivered once more: receivers know it by its id.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use store::hooks::lease::{self, Fate, Rest, Settled, Tried, WaitingDelivery};
use store::hooks::lines::{self, LinePage};
use store::hooks::{HookHealth, HookRow};
use store::{AnyConnection, StoreError, users};
use tokio::sync::watch;
use tokio::time::Instant;

use super::health::{self, BREAKS_AT};
use super::line::{LineEnd, PageState, WorkerDeps, by_package, skip};
use super::payload::Payload;
use crate::clock::now_ms;
use crate::committer::{CommitError, write_returning};

/// Deliveries read at a time: all that a worker has in memory.
const PAGE: i64 = 256;
/// Packages whose deliveries a receiver gets at once: at first, and when it answers quickly.
const NARROW: usize = 4;
const WIDE: usize = 32;
/// A page that took no longer than this was taken quickly.
const QUICK: Duration = Duration::from_secs(1);
/// More packages than this are not held back one by one: the receiver is in trouble.
const MOST_HELD: usize = 1_000;
/// Nobody looks again before, when nothing is left: rows that a slower transaction of another node
/// commits behind newer ones are found then.
const LOOK_AGAIN_MS: i64 = 15_000;
/// Deliveries of a package that follow each other at once carry the same document; who may read it
/// is asked again with it.
const SAME_DOCUMENT: Duration = Duration::from_secs(1);
/// Writing down what became of deliveries is tried so often.
const SETTLE_TRIES: usize = 5;
/// Wait between those.
const SETTLE_AGAIN: Duration = Duration::from_millis(200);

/// A worker on one hook.
pub(super) struct Worker {
    deps: Arc<WorkerDeps>,
    hook: Arc<HookRow>,
    stop: watch::Receiver<bool>,
    health: HookHealth,
    pass: Pass,
    width: usize,
}

/// One way through the packages for which something waits.
#[derive(Default)]
struct Pass {
    /// The last delivery when it began; `None` before it begins.
    last_seq: Option<i64>,
    /// Everything up to this package was looked at.
    behind: String,
    /// There is no package behind that.
    over: bool,
    /// Something was sent, so that there may be more from the start.
    sent: bool,
    /// Packages whose first delivery has to wait.
    held: usize,
    /// When the first of those is due.
    due_ms: Option<i64>,
}

impl Pass {
    fn holds(&mut self, packages: usize, due_ms: Option<i64>) {
        self.held += packages;
        self.due_ms = self.due_ms.into_iter().chain(due_ms).min();
    }
}

impl Worker {
    pub(super) fn new(deps: Arc<WorkerDeps>, hook: HookRow, stop: watch::Receiver<bool>) -> Self {
        Self {
            deps,
            health: hook.health,
            hook: Arc::new(hook),
            stop,
            pass: Pass::default(),
            width: NARROW,
        }
    }

    /// Delivers until nothing can be delivered now.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.sweep().await {
            tracing::warn!(hook.id = self.hook.id, %error,
                "deliveries of a hook stopped; they go on when its lease has run out");
        }
    }

    async fn sweep(&mut self) -> Result<(), CommitError> {
        loop {
            if *self.stop.borrow() {
                return self.rest(0).await;
            }
            if self.pass.over {
                if !self.pass.sent {
                    return self.rest(self.look_again_ms()).await;
                }
                self.pass = Pass::default();
            }
            let (page, is_told) = self.page().await?;
            let probing = self.health.failures > 0 && is_told;
            let mut lines = by_package(page.rows);
            // behind the one that is tried all others wait for how it ends
            if probing && let Some(first) = lines.first_mut() {
                first.truncate(1);
                lines.truncate(1);
            } else {
                self.pass.holds(page.held, page.due_ms);
                self.pass.over = page.behind.is_none();
                self.pass.behind = page.behind.unwrap_or_default();
            }
            if lines.is_empty() {
                continue;
            }
            self.pass.sent = true;
            let ends = if is_told { self.deliver(lines).await } else { skip(lines) };
            if self.page_ended(ends, probing).await? {
                return Ok(());
            }
        }
    }

    /// What can be sent now, and whether anybody is to be told: nobody is in the name of an account
    /// that is gone or locked.
    async fn page(&mut self) -> Result<(LinePage, bool), StoreError> {
        let (hook, behind) = (Arc::clone(&self.hook), self.pass.behind.clone());
        let begun = self.pass.last_seq;
        let read = move |rows: &mut AnyConnection| {
            let last_seq = match begun {
                Some(last_seq) => last_seq,
                None => lines::last_seq(rows, &hook.id)?,
            };
            let page = lines::page(rows, &hook.id, &behind, PAGE)?;
            let owner = users::find(rows, &hook.owner)?;
            Ok((last_seq, page, owner.is_some_and(|user| !user.disabled)))
        };
        let (last_seq, page, is_told) = self.deps.store.read(read).await?;
        self.pass.last_seq = Some(last_seq);
        Ok((page, is_told))
    }

    async fn deliver(&mut self, lines: Vec<Vec<WaitingDelivery>>) -> Vec<LineEnd> {
        let (started, page) = (Instant::now(), Arc::new(PageState::default()));
        let many = lines.len();
        let ends = lines.into_iter().map(|line| self.line(line, Arc::clone(&page)));
        let ends: Vec<LineEnd> = stream::iter(ends).buffer_unordered(self.width).collect().await;
        let failed = page.failures.load(Ordering::Relaxed) > 0;
        if failed || started.elapsed() > QUICK {
            self.width = NARROW;
        } else if many >= self.width {
            self.width = (self.width * 2).min(WIDE);
        }
        ends
    }

    /// The deliveries of one package, one after another, up to the first that fails.
    fn line(
        &self,
        line: Vec<WaitingDelivery>,
        page: Arc<PageState>,
    ) -> impl Future<Output = LineEnd> + Send + 'static {
        let (deps, hook, stop) =
            (Arc::clone(&self.deps), Arc::clone(&self.hook), self.stop.clone());
        async move {
            let mut end = LineEnd::default();
            let mut made: Option<(Payload, Instant)> = None;
            for (place, row) in line.into_iter().enumerate() {
                // one in front of it was asked for again; it waits for its own turn
                if place > 0 && row.not_before_ms > now_ms() {
                    break;
                }
                if page.stopped.load(Ordering::Relaxed) || *stop.borrow() {
                    break;
                }
                if made.as_ref().is_none_or(|(_, at)| at.elapsed() > SAME_DOCUMENT) {
                    let at = Instant::now();
                    match deps.payload(&row, &hook).await {
                        Ok(payload) => made = Some((payload, at)),
                        Err(why) => {
                            // ours, not the receiver's: no try is used up
                            tracing::warn!(
                                hook.id = hook.id,
                                package.name = row.package,
                                why,
                                "the document of a delivery could not be made"
                            );
                            let later_ms = now_ms() + health::millis(deps.settings.first_retry);
                            let fate = Fate::Later(later_ms);
                            end.tried.push(Tried {
                                seq: row.seq,
                                number: row.attempts,
                                attempt: None,
                                fate,
                            });
                            break;
                        }
                    }
                }
                let Some((payload, _)) = &made else { break };
                if !deps.try_one(&hook, &row, payload, &page, &mut end).await {
                    break;
                }
            }
            end
        }
    }

    /// Writes down how a page went; says whether the worker has to let go of the hook.
    async fn page_ended(&mut self, ends: Vec<LineEnd>, probing: bool) -> Result<bool, CommitError> {
        let mut tried: Vec<Tried> = Vec::new();
        let mut asked = None;
        for end in ends {
            tried.extend(end.tried);
            asked = asked.max(end.retry_after);
        }
        let ended_ms = |tried: &Tried| {
            let attempt = tried.attempt.as_ref();
            attempt.map_or(0, |attempt| attempt.at_ms.saturating_add(attempt.duration_ms))
        };
        tried.sort_by_key(ended_ms);
        for one in tried.iter().filter(|one| one.attempt.is_some()) {
            health::note(&mut self.health, one.fate == Fate::Delivered, ended_ms(one));
        }
        let now_ms = now_ms();
        for one in &tried {
            if let Fate::Later(until_ms) = one.fate {
                self.pass.holds(1, Some(until_ms));
            }
        }
        let failing = self.health.failures > 0;
        let broken = self.health.failures >= BREAKS_AT || self.pass.held > MOST_HELD;
        if failing && (broken || probing || asked.is_some()) {
            let chance = health::chance(self.last_seq(), now_ms);
            health::rest(&mut self.health, &self.deps.settings, asked, now_ms, chance);
            let pause = health::gives_up(&self.health, &self.deps.settings, now_ms);
            self.settle(tried, pause, Some(Rest { swept_seq: self.last_seq(), until_ms: 0 }))
                .await?;
            return Ok(true);
        }
        Ok(!self.settle(tried, false, None).await?)
    }

    /// When the first of what is held back is due, or somebody should look anyway.
    fn look_again_ms(&self) -> i64 {
        let first = self.pass.due_ms.unwrap_or(i64::MAX);
        first.min(now_ms().saturating_add(LOOK_AGAIN_MS))
    }

    fn last_seq(&self) -> i64 {
        self.pass.last_seq.unwrap_or(0)
    }

    async fn rest(&self, until_ms: i64) -> Result<(), CommitError> {
        let rest = Rest { swept_seq: self.last_seq(), until_ms };
        self.settle(Vec::new(), false, Some(rest)).await.map(drop)
    }

    /// Repeated while the database is busy: what was delivered would be delivered again, else.
    async fn settle(
        &self,
        tried: Vec<Tried>,
        pause: bool,
        rest: Option<Rest>,
    ) -> Result<bool, CommitError> {
        self.deps.counters.count(&tried);
        let tried: Arc<[Tried]> = tried.into();
        let reason = pause.then(|| self.deps.pause_reason());
        let mut tries = 0;
        loop {
            tries += 1;
            let (hook, deps) = (Arc::clone(&self.hook), Arc::clone(&self.deps));
            let (tried, reason, health) = (Arc::clone(&tried), reason.clone(), self.health);
            let written = write_returning(self.deps.write.clone(), move |rows| {
                let settled = Settled {
                    hook: &hook,
                    worker: &deps.worker,
                    tried: &tried,
                    health,
                    pause: reason.as_deref(),
                    rest,
                };
                lease::settle(rows, &settled)
            });
            match written.await {
                Err(error) if tries < SETTLE_TRIES => {
                    tracing::debug!(%error, "what became of deliveries is written down again");
                    tokio::time::sleep(SETTLE_AGAIN).await;
                }
                written => return written,
            }
        }
    }
}
