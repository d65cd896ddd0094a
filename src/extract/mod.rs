//! What is read out of a request before anything is decided: conditions, encodings, bodies.

pub mod body;
pub mod conditional;
pub mod encoding;
pub mod feed_query;
pub mod range;
pub mod request_id;
