//! Who reads a package, as npm shows it.

use serde::Serialize;

/// Whether everybody reads a package.
#[derive(Debug, Serialize)]
pub struct VisibilityAnswer {
    /// Everybody does.
    pub public: bool,
}
