//! `espejo status`: what is here, what runs, what waits.

use std::path::Path;

use actors::clock::now_ms;
use actors::upstream::{BudgetStatus, UpstreamStatus};
use actors::{
    EngineStatus,
    audit::AuditStatus,
    changes_follower::{FollowState, FollowerStatus},
    hook_dispatcher::HookDispatcherStatus,
};
use serde_json::json;
use store::{packages, tasks};

use super::{
    arguments::GlobalArguments, control::ControlClient, exit::Exit, open::open_rows,
    output::Output, problem::Outcome, runtime, text,
};
use crate::{
    config::Config,
    control::messages::{StatusAnswer, StoreCounts},
};

/// Shows the state of the mirror.
///
/// # Errors
/// When the mirror or the database cannot be read.
pub fn run(global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    if let Some(client) = ControlClient::connect(&config)? {
        let status: StatusAnswer = runtime::small()?.block_on(client.get("status"))?;
        if output.json {
            output.json(&status);
        } else {
            running(&status, &config, output);
        }
        return Ok(Exit::Done);
    }
    stopped(&config, output)
}

fn running(status: &StatusAnswer, config: &Config, output: &Output) {
    let state = if status.ready { "ready" } else { "not ready" };
    let up = text::age(status.uptime_ms);
    output.line(format_args!(
        "mirror     {state}, up {up}, {}, version {}, process {}",
        status.listen, status.version, status.pid
    ));
    match serde_json::from_value::<EngineStatus>(status.engine.clone()) {
        Ok(engine) => engine_lines(&engine, &status.store, config, output),
        Err(_) => storage_line(&status.store, config, output),
    }
}

fn engine_lines(engine: &EngineStatus, store: &StoreCounts, config: &Config, output: &Output) {
    queue_line(&engine.tasks, output);
    storage_line(store, config, output);
    for sync in &engine.syncs {
        match &sync.upstream {
            None => output.line(format_args!(
                "upstream   {}: not known, so nothing is fetched      try: espejo serve --upstream URL",
                sync.registry
            )),
            Some(upstream) => {
                let rate = format!("{} requests/s", rate(upstream));
                let breaker = breaker(upstream.breaker, upstream.breaker_opens_in_ms);
                let p95 = upstream.p95_ms.map(|ms| format!(", p95 {ms:.0} ms")).unwrap_or_default();
                let budget = upstream.budget.as_ref().map(budget).unwrap_or_default();
                let offline = if upstream.offline { ", offline: nobody is asked" } else { "" };
                output.line(format_args!(
                    "upstream   {}: {rate}, breaker {breaker}{p95}{budget}{offline}",
                    sync.registry
                ));
            }
        }
    }
    for follower in &engine.followers {
        output.line(feed_line(follower));
    }
    for audit in &engine.audits {
        missing_line(audit, output);
    }
    if engine.hooks.hooks > 0 {
        hooks_line(&engine.hooks, output);
    }
    if let Some(reason) = &engine.parked {
        output.line(format_args!("paused     fetching only, serving goes on: {reason}"));
    }
}

fn hooks_line(hooks: &HookDispatcherStatus, output: &Output) {
    let number = |count: i64| text::count(count.unsigned_abs());
    let state = match (hooks.paused, hooks.failing) {
        (0, 0) => "all well".to_owned(),
        (paused, failing) => format!("{} paused, {} failing", number(paused), number(failing)),
    };
    let dropped = match hooks.dropped {
        0 => String::new(),
        dropped => format!(", {} dropped while paused", number(dropped)),
    };
    output.line(format_args!(
        "hooks      {}: {state}; {} waiting{dropped}, {} delivered since start",
        number(hooks.hooks),
        number(hooks.waiting),
        text::count(hooks.delivered)
    ));
}

/// Requests of the last second, and the limit where there is one.
pub(super) fn rate(upstream: &UpstreamStatus) -> String {
    match upstream.rate_per_second {
        0 => upstream.requests_last_second.to_string(),
        limit => format!("{} of {limit}", upstream.requests_last_second),
    }
}

/// What is done about a feed, in words.
pub(super) fn feed_state(state: FollowState) -> &'static str {
    match state {
        FollowState::Starting => "starting",
        FollowState::Standby => "followed by another node",
        FollowState::Off => "none is followed",
        FollowState::Paused => "paused",
        FollowState::CatchingUp => "catching up",
        FollowState::Following => "following",
        FollowState::Holding => "waiting until fewer tasks wait",
        FollowState::Doubting => "its numbers look like others",
        FollowState::Stalled => "silent",
        FollowState::Retrying => "cannot be had, tried again",
        FollowState::Refused => "does not answer as a feed",
    }
}

/// Who paused a feed, and how long ago.
pub(super) fn paused(who: &str, at_ms: i64, now_ms: i64) -> String {
    let ago = text::age(now_ms.saturating_sub(at_ms).max(0).unsigned_abs());
    format!("paused by {who}, {ago} ago")
}

fn feed_line(feed: &FollowerStatus) -> String {
    let state = match (&feed.paused_by, feed.paused_at_ms) {
        (Some(who), Some(at_ms)) => paused(who, at_ms, now_ms()),
        _ => feed_state(feed.state).to_owned(),
    };
    let seq = feed.seq.map(|seq| format!(" at {seq}")).unwrap_or_default();
    let behind = match (feed.behind, feed.behind_ms) {
        (Some(numbers @ 1..), Some(ms @ 1..)) => {
            let age = text::age(ms.unsigned_abs());
            format!(", behind {} numbers, {age}", text::count(numbers.unsigned_abs()))
        }
        _ => String::new(),
    };
    let recheck = if feed.rechecking { ", everything here is asked again" } else { "" };
    let why = feed.alarm.as_ref().or(feed.problem.as_ref());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("feed       {}: {state}{seq}{behind}{recheck}{why}", feed.registry)
}

fn budget(budget: &BudgetStatus) -> String {
    let (used, most) = (text::count(budget.used), text::count(budget.most));
    format!(", {used} of {most} requests of {}", budget.month)
}

/// What is missing, and how far the list of names was compared while that goes on.
fn missing_line(audit: &AuditStatus, output: &Output) {
    if audit.counted_at_ms == 0 {
        return;
    }
    let gaps = &audit.gaps;
    let parts = [
        (gaps.names_never_fetched, "packages never fetched"),
        (gaps.names_waiting, "packages waiting"),
        (gaps.names_failed, "packages failed"),
        (gaps.versions_never_fetched, "versions never fetched"),
        (gaps.versions_failed, "versions failed"),
        (gaps.versions_skipped, "versions skipped"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, what)| format!("{} {what}", text::count(count.unsigned_abs())))
        .collect();
    let gone = gaps.names_gone.saturating_add(gaps.versions_gone);
    let gone = match gone {
        0 => String::new(),
        gone => format!("; {} here are gone upstream", text::count(gone.unsigned_abs())),
    };
    let names = match (&audit.names.problem, audit.names.running) {
        (Some(problem), _) => format!("; list of names: {problem}"),
        (None, true) => {
            format!("; {} names compared so far", text::count(audit.names.names.unsigned_abs()))
        }
        (None, false) => String::new(),
    };
    let missing = if parts.is_empty() { "nothing known".into() } else { parts.join(", ") };
    let see = if parts.is_empty() { "" } else { "      see: espejo missing" };
    output.line(format_args!("missing    {missing}{gone}{names}{see}"));
}

pub(super) fn breaker(state: actors::upstream::BreakerState, opens_in_ms: Option<u64>) -> String {
    use actors::upstream::BreakerState::{Closed, HalfOpen, Open};
    match (state, opens_in_ms) {
        (Closed, _) => "closed".into(),
        (HalfOpen, _) => "half-open".into(),
        (Open, Some(ms)) => format!("open, next try in {}", text::age(ms)),
        (Open, None) => "open".into(),
    }
}

fn queue_line(counts: &tasks::TaskCounts, output: &Output) {
    let number = |count: i64| text::count(u64::try_from(count).unwrap_or_default());
    let oldest = counts
        .oldest_waiting_ms
        .and_then(|ms| u64::try_from(ms).ok())
        .map(|ms| format!(" (oldest {})", text::age(ms)))
        .unwrap_or_default();
    let see =
        if counts.error_last_hour > 0 { "      see: espejo task list --state error" } else { "" };
    output.line(format_args!(
        "queue      {} waiting{oldest}, {} running; last hour {} done, {} failed{see}",
        number(counts.waiting),
        number(counts.processing),
        number(counts.success_last_hour),
        number(counts.error_last_hour),
    ));
}

fn storage_line(store: &StoreCounts, config: &Config, output: &Output) {
    let volume = volume(&config.storage.path)
        .map(|volume| format!(", {} % of the volume", volume.used_percent()))
        .unwrap_or_default();
    output.line(format_args!(
        "storage    {}, {} ({} here), {}{volume}",
        text::counted(store.packages, "package"),
        text::counted(store.versions, "version"),
        text::count(store.held),
        text::bytes(store.bytes),
    ));
}

fn stopped(config: &Config, output: &Output) -> Outcome {
    let folder = config.storage.path.display().to_string();
    let Some(store) = open_rows(config)? else {
        if output.json {
            output
                .json(&json!({ "ready": false, "running": false, "data": folder, "store": null }));
        } else {
            output.line(format_args!("mirror     not running; nothing in {folder} yet"));
        }
        return Ok(Exit::Done);
    };
    let totals = store.read_blocking(packages::totals)?;
    let counts = store.read_blocking(tasks::counts)?;
    let held = StoreCounts::new(totals, store.read_blocking(store::changes::last_seq)?);
    if output.json {
        output.json(&json!({
            "ready": false, "running": false, "data": folder, "store": held, "tasks": counts,
        }));
        return Ok(Exit::Done);
    }
    output.line(format_args!("mirror     not running; data folder {folder}"));
    queue_line(&counts, output);
    storage_line(&held, config, output);
    Ok(Exit::Done)
}

/// The volume of a folder.
#[derive(Debug, Clone, Copy)]
pub struct Volume {
    /// Bytes an ordinary user can still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

impl Volume {
    fn used_percent(self) -> u64 {
        let used = self.total_bytes.saturating_sub(self.free_bytes);
        u64::try_from(u128::from(used) * 100 / u128::from(self.total_bytes.max(1)))
            .unwrap_or_default()
    }
}

/// Free and total bytes of the volume a folder is on.
#[must_use]
pub fn volume(folder: &Path) -> Option<Volume> {
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let volume = rustix::fs::statvfs(existing).ok()?;
    Some(Volume {
        free_bytes: volume.f_bavail.saturating_mul(volume.f_frsize),
        total_bytes: volume.f_blocks.saturating_mul(volume.f_frsize),
    })
}
