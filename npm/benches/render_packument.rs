//! Rendering both forms of a large packument from its scan.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use npm::{PackageName, PackumentForm, PackumentScan, RenderOptions, render_packument};

fn render(criterion: &mut Criterion) {
    let body = support::large_packument();
    let (Ok(scan), Ok(name)) = (PackumentScan::parse(&body), PackageName::parse("big-tool")) else {
        return;
    };
    let mut group = criterion.benchmark_group("render_packument");
    group.throughput(Throughput::Bytes(support::len(&body)));
    group.sample_size(20);
    let shown = |_: &str| false;
    let canaries = |version: &str| version.contains("canary");
    for (case, form, hidden) in [
        ("full", PackumentForm::Full, &shown as &dyn Fn(&str) -> bool),
        ("abbreviated", PackumentForm::Abbreviated, &shown),
        ("full_some_hidden", PackumentForm::Full, &canaries),
    ] {
        let told = std::collections::BTreeMap::new();
        let options =
            RenderOptions { name: &name, base_url: "https://npm.example.org", hidden, told: &told };
        group.bench_function(case, |bencher| {
            bencher.iter(|| render_packument(black_box(&scan), form, &options).len());
        });
    }
    group.finish();
}

criterion_group!(benches, render);
criterion_main!(benches);
