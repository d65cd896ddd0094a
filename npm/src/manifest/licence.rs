//! The licence of a version as one text, out of all the shapes it was ever written in.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json;

/// A text; the `type` (else the `name`) of an object; of a list all of them, to choose from, joined
/// by `OR`. Empty ones and other shapes count as none.
pub(super) fn read(value: &str) -> Option<Cow<'_, str>> {
    if !value.starts_with('[') {
        return one(value);
    }
    let list: Vec<&RawValue> = serde_json::from_str(value).ok()?;
    let mut all: Vec<_> = list.into_iter().filter_map(|item| one(item.get())).collect();
    match all.len() {
        0 | 1 => all.pop(),
        _ => Some(Cow::Owned(all.iter().map(|text| alone(text)).collect::<Vec<_>>().join(" OR "))),
    }
}

fn one(value: &str) -> Option<Cow<'_, str>> {
    let found = match json::string(value) {
        Some(text) => Some(text),
        None => of_object(value),
    };
    found.map(trimmed).filter(|text| !text.is_empty())
}

fn of_object(value: &str) -> Option<Cow<'_, str>> {
    let (mut kind, mut name) = (None, None);
    let read = json::each_member(value, |key, value| match &*key {
        "type" => kind = json::string(value),
        "name" => name = json::string(value),
        _ => {}
    });
    read.ok()?;
    kind.or(name)
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// What has words of its own stands in brackets among others.
fn alone(text: &str) -> Cow<'_, str> {
    if text.contains(' ') { Cow::Owned(format!("({text})")) } else { Cow::Borrowed(text) }
}
