//! kill -9 at a chosen moment: not a time, but a request that the upstream gets.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{Asked, Espejo, FakeUpstream, Finished};

impl Espejo {
    /// Runs `serve` in front of an upstream and kills it when the `at`-th of these requests
    /// arrives there; the request is never answered to a living process.
    pub fn serve_until_killed(
        &self,
        upstream: &FakeUpstream,
        at: usize,
        wanted: impl Fn(&Asked) -> bool + Send + 'static,
    ) -> Finished {
        let child_id = Arc::new(AtomicI32::new(0));
        let (to_kill, mut seen) = (Arc::clone(&child_id), 0);
        upstream.on_request(move |_, asked| {
            seen += usize::from(wanted(asked));
            if seen != at {
                return;
            }
            while to_kill.load(Ordering::Acquire) == 0 {
                std::thread::yield_now(); // it asks before its id was written down
            }
            // not waited for before it is dead, so the id is its own
            let id = rustix::process::Pid::from_raw(to_kill.load(Ordering::Acquire));
            let killed = rustix::process::kill_process(
                id.expect("a process id"),
                rustix::process::Signal::KILL,
            );
            killed.expect("a running child");
            seen += 1; // once
        });
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream.url()];
        let child = self.spawn(&arguments);
        child_id.store(child.id().cast_signed(), Ordering::Release);
        let died = Finished::of(child.wait_with_output().expect("the end of a child"));
        upstream.on_request(|_, _| {});
        assert_eq!(died.code, None, "ended by itself: {died:?}");
        died
    }
}

/// Runs `points` on both cores; a failing point names itself.
pub fn on_all_cores<P: Sync + std::fmt::Debug>(points: &[P], run: impl Fn(&P) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let run = std::panic::AssertUnwindSafe(|| run(point));
                    if std::panic::catch_unwind(run).is_err() {
                        failed.lock().expect("no panic holds it").push(format!("{point:?}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic holds it");
    assert!(failed.is_empty(), "{} of {} points failed: {failed:?}", failed.len(), points.len());
}
