//! What a manifest names beside itself: packages, files, people.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use npm::PackumentScan;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// The longest file name kept from an address; longer ones get the canonical name.
const MAX_FILE_NAME_BYTES: usize = 300;

/// A person as documents name one; old ones leave out either member.
#[derive(Deserialize)]
struct Person<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    email: Cow<'a, str>,
}

/// Whom the document calls its maintainers; what is no list of people counts as none.
pub(super) fn maintainers(scan: &PackumentScan<'_>) -> Vec<String> {
    let list = scan.member("maintainers");
    let people = list.and_then(|list| serde_json::from_str::<Vec<Person<'_>>>(list.get()).ok());
    let people = people.into_iter().flatten();
    people.map(|person| format!("{} <{}>", person.name, person.email)).collect()
}

/// A moment as documents write it, in unix milliseconds.
pub(super) fn read_time(text: &str) -> Option<i64> {
    let at = humantime::parse_rfc3339(text).ok()?;
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// The registry package behind one dependency: aliases name it in their spec, and what comes
/// from a file, a URL or a repository has none.
pub(super) fn registry_name<'a>(name: &'a str, spec: &'a str) -> Option<&'a str> {
    if let Some(alias) = spec.strip_prefix("npm:") {
        let end = alias.rfind('@').filter(|at| *at > 0).unwrap_or(alias.len());
        return alias.get(..end).filter(|name| !name.is_empty());
    }
    (!spec.contains([':', '/'])).then_some(name)
}

/// The last path segment of an address, decoded once, as clients ask for it.
pub(super) fn file_of_url(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    let (_, path) = path.split_once("://")?;
    let (_, file) = path.rsplit_once('/')?;
    let file = percent_decode_str(file).decode_utf8().ok()?;
    let is_plain = !file.is_empty()
        && file.len() <= MAX_FILE_NAME_BYTES
        && !file.starts_with('.')
        && !file.chars().any(|character| character.is_control() || "/\\".contains(character));
    is_plain.then(|| file.into_owned())
}
