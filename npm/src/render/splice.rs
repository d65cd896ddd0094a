//! A version's raw manifest with the addresses replaced.

use std::ops::Range;

use crate::json;
use crate::packument::VersionEntry;

use super::address::Addresses;

/// Writes the whole manifest.
pub(super) fn write_manifest(out: &mut Vec<u8>, entry: &VersionEntry<'_>, addresses: &Addresses) {
    let raw = entry.raw.get();
    let mut edits = Edits::new(raw);
    // a raw version is an object, so reading it cannot fail
    let _ = json::each_member(raw, |key, value| {
        if key == "dist" {
            edits.collect(value);
        }
    });
    edits.write(out, &entry.key, addresses);
}

/// Adds a member to the end of an object; `name` has nothing to escape, `value` is JSON.
pub(super) fn add_member(object: &mut Vec<u8>, name: &str, value: &str) {
    let Some(end) = object.iter().rposition(|byte| *byte == b'}') else { return };
    object.truncate(end);
    let is_empty = object.trim_ascii_end().ends_with(b"{");
    let comma: &[u8] = if is_empty { b"" } else { b"," };
    for part in [comma, b"\"", name.as_bytes(), b"\":", value.as_bytes(), b"}"] {
        object.extend_from_slice(part);
    }
}

/// Writes the value of `dist`.
pub(super) fn write_dist(out: &mut Vec<u8>, dist: &str, version: &str, addresses: &Addresses) {
    let mut edits = Edits::new(dist);
    edits.collect(dist);
    edits.write(out, version, addresses);
}

/// The spans of one text that are replaced, in order.
struct Edits<'a> {
    text: &'a str,
    spans: Vec<(Range<usize>, Replacement<'a>)>,
}

enum Replacement<'a> {
    Tarball,
    Attestations(&'a str),
}

impl<'a> Edits<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, spans: Vec::with_capacity(2) }
    }

    /// Finds the addresses in a `dist`.
    ///
    /// All duplicates are replaced too: whichever a client takes, it is ours.
    fn collect(&mut self, dist: &'a str) {
        // the only error is a `dist` that is no object, and that holds no address
        let _ = json::each_member(dist, |key, value| match &*key {
            "tarball" => self.replace(value, Replacement::Tarball),
            "attestations" => {
                let _ = json::each_member(value, |key, url| {
                    if key == "url" {
                        self.replace(url, Replacement::Attestations(url));
                    }
                });
            }
            _ => {}
        });
    }

    fn replace(&mut self, value: &'a str, with: Replacement<'a>) {
        if value.starts_with('"') {
            let start = json::offset_in(self.text, value);
            self.spans.push((start..start + value.len(), with));
        }
    }

    fn write(&self, out: &mut Vec<u8>, version: &str, addresses: &Addresses) {
        let mut copied = 0;
        for (span, replacement) in &self.spans {
            out.extend_from_slice(self.text.as_bytes().get(copied..span.start).unwrap_or_default());
            match replacement {
                Replacement::Tarball => addresses.write_tarball(out, version),
                Replacement::Attestations(url) => {
                    addresses.write_attestations(out, &json::string(url).unwrap_or_default());
                }
            }
            copied = span.end;
        }
        out.extend_from_slice(self.text.as_bytes().get(copied..).unwrap_or_default());
    }
}
