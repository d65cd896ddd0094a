//! Dist-tags of a document that does not show every version.

use std::collections::HashSet;

use crate::json;
use crate::packument::{PackumentScan, VersionEntry};
use crate::version::{highest, is_stable};

use super::write_members;

/// Writes the tags that still point at something.
///
/// `latest` moves to the highest stable version that is left, else to the highest; any other
/// tag without its version goes, since nobody but its author knows what it should mean.
pub(super) fn write_repaired(
    out: &mut Vec<u8>,
    scan: &PackumentScan<'_>,
    visible: &[&VersionEntry<'_>],
) {
    let versions: HashSet<&str> = visible.iter().map(|entry| &*entry.key).collect();
    let tags = scan.dist_tags.iter().filter_map(|(tag, version)| {
        let kept = versions.get(&**version).copied();
        Some((tag, kept.or_else(|| (tag == "latest").then(|| new_latest(visible)).flatten())?))
    });
    write_members(out, tags, |out, (tag, version)| {
        json::write_string(out, tag);
        out.push(b':');
        json::write_string(out, version);
    });
}

fn new_latest<'v>(visible: &[&'v VersionEntry<'_>]) -> Option<&'v str> {
    let versions = || visible.iter().map(|entry| &*entry.key);
    highest(versions().filter(|version| is_stable(version)))
        .or_else(|| highest(versions()))
        .or_else(|| versions().next_back())
}
