//! Addresses under our own base, and the names of tarball files.

use std::borrow::Cow;

use crate::json;
use crate::name::{PackageName, escape_file};

use super::RenderOptions;

/// The file name we give a tarball: `<bare>-<version>.tgz`.
#[must_use]
pub fn canonical_tarball_file(name: &PackageName, version: &str) -> String {
    format!("{}-{version}.tgz", name.bare())
}

/// The version in a file name of canonical form; `None` for any other name.
#[must_use]
pub fn version_of_tarball_file<'f>(name: &PackageName, file: &'f str) -> Option<&'f str> {
    let version = file.strip_suffix(".tgz")?.strip_prefix(name.bare())?.strip_prefix('-')?;
    (!version.is_empty()).then_some(version)
}

/// Where below a registry's base address the attestations of a version are.
#[must_use]
pub fn attestations_path_of(name: &PackageName, version: &str) -> String {
    format!("/-/npm/v1/attestations/{}@{}", name.url_path(), escape_file(version))
}

/// Everything of our addresses that is equal for all versions of a package.
pub(super) struct Addresses {
    base_url: String,
    /// `"<base>/<name>/-/<bare>-`, as JSON, with its opening quote
    tarball_start: Vec<u8>,
}

impl Addresses {
    pub(super) fn new(options: &RenderOptions<'_>) -> Self {
        let name = options.name;
        let url = format!(
            "{}/{}/-/{}-",
            options.base_url,
            name.path_in_documents(),
            escape_file(name.bare())
        );
        let mut tarball_start = Vec::with_capacity(url.len() + 2);
        json::write_string(&mut tarball_start, &url);
        tarball_start.pop();
        Self { base_url: options.base_url.to_owned(), tarball_start }
    }

    /// How much longer than upstream's our addresses of one version can be.
    ///
    /// Both addresses start with our base; versions that need escaping are too rare to count.
    pub(super) fn growth(&self) -> usize {
        self.tarball_start.len() + self.base_url.len() + 64
    }

    /// Writes the address of a version's tarball as a JSON string.
    pub(super) fn write_tarball(&self, out: &mut Vec<u8>, version: &str) {
        out.extend_from_slice(&self.tarball_start);
        // escaped for a URL, it has nothing left to escape for JSON
        out.extend_from_slice(escape_file(version).as_bytes());
        out.extend_from_slice(b".tgz\"");
    }

    /// Writes upstream's attestation address with our base before its path.
    ///
    /// Clients take only the path from it and put it on the registry's host, so under a path
    /// prefix of ours the path must hold that prefix.
    pub(super) fn write_attestations(&self, out: &mut Vec<u8>, upstream: &str) {
        json::write_string(out, &format!("{}{}", self.base_url, attestations_path(upstream)));
    }
}

/// The path that a registry's API has below its base: from `/-/` on, else the whole path.
fn attestations_path(url: &str) -> Cow<'_, str> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    match path.find("/-/").and_then(|at| path.get(at..)) {
        Some(api_path) => Cow::Borrowed(api_path),
        None if path.starts_with('/') => Cow::Borrowed(path),
        None => Cow::Owned(format!("/{path}")),
    }
}
