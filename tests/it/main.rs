//! Integration tests: the real server, engine and store against a scripted upstream on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::needless_pass_by_value,
    reason = "tests fail by panicking"
)]

mod access;
mod accounts;
mod advisories;
mod afar;
mod chain;
mod changes;
mod cli;
mod clients;
mod cluster;
mod downloads;
mod feed;
mod harness;
mod hooks;
mod miss;
mod missing;
mod publish;
mod recovery;
mod registries;
mod removed;
mod search;
mod serve;
mod signatures;
mod surface;
mod sync;
mod tasks;
