//! kill -9 while the upstream's list of names is compared: the round goes on where it was.

use std::path::Path;

use store::{completeness, packages, reconciliations, tasks};

use super::{FakeNames, LIST};
use crate::harness::{
    Asked, Espejo, FakeFeed, FakeUpstream, Package, on_all_cores, rows_of, until,
};

const NAMES: [&str; 8] = ["@s/a", "@s/b", "c", "d", "e", "f", "g", "h"];

fn program(folder: &Path) -> Espejo {
    Espejo::new(folder)
        .env("ESPEJO_SYNC__MODE", "all")
        .env("ESPEJO_UPSTREAM__FEED_EVERY", "20ms")
        .env("ESPEJO_UPSTREAM__BACKGROUND_RATE", "0")
        .env("ESPEJO_OPS_LISTEN", "")
}

/// Waits until the round has ended and nothing is missing any more.
async fn complete(data: &Path) {
    let rows = rows_of(data);
    until("a list without gaps", || async {
        let read = rows.read(|rows| {
            let round = reconciliations::find(rows, "default")?;
            Ok((round, completeness::count(rows)?, tasks::counts(rows)?))
        });
        let (round, gaps, counts) = read.await.expect("readable rows");
        let ended = round.is_some_and(|round| round.ended_at_ms.is_some());
        let idle = counts.waiting + counts.processing == 0;
        (ended && idle && gaps == completeness::Gaps::default()).then_some(())
    })
    .await;
}

fn killed_at(path: &'static str, at: usize) {
    let upstream = FakeUpstream::start();
    let _feed = FakeFeed::open(&upstream, 1_000); // tells nothing: the list alone knows the names
    let list = FakeNames::open(&upstream, 3);
    for name in NAMES {
        upstream.publish(&Package::new(name).version("1.0.0"));
    }
    list.add(&NAMES);
    let folder = tempfile::tempdir().expect("a scratch folder");
    let program = program(folder.path());
    program.serve_until_killed(&upstream, at, move |asked: &Asked| asked.path == path);
    let before = upstream.asked().len();
    let mut serving = program.serve(&upstream.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(complete(folder.path()));
    serving.signal(rustix::process::Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
    let rows = rows_of(folder.path());
    let here = rows.read_blocking(|rows| packages::names_after(rows, "", 100)).expect("names");
    let here: Vec<_> = here.iter().map(|name| name.as_str().to_owned()).collect();
    assert_eq!(here, NAMES);
    let round = rows.read_blocking(|rows| reconciliations::find(rows, "default"));
    let round = round.expect("readable rows").expect("a round");
    let expected = i64::try_from(NAMES.len()).expect("few");
    assert_eq!((round.names, round.absent), (expected, 0), "each name was compared once");
    let again = upstream.asked().split_off(before);
    let from_the_start =
        again.iter().any(|asked| asked.path == LIST && !asked.query.contains("startkey"));
    assert_eq!(from_the_start, path == LIST && at == 1, "a page that was taken is not asked again");
}

#[test]
fn killed_while_names_are_compared_the_round_goes_on() {
    if crate::recovery::left_out() {
        return;
    }
    let points = [(LIST, 1), (LIST, 2), (LIST, 4), ("/@s/b", 1)];
    on_all_cores(&points, |&(path, at)| killed_at(path, at));
}
