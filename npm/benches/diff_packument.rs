//! Comparing a large packument with what is stored.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use npm::{KnownVersion, PackumentDiff, PackumentScan};

fn diff_packument(criterion: &mut Criterion) {
    let body = support::large_packument();
    let Ok(scan) = PackumentScan::parse(&body) else { return };
    let all: Vec<KnownVersion> = scan
        .versions
        .iter()
        .map(|entry| KnownVersion { version: entry.key.to_string(), digest: entry.digest() })
        .collect();
    let all_but_one = all.get(1..).unwrap_or_default();
    let mut group = criterion.benchmark_group("diff_packument");
    group.throughput(Throughput::Bytes(support::len(&body)));
    group.sample_size(20);
    for (name, known) in [("unchanged", all.as_slice()), ("one_new", all_but_one), ("all_new", &[])]
    {
        group.bench_function(name, |bencher| {
            bencher.iter(|| PackumentDiff::between(black_box(known), &scan).added.len());
        });
    }
    group.finish();
}

criterion_group!(benches, diff_packument);
criterion_main!(benches);
