//! A document with versions that its upstream dropped.

use std::collections::HashSet;

use crate::json;
use crate::packument::{PackumentScan, VersionEntry};

use super::write_members;

/// The new document with these versions of the old one in it, manifests as they were.
///
/// Their publish times are taken over where the new document has none; dist-tags are the new
/// document's.
#[must_use]
pub fn with_kept_versions(
    new: &PackumentScan<'_>,
    old: &PackumentScan<'_>,
    kept: &HashSet<&str>,
) -> Vec<u8> {
    let is_kept = |version: &str| kept.contains(version) && new.version(version).is_none();
    let versions: Vec<&VersionEntry<'_>> =
        new.versions.iter().chain(old.versions.iter().filter(|it| is_kept(&it.key))).collect();
    let lost_times = old
        .time
        .iter()
        .filter(|(version, _)| is_kept(version) && new.published_at(version).is_none());
    let times: Vec<_> = new.time.iter().chain(lost_times).collect();
    let mut out = Vec::with_capacity(new.body_bytes() + old.body_bytes() / 4);
    write_members(&mut out, &new.members, |out, (key, value)| {
        json::write_string(out, key);
        out.push(b':');
        match &**key {
            "versions" if json::is_object(value) => write_members(out, &versions, |out, entry| {
                json::write_string(out, &entry.key);
                out.push(b':');
                out.extend_from_slice(entry.raw.get().as_bytes());
            }),
            "time" if json::is_object(value) => write_members(out, &times, |out, (key, time)| {
                json::write_string(out, key);
                out.push(b':');
                json::write_string(out, time);
            }),
            _ => out.extend_from_slice(value.get().as_bytes()),
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_versions_stand_behind_the_new_ones_as_they_were() {
        let old = r#"{"name":"lamp","versions":{"1.0.0":{"a":1},"1.1.0":{"b": 2},"0.1.0":{}},
            "time":{"1.0.0":"x","1.1.0":"y"}}"#;
        let new = r#"{"_rev":"9","name":"lamp","dist-tags":{"latest":"1.0.0"},
            "versions":{"1.0.0":{"a":3}},"time":{"modified":"z","1.0.0":"x"}}"#;
        let (old, new) = (old.as_bytes(), new.as_bytes());
        let (old, new) = (PackumentScan::parse(old).unwrap(), PackumentScan::parse(new).unwrap());
        let kept = HashSet::from(["1.1.0", "1.0.0", "2.0.0"]);
        let merged = with_kept_versions(&new, &old, &kept);
        assert_eq!(
            String::from_utf8(merged).unwrap(),
            r#"{"_rev":"9","name":"lamp","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"a":3},"1.1.0":{"b": 2}},"time":{"modified":"z","1.0.0":"x","1.1.0":"y"}}"#
        );
    }
}
