//! Documents as clients get them, spliced together from slices of the upstream body.
//!
//! The full form is the upstream document with the addresses of tarballs and attestations
//! replaced; every other byte of a version, known to us or not, goes through untouched. The
//! abbreviated form picks members, and keeps `time`, which saves age-gated clients the full
//! document. Nothing is parsed into a tree and no version object is built anew.

mod abbreviated;
mod address;
mod form;
mod keep;
mod splice;
mod tags;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::json;
use crate::name::PackageName;
use crate::packument::{PackumentScan, VersionEntry};

pub use address::{attestations_path_of, canonical_tarball_file, version_of_tarball_file};
pub use form::PackumentForm;
pub use keep::with_kept_versions;
pub use tags::shown_tags;

use address::Addresses;

/// Member of both forms that says why versions are left out.
const BLOCK_VERSIONS: &str = "blockVersions";

/// What a document is rendered for.
#[derive(Clone, Copy)]
pub struct RenderOptions<'a> {
    /// The package, as it is asked for.
    pub name: &'a PackageName,
    /// Our public address without trailing slash; may hold a path prefix.
    pub base_url: &'a str,
    /// Versions that are left out (blocked, held).
    pub hidden: &'a dyn Fn(&str) -> bool,
    /// What is said of them in `blockVersions`, by version (wire contract, 2.10).
    pub told: &'a BTreeMap<String, String>,
}

/// Renders all visible versions.
///
/// When any version is left out, dist-tags that would point at an absent one are repaired:
/// `latest` moves to the highest remaining version, others go. Otherwise they pass as they
/// are. Documents without `versions` (unpublished stubs) come out without them.
#[must_use]
pub fn render_packument(
    scan: &PackumentScan<'_>,
    form: PackumentForm,
    options: &RenderOptions<'_>,
) -> Vec<u8> {
    let visible: Vec<&VersionEntry<'_>> =
        scan.versions.iter().filter(|entry| !(options.hidden)(&entry.key)).collect();
    let addresses = Addresses::new(options);
    let document = Document { scan, visible: &visible, addresses: &addresses, options };
    let mut out = Vec::with_capacity(document.size_limit());
    match form {
        PackumentForm::Full => document.write_full(&mut out),
        PackumentForm::Abbreviated => document.write_abbreviated(options.name, &mut out),
    }
    // pages beyond the end were never touched; what is kept or cached is the length only
    out.shrink_to_fit();
    out
}

/// Renders one version; `None` when it is absent or hidden.
///
/// The full form of the version that `latest` means has the document's `readme`, which is that
/// version's (wire contract, 7.3), unless it has one of its own.
#[must_use]
pub fn render_manifest(
    scan: &PackumentScan<'_>,
    version: &str,
    form: PackumentForm,
    options: &RenderOptions<'_>,
) -> Option<Vec<u8>> {
    let entry = scan.version(version).filter(|_| !(options.hidden)(version))?;
    let addresses = Addresses::new(options);
    let mut out = Vec::with_capacity(entry.raw.get().len() + addresses.growth());
    match form {
        PackumentForm::Full => {
            splice::write_manifest(&mut out, entry, &addresses);
            if let Some(readme) = readme_of(scan, entry) {
                splice::add_member(&mut out, "readme", readme);
            }
        }
        PackumentForm::Abbreviated => abbreviated::write_manifest(&mut out, entry, &addresses),
    }
    Some(out)
}

/// The readme of the document, where it is about this version and its manifest has none.
fn readme_of<'a>(scan: &PackumentScan<'a>, entry: &VersionEntry<'a>) -> Option<&'a str> {
    scan.dist_tags.iter().find(|(tag, version)| tag == "latest" && *version == entry.key)?;
    let (_, readme) = scan.members.iter().find(|(key, _)| key == "readme")?;
    let mut has_own = false;
    // a raw version is an object, so reading it cannot fail
    let _ = json::each_member(entry.raw.get(), |key, _| has_own |= key == "readme");
    Some(readme.get()).filter(|_| !has_own)
}

/// A packument on its way out.
struct Document<'d, 'a> {
    scan: &'d PackumentScan<'a>,
    visible: &'d [&'d VersionEntry<'a>],
    addresses: &'d Addresses,
    options: &'d RenderOptions<'d>,
}

impl Document<'_, '_> {
    /// No rendered form can be longer: the body, and what our addresses add to each version.
    fn size_limit(&self) -> usize {
        let told = self.options.told.iter().map(|(key, why)| key.len() + 2 * why.len() + 8);
        let told = told.sum::<usize>();
        self.scan.body_bytes() + self.visible.len() * self.addresses.growth() + told + 256
    }

    /// Whether some version of the body is not shown.
    fn leaves_out_versions(&self) -> bool {
        self.visible.len() != self.scan.versions.len() || !self.scan.skipped.is_empty()
    }

    fn write_full(&self, out: &mut Vec<u8>) {
        let told = self.told();
        // ours stands for what upstream says of its own
        let members = self.scan.members.iter();
        let members = members.filter(|(key, _)| told.is_none() || key != BLOCK_VERSIONS);
        write_members(out, members, |out, (key, value)| {
            json::write_string(out, key);
            out.push(b':');
            match &**key {
                "versions" if json::is_object(value) => {
                    self.write_versions(out, splice::write_manifest);
                }
                "dist-tags" if self.leaves_out_versions() => {
                    tags::write_repaired(out, self.scan, self.visible);
                }
                "time" if self.hides() && json::is_object(value) => self.write_time(out),
                _ => out.extend_from_slice(value.get().as_bytes()),
            }
        });
        if told.is_some() {
            out.pop(); // the brace at the end
            self.write_told(out);
            out.push(b'}');
        }
    }

    /// Whether readers must not see some version.
    fn hides(&self) -> bool {
        self.visible.len() != self.scan.versions.len()
    }

    /// Without the versions that readers must not see.
    fn write_time(&self, out: &mut Vec<u8>) {
        let shown = self.scan.time.iter().filter(|(key, _)| !(self.options.hidden)(key));
        write_texts(out, shown.map(|(key, at)| (&**key, &**at)));
    }

    /// What is said of hidden versions, if there is something.
    fn told(&self) -> Option<&BTreeMap<String, String>> {
        Some(self.options.told).filter(|told| !told.is_empty())
    }

    fn write_told(&self, out: &mut Vec<u8>) {
        let Some(told) = self.told() else { return };
        let needs_comma = out.last() != Some(&b'{');
        if needs_comma {
            out.push(b',');
        }
        json::write_string(out, BLOCK_VERSIONS);
        out.push(b':');
        write_texts(out, told.iter().map(|(version, why)| (version.as_str(), why.as_str())));
    }

    fn write_versions(
        &self,
        out: &mut Vec<u8>,
        write: fn(&mut Vec<u8>, &VersionEntry<'_>, &Addresses),
    ) {
        write_members(out, self.visible, |out, entry| {
            json::write_string(out, &entry.key);
            out.push(b':');
            write(out, entry, self.addresses);
        });
    }
}

/// Writes an object of texts.
fn write_texts<'t>(out: &mut Vec<u8>, members: impl Iterator<Item = (&'t str, &'t str)>) {
    write_members(out, members, |out, (key, text)| {
        json::write_string(out, key);
        out.push(b':');
        json::write_string(out, text);
    });
}

/// Writes an object, one member for each item.
fn write_members<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'{');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b'}');
}
