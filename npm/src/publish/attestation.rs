//! Provenance that comes with a version: a Sigstore bundle in an attachment of its own.
//!
//! It is kept as it came and served where `npm audit signatures` asks. What is checked here is
//! that it speaks of these very bytes; who signed it is for the reader to verify.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::integrity::Sha512Digest;
use crate::json;

/// Why a bundle is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// Not of the form that clients send.
    #[error("provenance bundle invalid: {0}")]
    Malformed(String),
    /// About something else.
    #[error("provenance bundle is not about this tarball (sha512 {0})")]
    OtherBytes(String),
}

/// A bundle and what it states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// The kind of statement, an address.
    pub predicate_type: String,
    /// The bundle as it came.
    pub bundle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: SubjectDigest,
}

#[derive(Deserialize)]
struct SubjectDigest {
    sha512: Option<String>,
}

impl Attestation {
    /// Reads a bundle that is to speak of a tarball.
    ///
    /// # Errors
    /// See [`AttestationError`].
    pub fn read(bundle: &str, tarball: &Sha512Digest) -> Result<Self, AttestationError> {
        let malformed =
            |error: &dyn std::fmt::Display| AttestationError::Malformed(error.to_string());
        let read: Bundle = serde_json::from_str(bundle).map_err(|error| malformed(&error))?;
        let payload = STANDARD.decode(read.dsse_envelope.payload).map_err(|e| malformed(&e))?;
        let told: Statement = serde_json::from_slice(&payload).map_err(|e| malformed(&e))?;
        let hex = tarball.to_hex();
        let is_ours = |subject: &Subject| subject.digest.sha512.as_deref() == Some(&*hex);
        if !told.subject.iter().any(is_ours) {
            return Err(AttestationError::OtherBytes(hex));
        }
        Ok(Self { predicate_type: told.predicate_type, bundle: bundle.to_owned() })
    }
}

/// The answer to who asks for the attestations of a version.
#[must_use]
pub fn attestations_answer(attestations: &[Attestation]) -> Vec<u8> {
    let mut out = b"{\"attestations\":[".to_vec();
    for (index, attestation) in attestations.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"predicateType\":");
        json::write_string(&mut out, &attestation.predicate_type);
        out.extend_from_slice(b",\"bundle\":");
        // it was read, so it is JSON
        let is_json = serde_json::from_str::<&RawValue>(&attestation.bundle).is_ok();
        out.extend_from_slice(if is_json { attestation.bundle.as_bytes() } else { b"null" });
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}
