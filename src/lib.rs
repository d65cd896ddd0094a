//! The mirror as a library: what the binary runs and what tests and benches start in process.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::needless_pass_by_value
    )
)]

// The allocator of the binary beside this library.
use mimalloc as _;

pub mod access;
pub mod accounts;
pub mod admin_token;
pub mod advisories;
pub mod always_auth;
pub mod app;
pub mod around;
pub mod base_url;
pub mod blocked;
pub mod cache;
pub mod cli;
pub mod config;
pub mod connection;
pub mod control;
pub mod counters;
pub mod discovery;
pub mod downloads;
pub mod error;
pub mod extract;
pub mod handlers;
pub mod hook_payloads;
pub mod logging;
pub mod operations;
pub mod publishing;
pub mod rate_limits;
pub mod registries;
pub mod repair;
pub mod routes;
pub mod search;
pub mod server;
pub mod simulated;
pub mod tls;
pub mod views;
pub mod wanted;
