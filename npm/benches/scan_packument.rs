//! Scanning one large packument: bytes per second, and memory beside the body.
//!
//! The aim is 1 GB/s and less than 5 % of the body.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use npm::PackumentScan;

fn scan_packument(criterion: &mut Criterion) {
    let body = support::large_packument();
    report_memory(&body);
    let mut group = criterion.benchmark_group("scan_packument");
    group.throughput(Throughput::Bytes(support::len(&body)));
    group.sample_size(20);
    group.bench_function("scan", |bencher| {
        bencher.iter(|| PackumentScan::parse(black_box(&body)).map(|scan| scan.versions.len()));
    });
    group.finish();
    let lone = support::packument(1, 1_500);
    let mut group = criterion.benchmark_group("scan_small_packument");
    group.throughput(Throughput::Bytes(support::len(&lone)));
    group.bench_function("scan", |bencher| {
        bencher.iter(|| PackumentScan::parse(black_box(&lone)).map(|scan| scan.versions.len()));
    });
    group.finish();
}

/// What the process grows by at most during a scan, the body being there already.
fn report_memory(body: &[u8]) {
    // resets the peak to what is resident now
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        return;
    }
    let before = status("VmHWM:");
    let scan = PackumentScan::parse(body).ok();
    let after = status("VmHWM:");
    let (Some(scan), Some(before), Some(after)) = (scan, before, after) else { return };
    let body_kib = support::len(body) / 1_024;
    println!(
        "scan of {} versions, {body_kib} KiB: {} KiB beside the body ({:.1} %)",
        scan.versions.len(),
        after.saturating_sub(before),
        after.saturating_sub(before) as f64 * 100.0 / body_kib.max(1) as f64,
    );
}

fn status(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find(|line| line.starts_with(field))?.split_whitespace().nth(1)?.parse().ok()
}

criterion_group!(benches, scan_packument);
criterion_main!(benches);
