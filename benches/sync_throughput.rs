//! Cold and unchanged sync from the simulated upstream, durable and verified, by the real
//! program: packages/s, versions/s, MiB/s, processor time per version, peak memory.
//!
//! `cargo bench --bench sync_throughput`; with `--test` one small run that must succeed.

mod program;

fn main() {
    let full = ["--packages", "1500", "--runs", "5"];
    program::measure("sync", &full, &["--packages", "20", "--runs", "1"]);
}
