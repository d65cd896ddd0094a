//! The part in the background that keeps the index up to date.
//!
//! It reads names from our change log behind its place, asks the tables what they are now, and
//! writes what differs: nothing is taken from the log but names, so reading one twice does no harm.
//! Documents are read one after another, and it works at most half of the time, so that a bulk sync
//! has the processors. Whatever goes wrong, a panic included, ends one run of it; the next one opens
//! the index again, or makes it anew where its files are damaged.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::{EngineEvent, EngineHandle};
use npm::PackageName;
use store::downloads::{self, day_of};
use store::{WriteFn, blocks, changes, settings};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;
use uuid::Uuid;

use super::index::{Known, SearchIndex};
use super::place::Place;
use super::states::State;
use super::{Order, Search, SearchError, Waiting, document, states};

/// Names of one round.
const AT_ONCE: usize = 500;
/// The same for the database.
const ROWS_AT_ONCE: i64 = 500;
/// With so many entries written, a run that still is behind commits: what a kill may cost.
const COMMIT_AFTER: usize = 10_000;
/// How often is looked when no news came: other nodes, times that are over, days.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Waits between failed runs.
const WAITS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);
/// A run so long was a good one.
const GOOD_RUN: Duration = Duration::from_secs(60);
/// Key of the id that ties an index to its database.
const DATABASE: &str = "search.database";

impl Search {
    /// Keeps the index up to date until the server stops; closes it then.
    pub async fn keep(self: Arc<Self>, engine: EngineHandle, mut stopping: watch::Receiver<bool>) {
        let mut wait = *WAITS.start();
        while !*stopping.borrow() {
            let began = Instant::now();
            let Err(error) = self.open_and_run(&engine, &mut stopping).await else { break };
            if error.is_damage() {
                tracing::warn!(%error, "the search index is made anew");
                self.index.store(None);
                self.discard().await;
            } else {
                // meanwhile what was committed before is searched
                tracing::warn!(%error, wait_ms = wait.as_millis(), "search is opened again");
            }
            wait = if began.elapsed() > GOOD_RUN { *WAITS.start() } else { wait };
            let _ = tokio::time::timeout(wait, stop(&mut stopping)).await;
            wait = (wait * 2).min(*WAITS.end());
        }
        self.index.store(None);
        self.ended.send_replace(true);
    }

    /// One run; it ends with the server or an error, and nobody writes then.
    async fn open_and_run(
        self: &Arc<Self>,
        engine: &EngineHandle,
        stopping: &mut watch::Receiver<bool>,
    ) -> Result<(), SearchError> {
        let folder = self.settings.folder.clone();
        let opening = tokio::task::spawn_blocking(move || SearchIndex::open(&folder));
        let index = Arc::new(opening.await??);
        let mut run = tokio::spawn(Arc::clone(self).run(engine.clone(), Arc::clone(&index)));
        let ended = tokio::select! {
            ended = &mut run => Some(ended),
            () = stop(stopping) => None,
        };
        run.abort();
        if ended.is_none() {
            // it was told to
            let _ = run.await;
        }
        tokio::task::spawn_blocking(move || index.close()).await?;
        match ended {
            None => Ok(()),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(ended)) => Err(ended.into()),
        }
    }

    /// Files of no use give room to new ones.
    async fn discard(&self) {
        let folder = self.settings.folder.clone();
        let gone = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
        if let Ok(Err(error)) = gone {
            tracing::warn!(%error, "the damaged search index was not deleted");
        }
    }

    async fn run(
        self: Arc<Self>,
        engine: EngineHandle,
        index: Arc<SearchIndex>,
    ) -> Result<Infallible, SearchError> {
        let mut run = Run::start(&engine, index).await?;
        self.index.store(Some(Arc::clone(&run.index)));
        run.look_at_withheld().await?;
        let mut counting = false;
        loop {
            let began = Instant::now();
            let waiting = self.take();
            let has_orders = waiting.iter().any(|one| one.done.is_some());
            let before = run.dirty;
            let more = run.round(waiting).await?;
            self.numbers.is_behind(if more { run.behind().await? } else { 0 });
            // counts of downloads alone make no commit due, only many of them
            let is_due = !more && (!counting || run.dirty > before);
            let is_much = run.dirty.max(run.passed) >= COMMIT_AFTER;
            if has_orders || is_much || (run.dirty > 0 && is_due) {
                run.commit().await?;
                sleep(self.settings.every).await;
            }
            if !more {
                counting = run.look_at_the_clock().await?;
            }
            if more || counting {
                sleep(began.elapsed().min(LOOK_EVERY)).await;
            } else {
                tokio::select! {
                    () = run.hear() => {}
                    () = self.nudge.notified() => {}
                    () = sleep(LOOK_EVERY) => {}
                }
            }
            run.hear_all();
        }
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock();
        let count = waiting.len().min(AT_ONCE);
        waiting.drain(..count).collect()
    }
}

/// Waits until the server stops.
async fn stop(stopping: &mut watch::Receiver<bool>) {
    // whoever could tell is gone: that is the end, too
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// One run over an open index.
struct Run<'e> {
    engine: &'e EngineHandle,
    index: Arc<SearchIndex>,
    place: Place,
    events: Receiver<EngineEvent>,
    /// Names to look at beside those of the log.
    again: Vec<PackageName>,
    /// What is withheld changed in ways that nobody names.
    withheld_changed: bool,
    /// Entries written since the last commit.
    dirty: usize,
    /// Changes read since then. A place that moved past changes that search does not show is worth
    /// no commit of its own: a kill makes them be read again.
    passed: usize,
    done: Vec<oneshot::Sender<()>>,
    /// The day whose downloads are being looked at, and the name behind which that goes on.
    counted: (i64, String),
}

impl<'e> Run<'e> {
    async fn start(engine: &'e EngineHandle, index: Arc<SearchIndex>) -> Result<Self, SearchError> {
        // from here on nothing is missed
        let events = engine.events();
        let database = database_id(engine).await?;
        let last_seq = engine.store().read(changes::last_seq).await?;
        let payload = index.payload()?;
        let place = if payload.is_none() && index.is_empty() {
            Place::start(&database, today(engine))
        } else {
            Place::read(payload.as_deref(), &database, last_seq)?
        };
        tracing::info!(packages = index.len(), behind = last_seq - place.seq, "search is open");
        Ok(Self {
            engine,
            index,
            place,
            events,
            again: Vec::new(),
            withheld_changed: false,
            dirty: 0,
            passed: 0,
            done: Vec::new(),
            counted: (0, String::new()),
        })
    }

    /// How far the place is behind our change log.
    async fn behind(&self) -> Result<i64, SearchError> {
        let last_seq = self.engine.store().read(changes::last_seq).await?;
        Ok(last_seq.saturating_sub(self.place.seq).max(0))
    }

    /// Writes what differs of some names; answers whether more wait.
    async fn round(&mut self, waiting: Vec<Waiting>) -> Result<bool, SearchError> {
        if std::mem::take(&mut self.withheld_changed) {
            self.look_at_withheld().await?;
        }
        let from = self.place.seq;
        let later = move |rows: &mut _| changes::names_since(rows, from, ROWS_AT_ONCE);
        let later = self.engine.store().read(later).await?;
        let mut orders: HashMap<PackageName, Order> = HashMap::new();
        let names = later.iter().filter_map(|(_, name)| PackageName::parse(name).ok());
        orders.extend(names.map(|name| (name, Order::Look)));
        let again = self.again.len().min(AT_ONCE);
        orders.extend(self.again.drain(..again).map(|name| (name, Order::Look)));
        for one in waiting {
            let strongest = orders.entry(one.name).or_insert(one.order);
            if *strongest == Order::Look {
                *strongest = one.order;
            }
            self.done.extend(one.done);
        }
        self.write(orders).await?;
        if let Some((seq, _)) = later.last() {
            self.place.seq = *seq;
            self.passed += later.len();
        }
        Ok(later.len() >= AT_ONCE || !self.again.is_empty())
    }

    async fn write(&mut self, orders: HashMap<PackageName, Order>) -> Result<(), SearchError> {
        if orders.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = orders.keys().cloned().collect();
        let mut found = states::of_names(self.engine, names.clone()).await?;
        let index = Arc::clone(&self.index);
        let known = tokio::task::spawn_blocking(move || index.known(&names)).await??;
        for (name, order) in orders {
            let (state, known) = (found.remove(&name), known.get(&name));
            match state.filter(|_| order != Order::Forget) {
                None if known.is_none() && order == Order::Look => {}
                None => self.remove(&name)?,
                Some(state) if order == Order::Look && is_current(&state, known) => {}
                Some(state) => self.put(&name, state).await?,
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &PackageName) -> Result<(), SearchError> {
        self.index.remove(name)?;
        self.dirty += 1;
        Ok(())
    }

    async fn put(&mut self, name: &PackageName, state: State) -> Result<(), SearchError> {
        let mut made = document::entry(self.engine, self.index.fields(), state).await;
        if made.is_err() {
            // its bytes may have moved since their place was read
            let again = states::of_names(self.engine, vec![name.clone()]).await?.remove(name);
            if let Some(state) = again {
                made = document::entry(self.engine, self.index.fields(), state).await;
            }
        }
        match made {
            Ok(entry) => {
                self.index.put(name, entry)?;
                self.dirty += 1;
            }
            // damaged: it is fetched again when it is read, and that is a change
            Err(error) => {
                tracing::warn!(package.name = %name, %error, "a package is not found by search");
                self.remove(name)?;
            }
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), SearchError> {
        let (index, place) = (Arc::clone(&self.index), self.place.clone());
        tokio::task::spawn_blocking(move || index.commit(&place)).await??;
        (self.dirty, self.passed) = (0, 0);
        for done in self.done.drain(..) {
            // who gave the order went away
            let _ = done.send(());
        }
        Ok(())
    }

    /// Looks at everything that is withheld, and at what was when it was written.
    async fn look_at_withheld(&mut self) -> Result<(), SearchError> {
        let index = Arc::clone(&self.index);
        let names = tokio::task::spawn_blocking(move || index.withheld(None)).await??;
        self.again.extend(names);
        let mut after = (String::new(), String::new());
        loop {
            let (name, version) = after.clone();
            let page = move |rows: &mut _| blocks::list(rows, (&name, &version), ROWS_AT_ONCE);
            let page = self.engine.store().read(page).await?;
            let Some(last) = page.last() else { break };
            after = (last.name.as_str().to_owned(), last.version.clone());
            self.again.extend(page.into_iter().map(|row| row.name));
        }
        self.again.dedup();
        Ok(())
    }

    /// What time alone changes: versions that become old enough, and a new day of downloads, of
    /// which one page is looked at so that changes do not wait; answers whether there are more.
    async fn look_at_the_clock(&mut self) -> Result<bool, SearchError> {
        let now_ms = self.engine.policy().clock.now_ms();
        let index = Arc::clone(&self.index);
        let over = tokio::task::spawn_blocking(move || index.withheld(Some(now_ms))).await??;
        self.again.extend(over);
        let yesterday = today(self.engine) - 1;
        if self.place.counted_day > yesterday {
            return Ok(false);
        }
        if self.counted.0 != yesterday {
            self.counted = (yesterday, String::new());
        }
        let behind = self.counted.1.clone();
        let page =
            move |rows: &mut _| downloads::names_of_day(rows, yesterday, &behind, ROWS_AT_ONCE);
        let page = self.engine.store().read(page).await?;
        let Some(last) = page.last() else {
            self.place.counted_day = yesterday + 1;
            self.dirty += 1;
            return Ok(false);
        };
        last.as_str().clone_into(&mut self.counted.1);
        self.write(page.into_iter().map(|name| (name, Order::Look)).collect()).await?;
        Ok(true)
    }

    /// Waits for something that may matter.
    async fn hear(&mut self) {
        loop {
            match self.events.recv().await {
                Ok(event) => {
                    if self.heard(event) {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    self.withheld_changed = true;
                    return;
                }
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Takes what was told meanwhile.
    fn hear_all(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(event) => {
                    self.heard(event);
                }
                Err(TryRecvError::Lagged(_)) => self.withheld_changed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn heard(&mut self, event: EngineEvent) -> bool {
        match event {
            EngineEvent::Committed { .. } | EngineEvent::ChangedSomewhere { .. } => true,
            EngineEvent::BlocksChanged { name } => {
                self.again.push(name);
                true
            }
            EngineEvent::PolicyChanged => {
                self.withheld_changed = true;
                true
            }
            _ => false,
        }
    }
}

/// Whether what is written of a package still is so; counts of downloads that moved by less than a
/// tenth rank the same.
fn is_current(state: &State, known: Option<&Known>) -> bool {
    known.is_some_and(|known| {
        let moved = state.downloads.abs_diff(known.downloads);
        known.revision == state.revision
            && known.hidden_print == state.hidden_print
            && (known.withheld || !state.withheld)
            && moved.saturating_mul(10) <= known.downloads
    })
}

fn today(engine: &EngineHandle) -> i64 {
    day_of(engine.policy().clock.now_ms())
}

/// The id that indexes of this database bear; made by the first one.
async fn database_id(engine: &EngineHandle) -> Result<String, SearchError> {
    let find = |rows: &mut store::AnyConnection| settings::find(rows, DATABASE);
    if let Some(id) = engine.store().read(find).await? {
        return Ok(id);
    }
    let write: WriteFn = Box::new(|rows| match settings::find(rows, DATABASE)? {
        Some(_) => Ok(()),
        None => settings::set(rows, DATABASE, &Uuid::now_v7().simple().to_string()),
    });
    engine.write(write).await?;
    let id = engine.store().read(find).await?;
    Ok(id.unwrap_or_default())
}
