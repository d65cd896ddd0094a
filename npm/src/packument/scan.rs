//! The pass over the body.
//!
//! It descends only into the document and into `versions`, every other value is skipped and
//! kept as a slice. Afterwards `dist-tags` and `time`, which are small, are read from theirs.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::{self, Cursor, fold_duplicates};

use super::index::{KeyIndex, index_last_wins};
use super::{PackumentScan, ScanError, VersionEntry};

type Member<'a> = (Cow<'a, str>, &'a str);

pub(super) fn scan(body: &[u8]) -> Result<PackumentScan<'_>, ScanError> {
    let text = std::str::from_utf8(body)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut members: Vec<Member<'_>> = Vec::new();
    let mut versions: Vec<Member<'_>> = Vec::new();
    Cursor::new(text).document(|cursor, key, at| {
        let key = cursor.decode(key);
        let (value, end) = if key == "versions" {
            // of two `versions` the later one counts
            versions.clear();
            cursor.value_with_members(at, |cursor, key, at| {
                let (value, end) = cursor.value(at)?;
                versions.push((cursor.decode(key), value));
                Some(end)
            })?
        } else {
            cursor.value(at)?
        };
        members.push((key, value));
        Some(end)
    })?;
    fold_duplicates(&mut members, |(key, _)| key);
    build(text, &members, versions)
}

fn build<'a>(
    text: &'a str,
    members: &[Member<'a>],
    versions: Vec<Member<'a>>,
) -> Result<PackumentScan<'a>, ScanError> {
    let mut scan = PackumentScan {
        members: Vec::with_capacity(members.len()),
        name: None,
        rev: None,
        dist_tags: Vec::new(),
        versions: Vec::new(),
        time: Vec::new(),
        skipped: Vec::new(),
        unpublished: false,
        body_bytes: text.len(),
        version_index: KeyIndex::default(),
        time_index: KeyIndex::default(),
    };
    for (key, value) in members {
        scan.members.push((key.clone(), raw(value)?));
        match &**key {
            "name" => scan.name = json::string(value),
            "_rev" => scan.rev = json::string(value),
            "dist-tags" if value.starts_with('{') => read_dist_tags(&mut scan, value)?,
            "time" if value.starts_with('{') => read_time(&mut scan, value)?,
            _ => {}
        }
    }
    let entry = |(key, value): Member<'a>| Ok(VersionEntry { key, raw: raw(value)? });
    scan.versions = versions.into_iter().map(entry).collect::<Result<_, ScanError>>()?;
    scan.version_index = index_last_wins(&mut scan.versions, |entry| &entry.key);
    skip_odd_versions(&mut scan);
    Ok(scan)
}

fn raw(value: &str) -> Result<&RawValue, ScanError> {
    json::borrow_raw(value).map_err(ScanError::Raw)
}

fn read_dist_tags<'a>(scan: &mut PackumentScan<'a>, value: &'a str) -> Result<(), ScanError> {
    json::each_member(value, |tag, version| {
        scan.dist_tags.extend(json::string(version).map(|version| (tag, version)));
    })?;
    fold_duplicates(&mut scan.dist_tags, |(tag, _)| tag);
    Ok(())
}

fn read_time<'a>(scan: &mut PackumentScan<'a>, value: &'a str) -> Result<(), ScanError> {
    json::each_member(value, |key, time| {
        scan.unpublished |= key == "unpublished";
        scan.time.extend(json::string(time).map(|time| (key, time)));
    })?;
    scan.time_index = index_last_wins(&mut scan.time, |(key, _)| key);
    Ok(())
}

/// Moves versions that are no objects out of the way.
fn skip_odd_versions(scan: &mut PackumentScan<'_>) {
    let is_odd = |entry: &VersionEntry<'_>| !json::is_object(entry.raw);
    if !scan.versions.iter().any(is_odd) {
        return;
    }
    for entry in scan.versions.extract_if(.., |entry| is_odd(entry)) {
        scan.skipped.push(entry.key);
    }
    scan.version_index = index_last_wins(&mut scan.versions, |entry| &entry.key);
}
