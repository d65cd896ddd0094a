//! What the fuzz targets call: the parsers of the product, and a mirror to send requests to.

pub mod checks;
pub mod mirror;
