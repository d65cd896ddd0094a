//! Two nodes, as the program ships, on one PostgreSQL database: one cursor, no task run twice, and
//! the other goes on when one is killed. Their bytes are in one bucket; a database server with
//! segments in a folder is for one node.
//!
//! Left out without `TEST_DATABASE_URL`.

mod heard;
mod publishing;

use std::path::Path;

use espejo::admin_token::Token;
use store::tasks::{TaskFilter, TaskRow, list, renew};
use store::tokens::TokenLimits;
use store::{
    AnyConnection, BlobSettings, DatabaseSettings, Store, StoreSettings, TaskId, TaskState, feeds,
    tokens, users,
};

use crate::harness::{
    CHANGES, Espejo, FakeBucket, FakeFeed, FakeUpstream, Package, Serving, database, secrets, until,
};

/// A schema of its own, its address for a child process, and its rows.
pub struct Shared {
    pub address: String,
    pub database: DatabaseSettings,
    pub rows: Store,
}

pub fn shared() -> Option<Shared> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let database = database::scratch(folder.path());
    let DatabaseSettings::Postgres { url, schema: Some(schema) } = &database else {
        eprintln!("left out: a cluster needs PostgreSQL (TEST_DATABASE_URL)");
        return None;
    };
    let mark = if url.contains('?') { '&' } else { '?' };
    let address = format!("{url}{mark}options=-c%20search_path%3D{schema}");
    let settings = StoreSettings { database: database.clone(), blobs: BlobSettings::Memory };
    let rows = Store::open_blocking(&settings).expect("a schema");
    Some(Shared { address, database, rows })
}

impl Shared {
    pub fn program(&self, folder: &Path) -> Espejo {
        Espejo::new(folder)
            .env("ESPEJO_STORAGE__DATABASE", &self.address)
            .env("ESPEJO_SYNC__MODE", "all")
            .env("ESPEJO_UPSTREAM__FEED_EVERY", "20ms")
            .env("ESPEJO_UPSTREAM__FEED_SINCE", "0")
            .env("ESPEJO_UPSTREAM__BACKGROUND_RATE", "0")
    }

    fn node(&self, folder: &Path, bucket: &FakeBucket, upstream: &FakeUpstream) -> Serving {
        let program = self.program(folder).env("ESPEJO_PUBLISH__SCOPES", "@garden");
        Self::with_bucket(program, bucket).serve(&upstream.url())
    }

    pub fn with_bucket(program: Espejo, bucket: &FakeBucket) -> Espejo {
        program
            .env("ESPEJO_STORAGE__KIND", "s3")
            .env("ESPEJO_STORAGE__ENDPOINT", bucket.url())
            .env("ESPEJO_STORAGE__BUCKET", "mirror")
            .env("ESPEJO_STORAGE__ACCESS_KEY", "key")
            .env("ESPEJO_STORAGE__SECRET_KEY", "secret")
    }

    /// A token of somebody, written by none of the nodes.
    pub fn token(&self) -> Token {
        let token = Token::generate().expect("random bytes");
        secrets::keep(token.text());
        let row = token.row("ada", TokenLimits::default());
        let mut writer = self.rows.writer_blocking().expect("a writer");
        let written = writer.write_blocking(|rows| {
            users::ensure(rows, "ada", false)?;
            tokens::create(rows, &row)
        });
        assert!(written.expect("a write"));
        token
    }

    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut AnyConnection) -> Result<T, store::StoreError> + Send + 'static,
    ) -> T {
        self.rows.read(query).await.expect("readable rows")
    }

    async fn tasks(&self) -> Vec<TaskRow> {
        self.read(|rows| list(rows, &TaskFilter { limit: 1_000, ..TaskFilter::default() })).await
    }

    async fn place(&self) -> Option<feeds::FeedRow> {
        self.read(|rows| feeds::find(rows, "default")).await
    }

    /// Who holds the feed.
    async fn leader(&self) -> String {
        self.place().await.and_then(|place| place.held_by).expect("a leader")
    }

    /// Waits until the feed is read to its end and nothing is left to do.
    pub async fn caught_up(&self, feed: &FakeFeed) {
        let last = feed.last();
        until("a cluster at the head with nothing to do", || async move {
            let at_head = self.place().await.and_then(|place| place.seq) == Some(last);
            let over = |task: &TaskRow| matches!(task.state, TaskState::Success | TaskState::Error);
            let tasks = self.tasks().await;
            (at_head && tasks.iter().all(over)).then_some(())
        })
        .await;
    }

    /// What is leased to a node that died is free, as when the time of its leases is over.
    fn end_leases_of(&self, node: &str, tasks: &[TaskId]) {
        let over = -60_000;
        let mut writer = self.rows.writer_blocking().expect("a writer");
        let ended = writer.write_blocking(|rows| {
            feeds::lease(rows, "default", node, over, true)?;
            renew(rows, node, tasks, over)
        });
        assert_eq!(ended.expect("a write"), tasks, "leases of {node}");
    }
}

fn is_running(task: &&TaskRow) -> bool {
    task.state == TaskState::Processing
}

fn publish(upstream: &FakeUpstream, feed: &FakeFeed, names: std::ops::Range<usize>) {
    for number in names {
        let package = Package::new(&format!("p{number}")).version("1.0.0").version("1.1.0");
        upstream.publish(&package);
        feed.change(&package.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_one_feed_and_the_other_goes_on_when_its_leader_is_killed() {
    let Some(shared) = shared() else { return };
    let (bucket, upstream) = (FakeBucket::start(), FakeUpstream::start());
    let feed = FakeFeed::open(&upstream, 1_000);
    feed.most_rows(5);
    let busy = Package::new("busy").version("1.0.0");
    upstream.publish(&busy);
    let gate = upstream.gate(&busy.tarball_path("1.0.0"));
    feed.change("busy");
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let mut first = shared.node(folders[0].path(), &bucket, &upstream);
    upstream.wait_for(&busy.tarball_path("1.0.0"), 1).await;
    let leader = shared.leader().await;

    // both work, one reads the feed
    let second = shared.node(folders[1].path(), &bucket, &upstream);
    publish(&upstream, &feed, 0..40);
    until("all but the held one", || async {
        let tasks = shared.tasks().await;
        let done = tasks.iter().filter(|task| task.state == TaskState::Success).count();
        (done == 40).then_some(())
    })
    .await;
    assert_eq!(shared.leader().await, leader);

    first.kill();
    publish(&upstream, &feed, 40..60);
    let running: Vec<_> =
        shared.tasks().await.iter().filter(is_running).map(|row| row.id).collect();
    shared.end_leases_of(&leader, &running);
    upstream.wait_for(&busy.tarball_path("1.0.0"), 2).await;
    drop(gate);
    let (shared, old) = (&shared, &leader);
    until("another leader", || async move { (shared.leader().await != *old).then_some(()) }).await;
    shared.caught_up(&feed).await;

    let tasks = shared.tasks().await;
    assert_eq!(tasks.len(), 61, "one a row of the feed");
    for task in &tasks {
        let tries = if task.name.as_str() == "busy" { 2 } else { 1 };
        assert_eq!((task.state, task.attempts), (TaskState::Success, tries), "{task:?}");
        assert_eq!(upstream.count(&format!("/{}", task.name)), tries as usize, "{}", task.name);
    }
    // behind the look that finds the feed
    let asked: Vec<_> = feed.asked().iter().skip(1).map(|(since, _)| *since).collect();
    assert!(asked.is_sorted(), "one cursor, which never goes back: {asked:?}");
    assert_eq!(shared.place().await.map(|place| place.epoch), Some(1));
    assert!(upstream.count(CHANGES) > 0 && bucket.len() > 61);
    // whoever synced it, the other has it
    for number in [0, 20, 59] {
        let package = Package::new(&format!("p{number}")).version("1.0.0");
        let target = package.tarball_path("1.0.0");
        let bytes = second.get(&target).send().await.expect(200);
        assert_eq!(bytes.body, package.versions[0].tarball, "{target}");
        assert_eq!(upstream.count(&target), 1, "{target} was here");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_commits_is_served_by_the_other_though_it_had_read_the_old() {
    let Some(shared) = shared() else { return };
    let (bucket, upstream) = (FakeBucket::start(), FakeUpstream::start());
    let feed = FakeFeed::open(&upstream, 1_000);
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let nodes = [0, 1].map(|node: usize| shared.node(folders[node].path(), &bucket, &upstream));
    let mut lamp = Package::new("lamp");
    // a few rounds: whichever node syncs, the other has the document before in its cache
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        lamp = lamp.version(version);
        upstream.publish(&lamp);
        feed.change("lamp");
        shared.caught_up(&feed).await;
        for node in &nodes {
            until("the new version at every node", || async {
                let document = node.get("/lamp").send().await.expect(200).json();
                document["versions"].get(version).map(drop)
            })
            .await;
        }
    }
}

#[test]
fn a_second_node_with_a_folder_of_its_own_does_not_start() {
    let Some(shared) = shared() else { return };
    let upstream = FakeUpstream::start();
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let _first = shared.program(folders[0].path()).serve(&upstream.url());
    let second = shared.program(folders[1].path());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream.url()];
    let refused = second.env("ESPEJO_OPS_LISTEN", "").run(&arguments).expect(1);
    assert!(refused.stderr.contains("another node"), "{}", refused.stderr);
    assert!(refused.stderr.contains("S3"), "{}", refused.stderr);
}
