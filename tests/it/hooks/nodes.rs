//! Two nodes, as the program ships, on one PostgreSQL database with one hook: whoever syncs, whoever
//! delivers, and when the one that delivers is killed. Left out without `TEST_DATABASE_URL`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde_json::json;
use store::hooks::{self, history, lease};

use super::{SECRET, check_signature};
use crate::cluster::{Shared, shared};
use crate::harness::{
    FakeBucket, FakeFeed, FakeUpstream, HookReceiver, Package, Received, Reply, Request, Serving,
    until,
};

const PACKAGES: usize = 6;

struct Pair {
    shared: Shared,
    bucket: FakeBucket,
    upstream: FakeUpstream,
    feed: FakeFeed,
    receiver: HookReceiver,
    packages: Vec<Package>,
}

impl Pair {
    async fn new(shared: Shared) -> Self {
        let upstream = FakeUpstream::start();
        let feed = FakeFeed::open(&upstream, 1_000);
        let (bucket, receiver) = (FakeBucket::start(), HookReceiver::start().await);
        let packages = (0..PACKAGES).map(|n| Package::new(&format!("@pair/p{n}"))).collect();
        Self { shared, bucket, upstream, feed, receiver, packages }
    }

    fn node(&self, folder: &Path) -> Serving {
        let program = Shared::with_bucket(self.shared.program(folder), &self.bucket);
        program.env("ESPEJO_HOOKS__ALLOW_PRIVATE", "127.0.0.0/8").serve(&self.upstream.url())
    }

    async fn hook(&self, node: &Serving, folder: &Path) {
        let token = std::fs::read_to_string(folder.join("admin.token")).expect("a token");
        let wish = json!({
            "type": "scope", "name": "@pair", "endpoint": self.receiver.url("/in"),
            "secret": SECRET,
        });
        let made = Request::new(node.address(), "POST", "/-/npm/v1/hooks/hook");
        made.token(token.trim()).json(&wish).send().await.expect(201);
    }

    /// One more version of every package.
    fn publish(&mut self, round: usize) {
        for package in &mut self.packages {
            *package = package.clone().version(&format!("1.{round}.0"));
            self.upstream.publish(package);
            self.feed.change(&package.name);
        }
    }

    /// What came of each package, in the order in which each version came first.
    fn told(&self) -> BTreeMap<String, Vec<String>> {
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for json in self.receiver.received().iter().map(Received::json) {
            if json["event"] != "package:publish" {
                continue;
            }
            let name = json["name"].as_str().expect("a name").to_owned();
            let version = json["change"]["version"].as_str().expect("a version").to_owned();
            let versions = told.entry(name).or_default();
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
        told
    }

    /// Waits until the receiver has every version of every package, and nothing waits.
    async fn all_told(&self) {
        until("every version at the receiver", || async {
            let many = self.packages[0].versions.len();
            let told = self.told();
            let whole = told.len() == PACKAGES && told.values().all(|all| all.len() == many);
            let waiting = self.shared.read(history::totals).await.waiting;
            (whole && waiting == 0).then_some(())
        })
        .await;
        for package in &self.packages {
            let published: Vec<_> =
                package.versions.iter().map(|version| version.version.clone()).collect();
            assert_eq!(self.told()[&package.name], published, "{}: in order", package.name);
        }
    }

    /// How often each event came, by its id; one event has one id, and one id one event.
    fn counts(&self) -> HashMap<String, usize> {
        let (mut events, mut counts) = (HashMap::new(), HashMap::new());
        for received in self.receiver.received() {
            check_signature(&received);
            let (id, json) = (received.id(), received.json());
            let event = format!("{} {} {}", json["name"], received.line(), json["time"]);
            assert_eq!(events.entry(id.clone()).or_insert_with(|| event.clone()), &event);
            *counts.entry(id).or_insert(0) += 1;
        }
        counts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_deliver_each_event_once_and_in_order_and_one_goes_on_when_the_other_is_killed() {
    let Some(shared) = shared() else { return };
    let mut pair = Pair::new(shared).await;
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let first = pair.node(folders[0].path());
    pair.hook(&first, folders[0].path()).await;
    let mut nodes = vec![first, pair.node(folders[1].path())];
    for round in 0..8 {
        pair.publish(round);
        let so_far = (round + 1) * PACKAGES;
        until("a part of what was published", || async {
            (pair.receiver.received().len() >= so_far).then_some(())
        })
        .await;
    }
    pair.all_told().await;
    let counts = pair.counts();
    assert!(counts.values().all(|times| *times == 1), "nothing came twice: {counts:?}");

    // killed while the receiver has what it did not answer, and with more that waits
    let before = pair.receiver.received().len();
    pair.receiver.answer(|_| Reply::Hang);
    pair.publish(8);
    pair.receiver.wait_for(before + 1).await;
    pair.publish(9);
    pair.shared.caught_up(&pair.feed).await;
    let hook = pair.shared.read(|rows| hooks::list(rows, "", 9)).await.remove(0);
    let holder = hook.worker.expect("somebody delivers");
    let place = nodes.iter().position(|node| holder.starts_with(&format!("{}-", node.pid())));
    let mut killed = nodes.remove(place.expect("one of the nodes"));
    killed.kill();
    let unanswered: HashSet<String> =
        pair.receiver.received()[before..].iter().map(Received::id).collect();
    pair.receiver.answer(|_| Reply::Status(200));
    pair.receiver.let_go();
    let waiting = pair.shared.read(history::totals).await.waiting;
    assert!(waiting >= 2 * PACKAGES as i64, "nobody delivers while the lease is good");
    // as when its time is over
    let mut writer = pair.shared.rows.writer_blocking().expect("a writer");
    let ended = writer.write_blocking(|rows| lease::renew(rows, &holder, &[hook.id], -60_000));
    ended.expect("a write");
    pair.all_told().await;
    for (id, times) in pair.counts() {
        let expected = if unanswered.contains(&id) { 2 } else { 1 };
        assert_eq!(times, expected, "{id}: what was not answered came once more, and nothing else");
    }
    let hook = pair.shared.read(|rows| hooks::list(rows, "", 9)).await.remove(0);
    assert!(hook.worker.is_none_or(|worker| worker != holder));
}
