//! The manifest of a version as it is stored: what the publisher sent, and what only we know.

use crate::integrity::Sha512Digest;
use crate::json;
use crate::name::PackageName;
use crate::render::{attestations_path_of, canonical_tarball_file};

use super::Attestation;
use super::draft::quoted;

/// What the bytes of a tarball are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarballFacts {
    /// Their digest.
    pub sha512: Sha512Digest,
    /// SHA-1 in hexadecimal, which old clients compare.
    pub shasum: String,
    /// How many there are.
    pub bytes: u64,
    /// Files inside.
    pub files: u64,
    /// Bytes of those.
    pub unpacked_bytes: u64,
    /// Whether dependencies are pinned inside.
    pub has_shrinkwrap: bool,
}

/// Who publishes, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionOrigin<'a> {
    /// Login name.
    pub user: &'a str,
    /// E-mail address.
    pub email: &'a str,
    /// The same for all who maintain the package, as JSON.
    pub maintainers: &'a str,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// Members that are ours to say, or nobody's.
const OURS: [&str; 14] = [
    "_id",
    "_rev",
    "_npmUser",
    "_attachments",
    "_hasShrinkwrap",
    "_source_registry_name",
    "_cnpmcore_publish_time",
    "publish_time",
    "dist",
    "maintainers",
    "readme",
    "users",
    "time",
    "hasInstallScript",
];

/// Members of `dist` that are ours to say: what the sender says of signatures is not signed.
const OURS_IN_DIST: [&str; 9] = [
    "tarball",
    "integrity",
    "shasum",
    "size",
    "fileCount",
    "unpackedSize",
    "signatures",
    "npm-signature",
    "attestations",
];

/// The manifest to store for a version.
#[must_use]
pub fn stored_manifest(
    name: &PackageName,
    version: &str,
    sent: &str,
    tarball: &TarballFacts,
    origin: &VersionOrigin<'_>,
    provenance: &[Attestation],
) -> String {
    let mut out = Object::default();
    let mut dist = "{}";
    // what is published was read as an object before
    let mut members = Vec::new();
    let _ = json::each_member(sent, |key, value| members.push((key, value)));
    json::fold_duplicates(&mut members, |(key, _)| key);
    for (key, value) in members {
        if key == "dist" {
            dist = value;
        }
        if !OURS.contains(&&*key) {
            out.raw(&key, value);
        }
    }
    out.text("_id", &format!("{name}@{version}"));
    let mut user = Object::default();
    user.text("name", origin.user);
    user.text("email", origin.email);
    out.raw("_npmUser", &user.end());
    out.raw("maintainers", origin.maintainers);
    out.raw("_hasShrinkwrap", if tarball.has_shrinkwrap { "true" } else { "false" });
    out.text("_source_registry_name", "self");
    out.raw("publish_time", &origin.at_ms.to_string());
    out.raw("dist", &stored_dist(name, version, dist, tarball, provenance));
    out.end()
}

fn stored_dist(
    name: &PackageName,
    version: &str,
    sent: &str,
    tarball: &TarballFacts,
    provenance: &[Attestation],
) -> String {
    let mut out = Object::default();
    // a `dist` that is no object has no members
    let _ = json::each_member(sent, |key, value| {
        if !OURS_IN_DIST.contains(&&*key) {
            out.raw(&key, value);
        }
    });
    out.text("integrity", &tarball.sha512.to_sri());
    out.text("shasum", &tarball.shasum);
    let file = canonical_tarball_file(name, version);
    // readers get it under our base address
    out.text("tarball", &format!("/{}/-/{file}", name.path_in_documents()));
    out.raw("fileCount", &tarball.files.to_string());
    out.raw("unpackedSize", &tarball.unpacked_bytes.to_string());
    out.raw("size", &tarball.bytes.to_string());
    if let Some(first) = provenance.first() {
        let mut kind = Object::default();
        kind.text("predicateType", &first.predicate_type);
        let mut told = Object::default();
        told.text("url", &attestations_path_of(name, version));
        told.raw("provenance", &kind.end());
        out.raw("attestations", &told.end());
    }
    out.end()
}

/// A stored manifest with another text about why not to use it; `None` takes that away.
#[must_use]
pub fn with_deprecation(manifest: &str, text: Option<&str>) -> String {
    let mut out = Object::default();
    // a stored manifest is an object, so reading it cannot fail
    let _ = json::each_member(manifest, |key, value| {
        if key != "deprecated" {
            out.raw(&key, value);
        }
    });
    if let Some(text) = text {
        out.text("deprecated", text);
    }
    out.end()
}

/// An object that is being written.
#[derive(Default)]
struct Object(String);

impl Object {
    fn raw(&mut self, key: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&quoted(key));
        self.0.push(':');
        self.0.push_str(value);
    }

    fn text(&mut self, key: &str, text: &str) {
        self.raw(key, &quoted(text));
    }

    fn end(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}
