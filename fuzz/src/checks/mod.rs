//! What must hold whatever the input is; a broken rule panics.
//!
//! Each function takes the bytes of one input and calls the product's own public functions. The
//! integration tests include this folder and run it over `fuzz/seeds`.

mod documents;
pub mod requests;
mod texts;

pub use documents::{bodies, changes, packument};
pub use texts::{addresses, headers, integrity, paths, versions};

/// The input as lines of text; nothing when it is no text.
fn lines(data: &[u8]) -> Vec<&str> {
    std::str::from_utf8(data).map(|text| text.split('\n').collect()).unwrap_or_default()
}
