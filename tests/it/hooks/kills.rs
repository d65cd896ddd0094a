//! kill -9 of the program between a fact and its delivery, at seeded moments: before and after the
//! commit, while a receiver has a delivery and has not answered, after it did. No event is lost,
//! and of each package they come in order. On PostgreSQL there are fewer kills, as each start takes
//! longer; its segments are in the folder, so it is one node all the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{SECRET, check_signature};
use crate::cluster::{Shared, shared};
use crate::harness::{Espejo, FakeUpstream, HookReceiver, Package, Reply, Request, Serving, until};

/// Kills in all, in folders of their own; `HOOK_KILLS` names another number.
const KILLS: usize = 200;
const KILLS_ON_POSTGRES: usize = 40;
const FOLDERS: usize = 8;
const FOLDERS_ON_POSTGRES: usize = 4;
const PACKAGES: usize = 3;

/// Where a round ends.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// So many milliseconds after the sync was asked for.
    After(u64),
    /// When the receiver gets its n-th delivery of the round, before it answers.
    Unanswered(usize),
    /// When it has answered the first one and gets the next.
    Answered,
}

/// Numbers that look random and are the same in each run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn point(&mut self) -> Point {
        match self.below(4) {
            0 | 1 => Point::After(self.below(120)),
            2 => Point::Unanswered(if self.below(2) == 0 { 1 } else { 2 }),
            _ => Point::Answered,
        }
    }
}

/// One data folder with its upstream and its receiver.
struct Place {
    folder: tempfile::TempDir,
    /// The rows, when they are not in the folder.
    shared: Option<Shared>,
    upstream: FakeUpstream,
    receiver: HookReceiver,
    packages: BTreeMap<String, Package>,
    token: String,
    killed: Arc<AtomicUsize>,
}

fn program(folder: &Path, shared: Option<&Shared>) -> Espejo {
    let program = Espejo::new(folder)
        .env("ESPEJO_HOOKS__ALLOW_PRIVATE", "127.0.0.0/8")
        .env("ESPEJO_UPSTREAM__FEED", "off")
        .env("ESPEJO_SYNC__WORKERS", "2");
    match shared {
        Some(shared) => program.env("ESPEJO_STORAGE__DATABASE", &shared.address),
        None => program,
    }
}

impl Place {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (upstream, receiver) = (FakeUpstream::start(), HookReceiver::start().await);
        let shared = shared();
        let mut serving = program(folder.path(), shared.as_ref()).serve(&upstream.url());
        let token = std::fs::read_to_string(folder.path().join("admin.token")).expect("a token");
        let token = token.trim().to_owned();
        let endpoint = receiver.url("/in");
        let wish =
            json!({ "type": "scope", "name": "@kill", "endpoint": endpoint, "secret": SECRET });
        let made = Request::new(serving.address(), "POST", "/-/npm/v1/hooks/hook").token(&token);
        made.json(&wish).send().await.expect(201);
        serving.kill();
        let killed = Arc::default();
        Self { folder, shared, upstream, receiver, packages: BTreeMap::new(), token, killed }
    }

    fn program(&self) -> Espejo {
        program(self.folder.path(), self.shared.as_ref())
    }

    /// A new version of one package.
    fn publish(&mut self, round: usize) -> String {
        let name = format!("@kill/p{}", round % PACKAGES);
        let package = self.packages.entry(name.clone()).or_insert_with(|| Package::new(&name));
        *package = package.clone().version(&format!("1.{round}.0"));
        self.upstream.publish(package);
        name
    }

    async fn ask_for(&self, serving: &Serving, name: &str) {
        let path = format!("/-/package/{}/syncs", name.replace('/', "%2f"));
        let asked = Request::new(serving.address(), "PUT", &path).token(&self.token);
        asked.send().await.expect(201);
    }

    async fn round(&mut self, round: usize, point: Point) {
        let name = self.publish(round);
        let pid = Arc::new(AtomicU32::new(0));
        self.script(point, Arc::clone(&pid));
        let mut serving = self.program().serve(&self.upstream.url());
        pid.store(serving.pid(), Ordering::Release);
        if let Point::After(wait_ms) = point {
            self.ask_for(&serving, &name).await;
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            serving.kill();
        } else {
            // what the round before left may bring the end before this is even asked
            let path = format!("/-/package/{}/syncs", name.replace('/', "%2f"));
            let request = Request::new(serving.address(), "PUT", &path).token(&self.token);
            let asked = tokio::spawn(request.open());
            tokio::task::spawn_blocking(move || serving.wait()).await.expect("no panic");
            drop(asked.await);
        }
        self.killed.fetch_add(1, Ordering::Relaxed);
    }

    /// Kills the program from within the receiver, once.
    fn script(&self, point: Point, pid: Arc<AtomicU32>) {
        let seen = AtomicUsize::new(0);
        let (at, before) = match point {
            Point::After(_) => return self.receiver.answer(|_| Reply::Status(200)),
            Point::Unanswered(at) => (at, true),
            Point::Answered => (2, false),
        };
        self.receiver.answer(move |_| {
            let number = seen.fetch_add(1, Ordering::Relaxed) + 1;
            // the one before was answered; this one never is
            if number == at {
                let id = loop {
                    match pid.load(Ordering::Acquire) {
                        0 => std::thread::yield_now(),
                        id => break id,
                    }
                };
                kill(id);
                return if before { Reply::Cut } else { Reply::Hang };
            }
            Reply::Status(200)
        });
    }

    /// Lets the program work to its end and looks at what the receiver got in all.
    async fn check(&self) {
        self.receiver.answer(|_| Reply::Status(200));
        let serving = self.program().serve(&self.upstream.url());
        for name in self.packages.keys() {
            self.ask_for(&serving, name).await;
        }
        let told = |name: &str| {
            let mut versions: Vec<String> = Vec::new();
            for received in self.receiver.received() {
                check_signature(&received);
                let json = received.json();
                if json["event"] == "package:publish" && json["name"] == name {
                    let version = json["change"]["version"].as_str().expect("a version");
                    // a repetition is at least once; what counts is when each came first
                    if !versions.iter().any(|known| known == version) {
                        versions.push(version.to_owned());
                    }
                }
            }
            versions
        };
        for (name, package) in &self.packages {
            let published: Vec<_> =
                package.versions.iter().map(|version| version.version.clone()).collect();
            until(&format!("every version of {name}"), || async {
                (told(name).len() == published.len()).then_some(())
            })
            .await;
            assert_eq!(told(name), published, "{name}: told in order");
        }
    }
}

fn kill(id: u32) {
    let id = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw);
    // it may have been killed by the delivery before
    let _ = rustix::process::kill_process(id.expect("an id"), rustix::process::Signal::KILL);
}

async fn killed_often(seed: u64, kills: usize) {
    let mut place = Place::start().await;
    let mut seeded = Seeded(seed);
    for round in 0..kills {
        let point = seeded.point();
        place.round(round, point).await;
    }
    assert_eq!(place.killed.load(Ordering::Relaxed), kills);
    place.check().await;
}

#[test]
fn killed_at_any_moment_no_event_is_lost_and_they_come_in_order() {
    let (kills, folders) = match shared() {
        None => (KILLS, FOLDERS),
        Some(_) => (KILLS_ON_POSTGRES, FOLDERS_ON_POSTGRES),
    };
    let asked = std::env::var("HOOK_KILLS").ok().and_then(|text| text.parse().ok());
    let kills = asked.unwrap_or(kills) / folders;
    let seeds: Vec<u64> = (1..=folders as u64).collect();
    crate::harness::on_all_cores(&seeds, |seed| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(killed_often(*seed, kills));
    });
}
