//! upstream → first → second, as the program ships, while packages are published, changed and
//! taken away, and both mirrors are killed again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Espejo, FakeFeed, FakeUpstream, Package, Serving, until};

/// Rounds of publishing, each with one kill.
const ROUNDS: usize = 6;

/// The program with every name wanted and short waits.
fn program(folder: &Path) -> Espejo {
    Espejo::new(folder)
        .env("ESPEJO_SYNC__MODE", "all")
        .env("ESPEJO_UPSTREAM__FEED", "auto")
        .env("ESPEJO_UPSTREAM__FEED_EVERY", "20ms")
        .env("ESPEJO_UPSTREAM__BACKGROUND_RATE", "0")
}

/// What a round publishes: a new package, a new version of an old one, a moved tag, and from the
/// third round on a version that is taken away.
fn publish(round: usize, all: &mut BTreeMap<String, Package>) -> Vec<String> {
    let mut changed = Vec::new();
    let new =
        if round.is_multiple_of(2) { format!("@chain/p{round}") } else { format!("p{round}") };
    all.insert(new.clone(), Package::new(&new).version("1.0.0").version("1.1.0"));
    changed.push(new);
    if let Some(name) = round.checked_sub(1).and_then(|back| all.keys().nth(back)).cloned() {
        let grown = all[&name].clone().version(&format!("2.{round}.0")).tag("old", "1.0.0");
        all.insert(name.clone(), grown);
        changed.push(name);
    }
    if let Some(name) = round.checked_sub(3).and_then(|back| all.keys().nth(back)).cloned() {
        let less = all[&name].clone().without("1.1.0");
        all.insert(name.clone(), less);
        changed.push(name);
    }
    changed
}

/// Everything that readers of a mirror see: documents by name, without the mirror's own address.
async fn everything(mirror: &Serving) -> BTreeMap<String, Value> {
    let list = mirror.get("/_all_docs?limit=10000").send().await.expect(200).json();
    let mut seen = BTreeMap::new();
    for row in list["rows"].as_array().expect("rows") {
        let name = row["id"].as_str().expect("a name").to_owned();
        let answer = mirror.get(&format!("/{name}")).send().await.expect(200);
        let text = answer.text().replace(&mirror.url(), "http://here");
        seen.insert(name, serde_json::from_str(&text).expect("a document"));
    }
    seen
}

/// The published packages as a mirror at `http://here` has to show them.
fn expected(all: &BTreeMap<String, Package>) -> BTreeMap<String, BTreeSet<String>> {
    let versions =
        |package: &Package| package.versions.iter().map(|one| one.version.clone()).collect();
    all.iter().map(|(name, package)| (name.clone(), versions(package))).collect()
}

fn versions(seen: &BTreeMap<String, Value>) -> BTreeMap<String, BTreeSet<String>> {
    let keys = |document: &Value| match document["versions"].as_object() {
        Some(versions) => versions.keys().cloned().collect(),
        None => BTreeSet::new(),
    };
    seen.iter().map(|(name, document)| (name.clone(), keys(document))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_of_a_mirror_ends_up_equal_under_publishing_and_kills() {
    let upstream = FakeUpstream::start();
    let feed = FakeFeed::open(&upstream, 1_000);
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let (first_program, second_program) = (program(folders[0].path()), program(folders[1].path()));
    let mut first = first_program.serve(&upstream.url());
    let mut second = second_program.serve(&first.url());
    let mut all = BTreeMap::new();
    for round in 0..ROUNDS {
        for name in publish(round, &mut all) {
            upstream.publish(&all[&name]);
            feed.change(&name);
        }
        // killed in the middle of whatever they do; the first keeps its address, which is the
        // second one's upstream
        if round.is_multiple_of(2) {
            second.kill();
            second = second_program.serve(&first.url());
        } else {
            let address = first.address();
            first.kill();
            first = first_program.serve_at(address, &upstream.url());
        }
    }
    let wanted = expected(&all);
    let (first, second) = (&first, &second);
    for (mirror, which) in [(first, "the first"), (second, "the second")] {
        let wanted = &wanted;
        until(&format!("{which} to hold what was published"), || async move {
            let seen = everything(mirror).await;
            let equal = versions(&seen) == *wanted;
            if !equal {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            equal.then_some(())
        })
        .await;
    }
    until("both to be equal", || async move {
        (everything(first).await == everything(second).await).then_some(())
    })
    .await;
    for (name, package) in &all {
        for version in &package.versions {
            let target = format!("/{name}/-/{}", version.file);
            let bytes = second.get(&target).send().await.expect(200);
            assert_eq!(bytes.body, version.tarball, "{target}");
        }
        let tags = format!("/-/package/{}/dist-tags", name.replace('/', "%2f"));
        let mine = first.get(&tags).send().await.expect(200).json();
        assert_eq!(second.get(&tags).send().await.expect(200).json(), mine, "{name}");
    }
    // each follows in numbers of its own, and both lists are whole
    for mirror in [first, second] {
        let page = mirror.get("/_changes?limit=10000").send().await.expect(200).json();
        let named: BTreeSet<_> = page["results"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["id"].as_str().expect("a name").to_owned())
            .collect();
        assert_eq!(named, wanted.keys().cloned().collect());
    }
}
