//! The whole engine behind a simulated changes feed, at the rates that npm's feed was measured at.
//!
//! ```text
//! cargo bench --bench feed_replay                          # all of them, with their defaults
//! cargo bench --bench feed_replay -- day --speed 200       # 24 h, 7,138 numbers an hour
//! cargo bench --bench feed_replay -- burst --speed 200     # 36 h, 32,000 numbers an hour
//! cargo bench --bench feed_replay -- catch-up --rate 50    # 113,000 names at once; 0 = no limit
//! cargo bench --bench feed_replay -- unchanged             # the same names listed once more
//! ```
//!
//! | option | meaning | default |
//! |---|---|---|
//! | `--names N` | packages that are here already, as rows | 10000 |
//! | `--speed N` | simulated seconds in a second | 200 |
//! | `--rate N` | `upstream.background_rate`, requests a second | catch-up: 50; else 0 |
//! | `--hours N` | simulated hours | day: 24, burst: 36 |
//! | `--changed N` | names of the catch-up; unchanged ones | 113000; 20000 |
//! | `--dir FOLDER` | disk to measure | the system's scratch folder |
//!
//! `--names 10000` beside `--names 4600000` shows whether memory depends on what is here. The
//! upstream is a process of its own (`upstream`), so the memory told is the engine's. Names are
//! drawn as measured: four of five numbers fall on few thousand busy names, the rest anywhere in
//! 4.6 million; documents have log-normal sizes with a mean of 54 KB, each change is one new
//! version with a tarball of median 6.7 KB. Where the speed is above what a machine can do, the lag
//! grows and says so. With `--test` everything runs at a small size and has to succeed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first surprise")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are shown with few digits"
)]

mod engine;
mod upstream;

use std::io::BufRead;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use engine::Mirror;

const SCENARIOS: [&str; 4] = ["day", "burst", "catch-up", "unchanged"];

/// What is run.
#[derive(Clone, Debug)]
pub struct Run {
    scenario: &'static str,
    names: u64,
    speed: f64,
    rate: u32,
    hours: f64,
    numbers_per_hour: f64,
    /// Numbers that are there from the start.
    backlog: u64,
    folder: PathBuf,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "upstream") {
        upstream::serve();
        return;
    }
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let chosen = |name: &str| {
        let named = SCENARIOS;
        let any = arguments.iter().any(|argument| named.contains(&argument.as_str()));
        !any || arguments.iter().any(|argument| argument == name)
    };
    for name in SCENARIOS {
        if chosen(name) {
            replay(&run_of(name, &arguments, is_test));
        }
    }
}

fn run_of(name: &str, arguments: &[String], is_test: bool) -> Run {
    let option = |key: &str, full: f64, small: f64| {
        let place = arguments.iter().position(|argument| argument == key);
        let given = place.and_then(|place| arguments.get(place + 1)?.parse::<f64>().ok());
        given.unwrap_or(if is_test { small } else { full })
    };
    let whole = |number: f64| number.max(0.0).round() as u64;
    let (scenario, rate, hours, per_hour, changed) = match name {
        "day" => ("day", 0.0, 24.0, 7_138.0, 0.0),
        "burst" => ("burst", 0.0, 36.0, 32_000.0, 0.0),
        "unchanged" => ("unchanged", 0.0, 0.0, 0.0, 20_000.0),
        _ => ("catch-up", 50.0, 0.0, 0.0, 113_000.0),
    };
    let folder = arguments.iter().position(|argument| argument == "--dir");
    let folder = folder.and_then(|place| arguments.get(place + 1)).map(PathBuf::from);
    let backlog = if changed > 0.0 { whole(option("--changed", changed, 60.0)) } else { 0 };
    Run {
        scenario,
        names: whole(option("--names", 10_000.0, 200.0)),
        speed: option("--speed", 200.0, 3_600.0),
        rate: u32::try_from(whole(option("--rate", rate, 0.0))).unwrap(),
        hours: if hours > 0.0 { option("--hours", hours, 0.05) } else { 0.0 },
        numbers_per_hour: per_hour,
        backlog,
        folder: folder.unwrap_or_else(std::env::temp_dir),
    }
}

/// The simulated upstream in a process of its own.
struct Upstream {
    child: Child,
    url: String,
}

impl Upstream {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("upstream").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, url: line.trim().to_owned() }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // its standard input closes with the child's value; a failure means it ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replay(run: &Run) {
    let upstream = Upstream::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mirror = Mirror::start(run, &upstream.url).await;
        if run.scenario == "unchanged" {
            follow(run, &mirror, &upstream.url).await;
            upstream::repeat(&upstream.url).await;
        }
        let (before, done_before, cpu_before) = (mirror.sizes(), done(&mirror).await, cpu());
        let started = Instant::now();
        let worst = follow(run, &mirror, &upstream.url).await;
        let took = started.elapsed();
        let after = mirror.sizes();
        let cpu = cpu().saturating_sub(cpu_before).as_secs_f64();
        let done = done(&mirror).await - done_before;
        let status = mirror.describe().await;
        let follower = status.followers.first().expect("a follower");
        let seconds = took.as_secs_f64();
        println!(
            "{:<9} names here {:>8}   rate {:>3}   took {seconds:>8.1} s   rows {:>8}   tasks {:>7} ({:.0}/s)",
            run.scenario, run.names, run.rate, follower.rows, done, done as f64 / seconds
        );
        println!(
            "{:<9} longest lag {:.0} s of feed time, {cpu:.1} s of CPU, database +{:.1} MiB, blobs +{:.1} MiB, memory now {:.0} MiB, most {:.0} MiB",
            "", worst.as_secs_f64() * run.speed.max(1.0),
            mebibytes(after.database.saturating_sub(before.database)),
            mebibytes(after.blobs.saturating_sub(before.blobs)),
            mebibytes(after.resident), mebibytes(after.most),
        );
        assert!(done > 0, "nothing was synced");
        assert_eq!(follower.alarm, None);
        mirror.stop().await;
    });
}

/// Tasks that ended so far.
async fn done(mirror: &Mirror) -> u64 {
    mirror.describe().await.syncs.iter().map(|sync| sync.success + sync.failed).sum()
}

/// What this process used so far, in all its threads.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // user and system time are fields 14 and 15, in hundredths of a second
    let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// Lets the upstream change at its rate until the time is over and everything is done; the longest
/// time a change waited to be read or to be synced.
async fn follow(run: &Run, mirror: &Mirror, url: &str) -> Duration {
    let total = run.backlog + (run.numbers_per_hour * run.hours) as u64;
    if run.backlog > 0 && upstream::head(url).await == 0 {
        upstream::add_distinct(url, run.backlog).await;
    }
    let (started, mut added, mut worst) = (Instant::now(), run.backlog, Duration::ZERO);
    loop {
        let hours = started.elapsed().as_secs_f64() * run.speed / 3_600.0;
        let due = run.backlog + (run.numbers_per_hour * hours) as u64;
        let due = due.min(total);
        if due > added {
            upstream::add(url, due - added).await;
            added = due;
        }
        let status = mirror.describe().await;
        let follower = status.followers.first().expect("a follower");
        let waiting = status.tasks.oldest_waiting_ms.unwrap_or(0);
        let behind = follower.behind_ms.unwrap_or(0).max(waiting).unsigned_abs();
        worst = worst.max(Duration::from_millis(behind));
        let head = upstream::head(url).await;
        let idle = status.tasks.waiting + status.tasks.processing == 0;
        if added == total && idle && follower.seq >= Some(head) {
            return worst;
        }
        // a look counts the queue, and a backlog makes that the dearer
        let between = if run.backlog > 0 { 500 } else { 50 };
        tokio::time::sleep(Duration::from_millis(between)).await;
    }
}
