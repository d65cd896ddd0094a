//! kill -9 at every operation on disk and at many points between requests.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use super::fault::{Action, counted, faulty, watched};
use super::{left_out, names, packages};
use crate::harness::{Espejo, Expect, FakeUpstream, Finished, Package, compare, on_all_cores};

/// A sync to be killed: what was published before and is here already, and what it brings in.
struct Work {
    before: Vec<Package>,
    published: Vec<Package>,
    base: Option<TempDir>,
    upstream: FakeUpstream,
}

impl Work {
    /// Everything is new.
    fn cold() -> Self {
        let published = packages();
        let upstream = FakeUpstream::start();
        published.iter().for_each(|package| upstream.publish(package));
        Self { before: Vec::new(), published, base: None, upstream }
    }

    /// All packages are here; each has a new version, one lost a version, one is new.
    fn update() -> Self {
        let mut work = Self::cold();
        let base = tempfile::tempdir().expect("a scratch folder");
        work.sync(&Espejo::new(base.path())).expect(0);
        work.base = Some(base);
        let mut changed: Vec<_> = work
            .published
            .iter()
            .map(|package| package.clone().version_with("2.0.0", |version| version.size(20_000)))
            .collect();
        changed[1] = changed[1].clone().without("1.0.0");
        changed.push(Package::new("newcomer").version("1.0.0"));
        changed.iter().for_each(|package| work.upstream.publish(package));
        work.before = std::mem::replace(&mut work.published, changed);
        work
    }

    /// A folder as it was before the work.
    fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir().expect("a scratch folder");
        if let Some(base) = &self.base {
            copy(base.path(), folder.path());
        }
        folder
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["sync".to_owned(), "--json".into(), "--upstream".into()];
        arguments.push(self.upstream.url());
        arguments.extend(names(&self.published).into_iter().map(str::to_owned));
        arguments
    }

    fn sync(&self, espejo: &Espejo) -> Finished {
        let arguments = self.arguments();
        espejo.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Everything that ever was published, the newest last.
    fn ever(&self) -> Vec<Package> {
        self.before.iter().chain(&self.published).cloned().collect()
    }

    /// After a death: what is there is right, what was acknowledged is there, and a second sync
    /// brings everything.
    fn check(&self, data: &Path, died: &Finished, verify: bool) {
        let acknowledged = acknowledged(&died.stdout);
        compare(data, &self.ever(), Expect::AtLeast(&acknowledged));
        self.sync(&Espejo::new(data)).expect(0);
        compare(data, &self.ever(), Expect::Everything);
        if verify {
            Espejo::new(data).run(&["verify", "--json"]).expect(0);
        }
        let unfinished = crate::harness::files(data, |name| name.contains("tmp"));
        assert!(unfinished.is_empty(), "left behind: {unfinished:?}");
    }
}

/// Packages a sync said it has, before it died.
fn acknowledged(stdout: &str) -> BTreeSet<String> {
    stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["type"] == "package" && line["state"] == "success")
        .filter_map(|line| line["name"].as_str().map(str::to_owned))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).expect("a folder");
            copy(&entry.path(), &target);
        } else if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            std::fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}

/// Kills the work at its operations on disk: `points` of them, spread evenly, in turn before an
/// operation and in the middle of it.
fn kill_at_operations(work: &Work, points: u64) {
    let calibration = work.folder();
    let count = tempfile::NamedTempFile::new().expect("a file");
    work.sync(&watched(calibration.path(), count.path())).expect(0);
    // A run may need fewer operations than this one, because batches depend on the moment; the
    // last tenth is left to the runs that need more.
    let operations = counted(count.path()) * 9 / 10;
    assert!(operations >= 20, "only {operations} operations on disk were seen");
    let points: Vec<_> = (0..points)
        .map(|n| {
            let action = if n % 2 == 0 { Action::Kill } else { Action::Torn };
            (1 + n * operations / points, action, n % 16 == 0)
        })
        .collect();
    let deaths = AtomicUsize::new(0);
    on_all_cores(&points, |&(at, action, verify)| {
        let folder = work.folder();
        let count = tempfile::NamedTempFile::new().expect("a file");
        let died = work.sync(&faulty(folder.path(), count.path(), action, at));
        assert!(died.code.is_none() || died.code == Some(0), "{died:?}");
        deaths.fetch_add(usize::from(died.code.is_none()), Ordering::Relaxed);
        work.check(folder.path(), &died, verify);
    });
    let deaths = deaths.into_inner();
    println!("died at {deaths} of {} points over {operations} operations", points.len());
    assert!(deaths * 4 >= points.len() * 3, "only {deaths} of {} points killed", points.len());
}

#[test]
fn killed_at_any_operation_of_a_first_sync_nothing_acknowledged_is_lost() {
    if !left_out() {
        kill_at_operations(&Work::cold(), 160);
    }
}

#[test]
fn killed_at_any_operation_of_an_update_nothing_held_is_lost() {
    if !left_out() {
        kill_at_operations(&Work::update(), 120);
    }
}

#[test]
fn killed_at_any_request_nothing_acknowledged_is_lost() {
    if left_out() {
        return;
    }
    // Each point has an upstream of its own, which counts requests and kills at the chosen one.
    let requests = {
        let work = Work::cold();
        let folder = work.folder();
        work.sync(&Espejo::new(folder.path())).expect(0);
        work.upstream.asked().len()
    };
    let points: Vec<_> = (0..40).map(|n| 1 + n * requests / 40).collect();
    on_all_cores(&points, |&at| {
        let work = Work::cold();
        let folder = work.folder();
        let espejo = Espejo::new(folder.path());
        let arguments = work.arguments();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let child = espejo.spawn(&arguments);
        let pid = child.id();
        work.upstream.on_request(move |count, _| {
            if count == at {
                // The child was spawned by this test and is not waited for yet, so the id is its own.
                let pid = rustix::process::Pid::from_raw(pid as i32).expect("a process id");
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        });
        let died = Finished::of(child.wait_with_output().expect("the end of a child"));
        work.upstream.on_request(|_, _| {});
        work.check(folder.path(), &died, false);
    });
}
