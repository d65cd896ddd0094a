//! The pass over the body.
//!
//! A hand-written visitor: it descends only into the document and into `versions`, every
//! other value is skipped and kept as a slice. `versions` is nearly the whole body, so its
//! own slice is not scanned for a second time but cut out between two keys afterwards.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{self, fold_duplicates};

use super::index::{KeyIndex, index_last_wins};
use super::{PackumentScan, ScanError, VersionEntry};

/// JSON's own white space, which is less than Rust's.
const WHITE_SPACE: [char; 4] = [' ', '\n', '\r', '\t'];

pub(super) fn scan(body: &[u8]) -> Result<PackumentScan<'_>, ScanError> {
    let text = std::str::from_utf8(body)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut pass = Pass { text, ..Pass::default() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(&mut pass)?;
    deserializer.end()?;
    pass.finish()
}

/// What is found on the way.
#[derive(Default)]
struct Pass<'a> {
    text: &'a str,
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
    versions: Vec<VersionEntry<'a>>,
    skipped: Vec<Cow<'a, str>>,
    place: Option<VersionsPlace>,
}

/// Where the value of `versions` lies: between its key and what follows.
struct VersionsPlace {
    key_end: usize,
    next_key: Option<usize>,
}

impl<'de> Visitor<'de> for &mut Pass<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a packument object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(raw_key) = map.next_key::<&RawValue>()? {
            let key_start = json::offset_in(self.text, raw_key.get());
            if let Some(place) = &mut self.place {
                place.next_key.get_or_insert(key_start);
            }
            let key = json::decode(raw_key.get());
            if key == "versions" {
                // of two `versions` the later one counts
                self.versions.clear();
                self.skipped.clear();
                let key_end = key_start + raw_key.get().len();
                self.place = Some(VersionsPlace { key_end, next_key: None });
                map.next_value_seed(Versions(self))?;
                self.members.push((key, RawValue::NULL));
            } else {
                self.members.push((key, map.next_value()?));
            }
        }
        Ok(())
    }
}

impl<'a> Pass<'a> {
    fn finish(mut self) -> Result<PackumentScan<'a>, ScanError> {
        self.put_versions_in_place()?;
        fold_duplicates(&mut self.members, |(key, _)| key);
        let version_index = index_last_wins(&mut self.versions, |entry| &entry.key);
        let mut scan = PackumentScan {
            members: self.members,
            name: None,
            rev: None,
            dist_tags: Vec::new(),
            versions: self.versions,
            time: Vec::new(),
            skipped: self.skipped,
            unpublished: false,
            body_bytes: self.text.len(),
            version_index,
            time_index: KeyIndex::default(),
        };
        read_members(&mut scan)?;
        check_depth(&scan)?;
        Ok(scan)
    }

    /// Gives the member `versions` its slice; the whole text is known to be valid by now.
    fn put_versions_in_place(&mut self) -> Result<(), ScanError> {
        let Some(place) = &self.place else { return Ok(()) };
        let end = place.next_key.unwrap_or(self.text.len());
        let around = self.text.get(place.key_end..end).unwrap_or_default();
        let after = if place.next_key.is_some() { ',' } else { '}' };
        let value = around.trim_matches(WHITE_SPACE);
        let value = value.strip_prefix(':').unwrap_or(value);
        let value = value.strip_suffix(after).unwrap_or(value).trim_matches(WHITE_SPACE);
        let raw = json::borrow_raw(value)?;
        for (key, value) in &mut self.members {
            if key == "versions" {
                *value = raw;
            }
        }
        Ok(())
    }
}

fn read_members(scan: &mut PackumentScan<'_>) -> Result<(), ScanError> {
    for (key, value) in &scan.members {
        match &**key {
            "name" => scan.name = json::string(value),
            "_rev" => scan.rev = json::string(value),
            "dist-tags" if json::is_object(value) => {
                json::each_member(value.get(), |tag, version| {
                    scan.dist_tags.extend(json::string(version).map(|version| (tag, version)));
                })?;
            }
            "time" if json::is_object(value) => {
                json::each_member(value.get(), |key, time| {
                    scan.unpublished |= key == "unpublished";
                    scan.time.extend(json::string(time).map(|time| (key, time)));
                })?;
            }
            _ => {}
        }
    }
    fold_duplicates(&mut scan.dist_tags, |(tag, _)| tag);
    scan.time_index = index_last_wins(&mut scan.time, |(key, _)| key);
    Ok(())
}

/// Checks each value on its own, `versions` by its entries.
fn check_depth(scan: &PackumentScan<'_>) -> Result<(), ScanError> {
    let members =
        scan.members.iter().filter(|(key, _)| key != "versions" || scan.versions.is_empty());
    let members = members.map(|(key, value)| (key, *value));
    let versions = scan.versions.iter().map(|entry| (&entry.key, entry.raw));
    match members.chain(versions).find(|(_, value)| json::is_too_deep(value.get())) {
        Some((member, _)) => Err(ScanError::TooDeep { member: member.clone().into_owned() }),
        None => Ok(()),
    }
}

/// Reads the value of `versions`, whatever it is.
struct Versions<'s, 'a>(&'s mut Pass<'a>);

impl<'de> DeserializeSeed<'de> for Versions<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Versions<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, raw)) = map.next_entry::<&RawValue, &RawValue>()? {
            let key = json::decode(key.get());
            if json::is_object(raw) {
                self.0.versions.push(VersionEntry { key, raw });
            } else {
                self.0.skipped.push(key);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _value: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
