//! Requests a second of a warm mirror, by the real program under load from this machine:
//! packuments, answers "not modified", tarballs, with processor time and peak memory.
//!
//! `cargo bench --bench serve_throughput`; with `--test` one short run that must succeed.

mod program;

fn main() {
    program::measure("serve", &["--duration", "10s"], &["--packages", "20", "--duration", "1s"]);
}
