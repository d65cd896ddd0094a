//! What is kept in memory between requests: package states, rendered documents, places of
//! tarballs. All of it is losable and bounded; the tables are the truth.
//!
//! A commit raises a generation ([`generations`]), and whatever was read from the tables
//! before counts as unknown from then on. Rendered bodies are keyed by revision, so they
//! outlive a commit that did not change the document.

pub mod bodies;
mod body_jobs;
pub mod damage;
pub mod fresh;
pub mod generations;
pub mod hot;
pub mod packages;
pub mod render;
pub mod tarballs;
pub mod verified;
pub mod withheld;
pub mod work_pool;
