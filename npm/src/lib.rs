//! The npm registry protocol: names, paths, documents, digests and versions.
//!
//! Types and pure functions only: no I/O, no async, no clock. Whatever comes from a
//! registry or a client is parsed here once, into a type that cannot hold the bad forms.
//! Nothing in this crate panics on input; odd documents that really exist upstream are
//! read as far as they make sense, and the rest is reported.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::needless_pass_by_value
    )
)]

pub mod advisory;
pub mod card;
pub mod change;
pub mod diff;
pub mod dist_tag;
pub mod hook;
pub mod integrity;
mod json;
pub mod manifest;
pub mod name;
pub mod name_list;
pub mod packument;
pub mod path;
pub mod publish;
pub mod render;
pub mod signature;
pub mod version;

pub use card::{Card, Person};
pub use change::{Change, ChangesPage, Folded, PageError, Seq};
pub use diff::{KnownVersion, PackumentDiff};
pub use dist_tag::{TagError, validate_dist_tag};
pub use hook::{HookBody, HookChange, HookEvent, HookEventKind, HookKind};
pub use integrity::{
    ExpectedDigest, HashAlgorithm, Integrity, IntegrityError, Mismatch, Sha512Digest, Verifier,
};
pub use manifest::{ManifestDigest, VersionFacts};
pub use name::{NameError, PackageName};
pub use name_list::{NameListError, parse_name_list};
pub use packument::{PackumentScan, PackumentShape, ScanError, VersionEntry};
pub use path::PackagePath;
pub use render::{
    PackumentForm, RenderOptions, attestations_path_of, canonical_tarball_file, render_manifest,
    render_packument, shown_tags, version_of_tarball_file, with_kept_versions,
};
pub use signature::{Keyring, SignatureVerdict, SigningKey};
pub use version::{SpecError, compare_versions, is_version, resolve_all, resolve_spec};
