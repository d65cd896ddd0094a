//! The write path: commits of 50 new packages with 2 versions each on SQLite, durable.
//!
//! Criterion reports versions per second; the CPU time of the writing thread is printed behind,
//! because a commit also waits for the disk.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use npm::{ManifestDigest, PackageName, Sha512Digest};
use store::blobs::BlobLocation;
use store::facts::ManifestFacts;
use store::tasks::{NewTask, TaskOptions, enqueue as enqueue_all};
use store::{
    BlobSettings, CommitBatch, DatabaseSettings, DocumentChange, DocumentEncoding, Keeping,
    PackageChange, PackageStatus, Store, StoreSettings, TaskId, Validators, VersionChange,
    VersionState,
};

const PACKAGES: u64 = 50;
const VERSIONS: u64 = 2;

/// As far apart in key order as real digests are.
fn digest(kind: u64, number: u64) -> Sha512Digest {
    Sha512Digest::of(&[kind.to_le_bytes(), number.to_le_bytes()].concat())
}

fn location(number: u64) -> BlobLocation {
    BlobLocation { segment: 0, offset: 0, length: i64::try_from(number % 50_000).unwrap() }
}

fn package(number: u64) -> PackageChange {
    let name = format!("@scope-{}/package-{number}", number % 97);
    let document = digest(1, number);
    let tarballs: Vec<_> = (0..VERSIONS).map(|minor| digest(2 + minor, number)).collect();
    let versions = tarballs.iter().enumerate().map(|(minor, blob)| version(minor, number, *blob));
    let mut blobs = vec![(document, location(number))];
    blobs.extend(tarballs.iter().map(|blob| (*blob, location(number))));
    PackageChange {
        keep: Keeping::Mirrored,
        document: Some(DocumentChange {
            digest: document,
            location: location(number),
            encoding: DocumentEncoding::Gzip,
            stored_bytes: 20_000,
            body_bytes: 100_000,
            added_version: None,
            upstream_rev: Some("12-0123456789abcdef".into()),
            dist_tags: vec![("latest".into(), "1.1.0".into())],
            modified: Some("2026-01-01T00:00:00.000Z".into()),
            status: PackageStatus::Live,
        }),
        validators: Validators { etag: Some(format!("W/\"{number:032x}\"")), last_modified: None },
        checked_at_ms: 1_700_000_000_000,
        versions: versions.collect(),
        blobs,
        ..PackageChange::new(PackageName::parse(&name).unwrap(), "sync")
    }
}

fn version(minor: usize, number: u64, blob: Sha512Digest) -> VersionChange {
    let file = format!("package-{number}-1.{minor}.0.tgz");
    VersionChange {
        version: format!("1.{minor}.0"),
        manifest: ManifestDigest([7; 16]),
        tarball_url: Some(format!("http://127.0.0.1:4873/@scope/package-{number}/-/{file}")),
        tarball_file: file,
        expected: Some(blob.to_sri()),
        state: VersionState::Held,
        blob: Some(blob),
        size_bytes: Some(20_000),
        reason: None,
        signature: None,
        published_at_ms: None,
        facts: Some(ManifestFacts {
            licence: Some("MIT".to_owned()),
            announced_bytes: None,
            install_scripts: false,
        }),
    }
}

fn open(folder: &Path) -> Store {
    let database = DatabaseSettings::Sqlite { path: folder.join("espejo.db") };
    Store::open_blocking(&StoreSettings { database, blobs: BlobSettings::Memory }).unwrap()
}

/// Nanoseconds that this thread has been on a processor.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

fn report(cpu_ns: u64, versions: u64) {
    if let Some(each) = cpu_ns.checked_div(versions) {
        println!("CPU of the writing thread: {each} ns per version ({versions} versions)");
    }
}

fn commit_batch(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let opening = std::time::Instant::now();
    let store = open(folder.path());
    println!("opening a new store took {:.1} ms", opening.elapsed().as_secs_f64() * 1e3);
    let mut writer = store.writer_blocking().unwrap();
    let (mut next, mut commits, mut cpu) = (0, 0_u64, 0_u64);
    let mut group = criterion.benchmark_group("commit_batch");
    group.measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(100));
    group.bench_function("50 packages x 2 versions, SQLite", |bencher| {
        bencher.iter_batched(
            || {
                next += PACKAGES;
                let changes = (next - PACKAGES..next).map(package).collect();
                CommitBatch { writes: Vec::new(), changes }
            },
            |mut batch| {
                let before = cpu_ns();
                let outcome = writer.commit_blocking(&mut batch).unwrap();
                cpu += cpu_ns() - before;
                commits += 1;
                assert!(outcome.changes.iter().all(Result::is_ok));
                outcome
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    let versions = commits * PACKAGES * VERSIONS;
    report(cpu, versions);
}

/// What a first sync of 300 packages writes, with nothing in the caches of the database.
fn first_sync(criterion: &mut Criterion) {
    let (mut syncs, mut cpu) = (0_u64, 0_u64);
    let mut group = criterion.benchmark_group("first_sync");
    group.sample_size(20).throughput(Throughput::Elements(600));
    group.bench_function("6 commits into a new store, SQLite", |bencher| {
        bencher.iter_batched(
            || {
                let folder = tempfile::tempdir().unwrap();
                let store = open(folder.path());
                let batch = |from: u64| {
                    let changes = (from * PACKAGES..(from + 1) * PACKAGES).map(package).collect();
                    CommitBatch { writes: Vec::new(), changes }
                };
                (store.writer_blocking().unwrap(), (0..6).map(batch).collect::<Vec<_>>(), folder)
            },
            |(mut writer, batches, folder)| {
                let before = cpu_ns();
                for mut batch in batches {
                    writer.commit_blocking(&mut batch).unwrap();
                }
                cpu += cpu_ns() - before;
                syncs += 1;
                (writer, folder)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    report(cpu, syncs * 600);
}

/// A page of a feed with 10,000 names nobody asked for yet.
fn enqueue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("enqueue");
    group.sample_size(10).throughput(Throughput::Elements(10_000));
    group.bench_function("10,000 names into a new store, SQLite", |bencher| {
        bencher.iter_batched(
            || {
                let folder = tempfile::tempdir().unwrap();
                let writer = open(folder.path()).writer_blocking().unwrap();
                (writer, (0..10_000).map(task).collect(), folder)
            },
            |(mut writer, tasks, folder)| {
                writer.write_blocking(|connection| enqueue_all(connection, tasks)).unwrap();
                (writer, folder)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn task(number: u64) -> NewTask {
    NewTask {
        id: TaskId::new(),
        name: PackageName::parse(&format!("package-{number}")).unwrap(),
        registry: "default".into(),
        priority: 10,
        options: TaskOptions::default(),
        author: None,
        author_ip: None,
    }
}

criterion_group!(benches, commit_batch, first_sync, enqueue);
criterion_main!(benches);
