//! The `espejo` binary.
fn main() {}
