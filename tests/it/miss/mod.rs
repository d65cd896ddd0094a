//! Packages and tarballs that are asked for and not here.

mod circle;
mod failures;
mod freshness;
mod resume;
mod single_flight;
mod streaming;
