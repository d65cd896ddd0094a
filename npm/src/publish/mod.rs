//! What a publisher sends, and the documents that are made of it.
//!
//! [`BodyScanner`] reads the request as it comes and keeps everything but the tarball;
//! [`PublishBody`] is what it says, checked; [`Draft`] is a document that is being changed.

mod attestation;
mod body;
mod draft;
mod manifest;
mod name_rules;
mod scanner;
#[cfg(test)]
mod tests;

pub use attestation::{Attestation, AttestationError, attestations_answer};
pub use body::{BodyError, PublishBody, Published};
pub use draft::Draft;
pub use manifest::{TarballFacts, VersionOrigin, stored_manifest, with_deprecation};
pub use name_rules::new_name_errors;
pub use scanner::{BodyScanner, Scanned, ScannerError};
