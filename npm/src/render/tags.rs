//! Dist-tags of a document that does not show every version.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::packument::{PackumentScan, VersionEntry};
use crate::version::{highest, is_stable};

use super::write_texts;

/// The dist-tags that readers see when some versions are hidden.
///
/// `latest` moves to the highest stable version that is left, else to the highest; any other
/// tag without its version goes, since nobody but its author knows what it should mean.
/// When nothing is hidden they are upstream's, also those that name an absent version.
#[must_use]
pub fn shown_tags<'s>(
    scan: &'s PackumentScan<'_>,
    hidden: &dyn Fn(&str) -> bool,
) -> Vec<(&'s str, &'s str)> {
    let visible: Vec<_> = scan.versions.iter().filter(|entry| !hidden(&entry.key)).collect();
    if visible.len() == scan.versions.len() {
        return scan.dist_tags.iter().map(|(tag, version)| (&**tag, &**version)).collect();
    }
    repaired(scan, &visible)
}

/// Writes the tags that still point at something.
pub(super) fn write_repaired(
    out: &mut Vec<u8>,
    scan: &PackumentScan<'_>,
    visible: &[&VersionEntry<'_>],
) {
    write_texts(out, repaired(scan, visible).into_iter());
}

fn repaired<'s>(
    scan: &'s PackumentScan<'_>,
    visible: &[&'s VersionEntry<'_>],
) -> Vec<(&'s str, &'s str)> {
    let versions: HashSet<&str> = visible.iter().map(|entry| &*entry.key).collect();
    let kept = |(tag, version): &'s (Cow<'_, str>, Cow<'_, str>)| {
        let kept = versions.get(&**version).copied();
        let version = kept.or_else(|| (tag == "latest").then(|| new_latest(visible)).flatten())?;
        Some((&**tag, version))
    };
    scan.dist_tags.iter().filter_map(kept).collect()
}

fn new_latest<'v>(visible: &[&'v VersionEntry<'_>]) -> Option<&'v str> {
    let versions = || visible.iter().map(|entry| &*entry.key);
    highest(versions().filter(|version| is_stable(version)))
        .or_else(|| highest(versions()))
        .or_else(|| versions().next_back())
}
