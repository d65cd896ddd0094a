//! kill -9 of the program while it follows: at the n-th request of each kind. The next start goes on,
//! and in the end everything is as if nothing had happened.

use std::collections::BTreeMap;
use std::path::Path;

use store::tasks::{self, TaskFilter};
use store::{TaskState, VersionState, changes, feeds};

use crate::harness::{
    Asked, CHANGES, Espejo, Expect, FakeFeed, FakeUpstream, Package, compare, on_all_cores,
    packages_in, rows_of, until,
};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Head,
    Page,
    Document,
    Tarball,
}

impl Kind {
    fn of(asked: &Asked) -> Option<Self> {
        match asked.path.as_str() {
            "/" => Some(Self::Head),
            CHANGES => Some(Self::Page),
            path if path.starts_with("/-/") || path == "/_all_docs" => None,
            path if path.contains("/-/") => Some(Self::Tarball),
            _ => Some(Self::Document),
        }
    }
}

/// The program with every name wanted, one page after another and no wait for anybody.
fn follower(folder: &Path) -> Espejo {
    Espejo::new(folder)
        .env("ESPEJO_SYNC__MODE", "all")
        .env("ESPEJO_SYNC__WORKERS", "2")
        .env("ESPEJO_UPSTREAM__FEED_EVERY", "20ms")
        .env("ESPEJO_UPSTREAM__BACKGROUND_RATE", "0")
        .env("ESPEJO_UPSTREAM__FEED_SINCE", "0")
        .env("ESPEJO_OPS_LISTEN", "")
}

/// What upstream has, and how often each name was in its feed.
struct Upstream {
    server: FakeUpstream,
    feed: FakeFeed,
    packages: BTreeMap<String, Package>,
    told: BTreeMap<String, usize>,
}

impl Upstream {
    /// Nine packages of one to three versions, two rows a page.
    fn start() -> Self {
        let server = FakeUpstream::start();
        let feed = FakeFeed::open(&server, 1_000);
        feed.most_rows(2);
        let mut upstream = Self { server, feed, packages: BTreeMap::new(), told: BTreeMap::new() };
        for number in 0..9 {
            let name =
                if number % 3 == 0 { format!("@kill/p{number}") } else { format!("p{number}") };
            let package = (0..=number % 3).fold(Package::new(&name), |package, minor| {
                package.version(&format!("1.{minor}.0"))
            });
            upstream.publish(package);
        }
        upstream
    }

    fn publish(&mut self, package: Package) {
        self.server.publish(&package);
        self.feed.change(&package.name);
        *self.told.entry(package.name.clone()).or_default() += 1;
        self.packages.insert(package.name.clone(), package);
    }

    /// While nobody listens: a new version, one that is taken away, a new name.
    fn go_on(&mut self) {
        let grown = self.packages["p1"].clone().version("2.0.0");
        self.publish(grown);
        let less = self.packages["p2"].clone().without("1.1.0");
        self.publish(less);
        self.publish(Package::new("newcomer").version("1.0.0"));
    }

    /// Waits until a running program has read the feed to its end and done what it asks for.
    async fn caught_up(&self, data: &Path) {
        let rows = rows_of(data);
        until("a follower at the head with nothing to do", || async {
            let read = rows.read(|rows| Ok((feeds::find(rows, "default")?, tasks::counts(rows)?)));
            let (feed, counts) = read.await.expect("readable rows");
            let at_head = feed.and_then(|feed| feed.seq) == Some(self.feed.last());
            (at_head && counts.waiting + counts.processing == 0).then_some(())
        })
        .await;
    }

    /// Every name has the last state, once.
    fn check(&self, data: &Path) {
        let published: Vec<Package> = self.packages.values().cloned().collect();
        let ever = [vec![Package::new("p2").version("1.1.0")], published].concat();
        compare(data, &ever, Expect::Everything);
        let rows = rows_of(data);
        let found = packages_in(&rows);
        let names: Vec<_> = found.iter().map(|(package, _)| package.name.as_str()).collect();
        assert_eq!(names, self.packages.keys().collect::<Vec<_>>());
        for (package, versions) in &found {
            let name = package.name.as_str();
            let mut wanted: Vec<_> =
                self.packages[name].versions.iter().map(|one| one.version.as_str()).collect();
            wanted.sort_unstable();
            let mut here: Vec<_> = versions
                .iter()
                .filter(|row| row.removed_at_ms.is_none())
                .inspect(|row| assert_eq!(row.state, VersionState::Held, "{name}"))
                .map(|row| row.version.as_str())
                .collect();
            here.sort_unstable();
            assert_eq!(here, wanted, "{name}");
            let told = self.told[name];
            assert!(usize::try_from(package.revision).is_ok_and(|count| count <= told), "{name}");
            let filter = TaskFilter { name: Some(package.name.clone()), ..TaskFilter::default() };
            let tasks = rows.read_blocking(|rows| tasks::list(rows, &filter)).expect("tasks");
            assert!((1..=told).contains(&tasks.len()), "{name}: {tasks:?}");
            // one that was running when the next one came lets that one do its work
            let well = |task: &tasks::TaskRow| match &task.error {
                Some(error) => error.contains("of this package goes on"),
                None => task.state == TaskState::Success,
            };
            assert!(tasks.iter().all(well), "{tasks:?}");
        }
        let log = rows.read_blocking(|rows| changes::since(rows, 0, 1_000)).expect("a log");
        assert_eq!(log.len(), self.packages.len(), "one row a name: {log:?}");
        let feed = rows.read_blocking(|rows| feeds::find(rows, "default")).expect("a place");
        let feed = feed.expect("a place");
        assert_eq!((feed.seq, feed.epoch, feed.alarm), (Some(self.feed.last()), 1, None));
    }
}

fn killed_at(kind: Kind, at: usize) {
    let mut upstream = Upstream::start();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let program = follower(folder.path());
    let wanted = move |asked: &Asked| Kind::of(asked) == Some(kind);
    program.serve_until_killed(&upstream.server, at, wanted);
    upstream.go_on();
    let mut serving = program.serve(&upstream.server.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(upstream.caught_up(folder.path()));
    serving.signal(rustix::process::Signal::TERM);
    assert_eq!(serving.wait(), Some(0));
    upstream.check(folder.path());
}

#[test]
fn killed_at_any_request_of_a_follower_no_row_is_lost_or_doubled() {
    if crate::recovery::left_out() {
        return;
    }
    let points = [
        (Kind::Head, 1),
        (Kind::Page, 1),
        (Kind::Page, 2),
        (Kind::Page, 3),
        (Kind::Page, 5),
        (Kind::Document, 1),
        (Kind::Document, 4),
        (Kind::Document, 9),
        (Kind::Tarball, 1),
        (Kind::Tarball, 5),
        (Kind::Tarball, 11),
        (Kind::Tarball, 18),
    ];
    on_all_cores(&points, |&(kind, at)| killed_at(kind, at));
}
