//! No space left: at each operation that needs some, and for as long as it lasts.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};

use super::fault::{Action, counted, faulty, watched};
use super::{left_out, names, packages};
use crate::harness::{Espejo, FakeUpstream, Finished, Package, until};
use crate::harness::{Expect, compare};

fn upstream() -> FakeUpstream {
    let upstream = FakeUpstream::start();
    for package in packages() {
        upstream.publish(&package);
    }
    upstream
}

fn sync(espejo: &Espejo, upstream: &FakeUpstream) -> Finished {
    let all = packages();
    let mut arguments = vec!["sync".to_owned(), "--upstream".into(), upstream.url()];
    arguments.extend(names(&all).into_iter().map(str::to_owned));
    espejo.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_disk_full_for_a_moment_at_any_write_leaves_nothing_half_done() {
    if left_out() {
        return;
    }
    let upstream = upstream();
    let calibration = tempfile::tempdir().expect("a scratch folder");
    let count = tempfile::NamedTempFile::new().expect("a file");
    sync(&watched(calibration.path(), count.path()), &upstream).expect(0);
    let operations = counted(count.path());
    let points = operations.min(60);
    for n in 0..points {
        let at = 1 + n * operations / points;
        let folder = tempfile::tempdir().expect("a scratch folder");
        let espejo = faulty(folder.path(), count.path(), Action::Full, at);
        let met = sync(&espejo, &upstream);
        let code = met.code.unwrap_or_else(|| panic!("operation {at}: a signal ended it: {met:?}"));
        let said = format!("{}{}", met.stdout, met.stderr).to_lowercase();
        assert!(!said.contains("panicked"), "operation {at}: {said}");
        if code != 0 {
            // SQLite does not say why it could not make a file beside the database.
            let reasons = ["space", "full", "unable to open database file"];
            let clear = reasons.iter().any(|reason| said.contains(reason));
            assert!(clear, "operation {at} failed without a clear reason: {said}");
        }
        compare(folder.path(), &packages(), Expect::AtLeast(&BTreeSet::new()));
        sync(&Espejo::new(folder.path()), &upstream).expect(0);
        compare(folder.path(), &packages(), Expect::Everything);
    }
    println!("{points} points over {operations} operations");
}

#[test]
fn a_sync_on_a_full_disk_parks_and_goes_on_alone_when_there_is_space() {
    if left_out() {
        return;
    }
    let upstream = upstream();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let count = tempfile::NamedTempFile::new().expect("a file");
    let full = folder.path().with_extension("full");
    // Full from the fifth request on: by then the store is open and some packages are under way.
    let flag = full.clone();
    upstream.on_request(move |asked, _| {
        if asked == 5 {
            std::fs::write(&flag, "").expect("a file");
        }
    });
    let espejo = watched(folder.path(), count.path()).env("FAULT_WHILE", full.display());
    let all = packages();
    let mut arguments = vec!["sync".to_owned(), "--upstream".into(), upstream.url()];
    arguments.extend(names(&all).into_iter().map(str::to_owned));
    let mut child = espejo.spawn(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let mut parked = String::new();
    for line in said.map_while(Result::ok) {
        parked = line;
        if parked.contains("paused") {
            std::fs::remove_file(&full).expect("the flag");
            break;
        }
    }
    assert!(parked.contains("paused"), "the sync did not say that it waits: {parked}");
    let done = Finished::of(child.wait_with_output().expect("the end of a child"));
    assert_eq!(done.code, Some(0), "{done:?}");
    compare(folder.path(), &packages(), Expect::Everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_what_is_here_is_served_and_the_rest_waits() {
    if left_out() {
        return;
    }
    let upstream = upstream();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let count = tempfile::NamedTempFile::new().expect("a file");
    let full = folder.path().with_extension("full");
    let all = packages();
    sync(&Espejo::new(folder.path()), &upstream).expect(0);
    let espejo = watched(folder.path(), count.path()).env("FAULT_WHILE", full.display());
    let serving = espejo.serve(&upstream.url());
    upstream.publish(&Package::new("newcomer").version("1.0.0"));
    std::fs::write(&full, "").expect("a file");
    for package in &all {
        serving.get(&format!("/{}", package.name)).send().await.expect(200);
        let version = &package.versions[0];
        let answer = serving.get(&package.tarball_path(&version.version)).send().await.expect(200);
        assert_eq!(answer.body, version.tarball);
    }
    let refused = serving.get("/newcomer/-/newcomer-1.0.0.tgz").send().await;
    assert!(refused.status == 503 || refused.status == 200, "{}", refused.status);
    if refused.status == 503 {
        refused.must("retry-after");
    }
    std::fs::remove_file(&full).expect("the flag");
    until("the newcomer", || async {
        let answer = serving.get("/newcomer/-/newcomer-1.0.0.tgz").send().await;
        (answer.status == 200).then_some(())
    })
    .await;
}
