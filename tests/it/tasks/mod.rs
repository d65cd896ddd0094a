//! The queue: one waiting task per package, people first, retries, cancelling, logs.

mod api;
mod lists;
mod rights;
mod slow_readers;
mod stream;

use std::time::Duration;

use actors::EngineEvent;
use store::tasks::{self, TaskFilter, TaskOptions};
use store::{Keeping, TaskId, TaskState};
use tokio::sync::watch;

use crate::harness::{Package, TestMirror, until};

fn package(name: &str) -> Package {
    Package::new(name).version("1.0.0")
}

fn options() -> TaskOptions {
    TaskOptions { skip_dependencies: true, keep: Keeping::Mirrored, ..TaskOptions::default() }
}

/// A mirror with one worker; requests of `/busy` wait at the gate. Upstream has these packages, too.
async fn one_worker(names: &[&str]) -> (TestMirror, watch::Sender<bool>) {
    let packages: Vec<_> = names.iter().map(|name| package(name)).collect();
    let mirror = TestMirror::builder()
        .packages(&packages)
        .packages(&[package("busy")])
        .engine(|settings| settings.workers = 1)
        .start()
        .await;
    let gate = mirror.upstream.gate("/busy");
    (mirror, gate)
}

/// The same with the worker at the gate, and as many other tasks as it may claim ahead: what comes
/// next stays in the queue. Also the id of the task at the gate.
async fn kept_busy(names: &[&str]) -> (TestMirror, watch::Sender<bool>, TaskId) {
    let (mirror, gate) = one_worker(names).await;
    let busy = keep_busy(&mirror).await;
    (mirror, gate, busy)
}

/// Gives the only worker of a mirror a task that waits at the gate of `/busy`, and others in front
/// of what comes next.
async fn keep_busy(mirror: &TestMirror) -> TaskId {
    let filler: Vec<_> = (0..8).map(|n| format!("filler-{n}")).collect();
    let mut taken = vec!["busy"];
    taken.extend(filler.iter().map(String::as_str));
    let rows = mirror.enqueue(&taken, &options()).await;
    mirror.upstream.wait_for("/busy", 1).await;
    rows[0].id
}

#[tokio::test]
async fn requests_for_a_waiting_package_are_one_task() {
    let (mirror, gate, busy) = kept_busy(&["lamp"]).await;
    let first = mirror.enqueue(&["lamp"], &options()).await;
    for _ in 0..5 {
        let again = mirror.enqueue(&["lamp"], &options()).await;
        assert_eq!(again[0].id, first[0].id);
    }
    let running = mirror.enqueue(&["busy"], &options()).await;
    assert_ne!(running[0].id, busy, "a running task does not swallow a new request");
    drop(gate);
    for id in [busy, first[0].id, running[0].id] {
        assert_eq!(mirror.ended(id).await.state, TaskState::Success);
    }
    assert_eq!(mirror.upstream.count("/lamp"), 1);
    mirror.finish().await;
}

/// Claims come in gulps, so a worker has tasks in hand that it has not begun.
#[tokio::test]
async fn a_task_that_is_claimed_and_not_begun_takes_new_requests_in() {
    let (mirror, gate) = one_worker(&["lamp"]).await;
    let rows = mirror.enqueue(&["busy", "lamp"], &options()).await;
    mirror.upstream.wait_for("/busy", 1).await;
    until("lamp to be claimed", || async {
        (mirror.task(rows[1].id).await.state == TaskState::Processing).then_some(())
    })
    .await;
    let forced = TaskOptions { force: true, ..options() };
    let again = mirror.enqueue(&["lamp"], &forced).await;
    assert_eq!(again[0].id, rows[1].id);
    assert!(again[0].options.force, "what was asked later is done too");
    drop(gate);
    let ended = mirror.ended(rows[1].id).await;
    assert_eq!((ended.state, ended.attempts), (TaskState::Success, 1));
    assert_eq!(mirror.upstream.count("/lamp"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn people_go_before_feeds_and_feeds_before_sweeps() {
    let names = ["sweep", "feed", "person"];
    let (mirror, gate, _) = kept_busy(&names).await;
    let priorities = [tasks::PRIORITY_SWEEP, tasks::PRIORITY_FEED, tasks::PRIORITY_PEOPLE];
    let mut ids = Vec::new();
    for (name, priority) in names.into_iter().zip(priorities) {
        let task = tasks::NewTask {
            id: TaskId::new(),
            name: name.parse().expect("a name"),
            registry: actors::DEFAULT_REGISTRY.to_owned(),
            priority,
            options: options(),
            author: None,
            author_ip: None,
        };
        ids.push(mirror.engine().enqueue(vec![task]).await.expect("a queue")[0].id);
    }
    drop(gate);
    for id in ids {
        mirror.ended(id).await;
    }
    let asked: Vec<_> = mirror.upstream.asked().into_iter().map(|asked| asked.path).collect();
    let place = |name: &str| asked.iter().position(|path| *path == format!("/{name}"));
    assert!(place("person") < place("feed"), "{asked:?}");
    assert!(place("feed") < place("sweep"), "{asked:?}");
    mirror.finish().await;
}

#[tokio::test]
async fn what_is_forced_runs_at_once_and_once() {
    let (mirror, gate, busy) = kept_busy(&["lamp"]).await;
    let waiting = mirror.enqueue(&["lamp"], &options()).await;
    let forced = tasks::NewTask {
        id: TaskId::new(),
        name: "lamp".parse().expect("a name"),
        registry: actors::DEFAULT_REGISTRY.to_owned(),
        priority: tasks::PRIORITY_FORCED,
        options: TaskOptions { force: true, ..options() },
        author: None,
        author_ip: None,
    };
    let forced = mirror.engine().enqueue(vec![forced]).await.expect("a queue");
    assert_eq!(forced[0].id, waiting[0].id);
    let lamp = mirror.ended(forced[0].id).await;
    assert_eq!((lamp.state, lamp.attempts), (TaskState::Success, 1));
    assert_eq!(mirror.task(busy).await.state, TaskState::Processing, "nobody was pushed aside");
    drop(gate);
    mirror.ended(busy).await;
    assert_eq!(mirror.upstream.count("/lamp"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_task_that_may_succeed_later_is_tried_again_and_the_attempts_counted() {
    let mirror = TestMirror::builder()
        .packages(&[package("lamp")])
        .asks(|settings| settings.retry.attempts = 1)
        .start()
        .await;
    mirror.upstream.fail("/lamp", 503, 1);
    let rows = mirror.sync(&["lamp"]).await;
    assert_eq!(rows[0].state, TaskState::Success, "{:?}", rows[0].error);
    assert_eq!(rows[0].attempts, 2);
    mirror.finish().await;
}

#[tokio::test]
async fn a_task_that_fails_for_good_says_why_and_can_be_retried_by_hand() {
    let mirror = TestMirror::with(&[]).await;
    let rows = mirror.sync(&["lamp"]).await;
    assert_eq!(rows[0].state, TaskState::Error);
    assert!(rows[0].error.as_deref().is_some_and(|error| error.contains("404")), "{rows:?}");
    mirror.upstream.publish(&package("lamp"));
    assert!(mirror.engine().retry(rows[0].id).await.expect("a queue"));
    let again = until("the second try", || async {
        let row = mirror.task(rows[0].id).await;
        (row.state == TaskState::Success).then_some(row)
    })
    .await;
    assert_eq!(again.error, None);
    assert!(!mirror.engine().retry(TaskId::new()).await.expect("a queue"), "no such task");
    mirror.finish().await;
}

#[tokio::test]
async fn a_waiting_and_a_running_task_can_be_cancelled() {
    let (mirror, gate) = one_worker(&["lamp"]).await;
    let running = mirror.enqueue(&["busy"], &options()).await;
    mirror.upstream.wait_for("/busy", 1).await;
    let waiting = mirror.enqueue(&["lamp"], &options()).await;
    let mut events = mirror.engine().events();
    for id in [waiting[0].id, running[0].id] {
        assert!(mirror.engine().cancel(id).await.expect("a queue"));
        let row = mirror.ended(id).await;
        assert_eq!(row.state, TaskState::Error);
        assert!(row.error.as_deref().is_some_and(|error| error.contains("cancel")), "{row:?}");
        assert!(!mirror.engine().cancel(id).await.expect("a queue"), "it ended already");
        let log = mirror.log(id).await;
        assert!(log.ends_with(" ❌ ❌❌❌❌❌ cancelled ❌❌❌❌❌\n"), "{log}");
        assert_eq!(log.contains("🚧"), id == running[0].id, "{log}");
        let told = async {
            loop {
                let event = events.recv().await.expect("an engine");
                if matches!(event, EngineEvent::TaskEnded { id: ended, .. } if ended == id) {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await.expect("the event of its end");
    }
    drop(gate);
    assert!(mirror.versions("busy").await.is_empty(), "a cancelled sync wrote its package");
    let rows = mirror.sync(&["lamp"]).await;
    assert_eq!(rows[0].state, TaskState::Success, "the worker is free again");
    mirror.finish().await;
}

#[tokio::test]
async fn a_job_stops_when_another_process_cancelled_its_task() {
    let (mirror, gate) = one_worker(&["lamp"]).await;
    let busy = mirror.enqueue(&["busy"], &options()).await[0].id;
    mirror.upstream.wait_for("/busy", 1).await;
    // the row alone changes, as by another node: this one notices when it renews its leases
    let cancel: store::WriteFn = Box::new(move |rows| tasks::cancel(rows, busy).map(drop));
    mirror.engine().write(cancel).await.expect("a writable store");
    let rows = mirror.sync(&["lamp"]).await;
    assert_eq!(rows[0].state, TaskState::Success, "the worker is free again");
    assert_eq!(mirror.task(busy).await.error.as_deref(), Some("cancelled"));
    drop(gate);
    assert!(mirror.versions("busy").await.is_empty(), "a cancelled sync wrote its package");
    mirror.finish().await;
}

#[tokio::test]
async fn a_log_is_readable_while_its_task_runs_and_afterwards() {
    let lamp = package("lamp");
    let mirror = TestMirror::with(std::slice::from_ref(&lamp)).await;
    let gate = mirror.upstream.gate(&lamp.tarball_path("1.0.0"));
    let rows = mirror.enqueue(&["lamp"], &options()).await;
    mirror.upstream.wait_for(&lamp.tarball_path("1.0.0"), 1).await;
    let running = mirror.log(rows[0].id).await;
    assert!(running.contains("latest version: 1.0.0"), "{running}");
    drop(gate);
    mirror.ended(rows[0].id).await;
    let whole = mirror.log(rows[0].id).await;
    assert!(whole.starts_with(running.lines().next().expect("a line")), "{whole}");
    assert!(whole.contains("🎉 [1] Synced version 1.0.0 success"), "{whole}");
    for line in whole.lines() {
        assert!(line.starts_with("[20") && line.contains("Z] "), "{line}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn tasks_waiting_at_a_stop_are_done_after_the_start() {
    let (mut mirror, gate) = one_worker(&["lamp"]).await;
    let rows = mirror.enqueue(&["busy", "lamp"], &options()).await;
    mirror.upstream.wait_for("/busy", 1).await;
    drop(gate);
    mirror.restart().await;
    for row in rows {
        assert_eq!(mirror.ended(row.id).await.state, TaskState::Success);
    }
    let filter = TaskFilter { state: Some(TaskState::Success), ..TaskFilter::default() };
    let listed = mirror.store().read(move |connection| tasks::list(connection, &filter)).await;
    assert_eq!(listed.expect("a readable store").len(), 2);
    mirror.finish().await;
}
