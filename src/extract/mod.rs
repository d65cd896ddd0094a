//! What is read out of a request before anything is decided: who asks, conditions, encodings, bodies.

pub mod body;
pub mod caller;
pub mod conditional;
pub mod encoding;
pub mod feed_query;
pub mod fields;
pub mod packed;
pub mod range;
pub mod request_id;
pub mod search_query;
pub mod segments;
#[cfg(test)]
mod tests;
