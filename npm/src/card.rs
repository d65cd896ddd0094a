//! What a search shows of a package and finds it by: few facts of its document, and those of the
//! version that stands for it.
//!
//! As everywhere, a field of another shape than expected counts as absent; the older shapes that
//! registries still hold (people as text, keywords as one text, licences as objects) are read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::json;
use crate::packument::PackumentScan;
use crate::version::is_unstable;

#[cfg(test)]
mod tests;

/// Most characters of a description; nobody reads on in a list.
const LONGEST_TEXT: usize = 1_000;
/// Most keywords and most people: a document may hold thousands.
const MOST: usize = 100;

/// A person, with the two names under which clients look for his login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Person<'a> {
    /// The login, in the word of npm's search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Cow<'a, str>>,
    /// The login or the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Cow<'a, str>>,
}

/// Where else there is something about a package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Links<'a> {
    /// Its page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub homepage: Option<Cow<'a, str>>,
    /// Its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<Cow<'a, str>>,
    /// Where to report mistakes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bugs: Option<Cow<'a, str>>,
}

/// A package as a search tells of it, borrowed from its document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Card<'a> {
    /// The package.
    pub name: &'a str,
    /// The version that stands for it: `latest`.
    pub version: &'a str,
    /// Revision that the document says of itself.
    #[serde(rename = "_rev", skip_serializing_if = "Option::is_none")]
    pub rev: Option<&'a str>,
    /// The scope without its `@`, or `unscoped`.
    pub scope: &'a str,
    /// What its authors call it.
    pub keywords: Vec<Cow<'a, str>>,
    /// All versions that are shown.
    pub versions: Vec<&'a str>,
    /// One or two sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Cow<'a, str>>,
    /// The licence's short name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<Cow<'a, str>>,
    /// Who may publish it.
    pub maintainers: Vec<Person<'a>>,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Person<'a>>,
    /// The tags that are shown.
    #[serde(rename = "dist-tags")]
    pub dist_tags: BTreeMap<&'a str, &'a str>,
    /// When the version was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<&'a str>,
    /// When the first one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Cow<'a, str>>,
    /// When the document changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<Cow<'a, str>>,
    /// `date` in unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_time: Option<i64>,
    /// Why it should not be used any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Cow<'a, str>>,
    /// Who published the version.
    #[serde(rename = "_npmUser", skip_serializing_if = "Option::is_none")]
    pub npm_user: Option<Person<'a>>,
    /// The same in the word of npm's search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Person<'a>>,
    /// Where else to look.
    pub links: Links<'a>,
    /// Which of our registries it comes from.
    #[serde(rename = "_source_registry_name")]
    pub registry: &'a str,
}

impl<'a> Card<'a> {
    /// The card of a package; `tags` are those that readers see, and `hidden` says which versions
    /// they do not. `None` where no version is left that could stand for it.
    #[must_use]
    pub fn of(
        scan: &'a PackumentScan<'a>,
        name: &'a str,
        registry: &'a str,
        tags: &[(&'a str, &'a str)],
        hidden: &dyn Fn(&str) -> bool,
    ) -> Option<Self> {
        let shown = || scan.versions.iter().filter(|entry| !hidden(&entry.key));
        let latest = tags.iter().find(|(tag, _)| *tag == "latest");
        let entry = latest
            .and_then(|(_, version)| scan.version(version).filter(|entry| !hidden(&entry.key)))
            .or_else(|| shown().last())?;
        let mut card = Self {
            name,
            registry,
            version: &entry.key,
            rev: scan.rev.as_deref(),
            scope: scope(name),
            versions: shown().map(|entry| &*entry.key).collect(),
            dist_tags: tags.iter().copied().collect(),
            date: scan.published_at(&entry.key),
            created: scan.published_at("created").map(Cow::Borrowed),
            modified: scan.modified(),
            deprecated: entry.deprecation(),
            ..Self::default()
        };
        card.publish_time = card.date.and_then(unix_ms);
        card.read_manifest(entry.raw);
        if let Some(people) = scan.member("maintainers") {
            card.maintainers = persons(people.get());
        }
        Some(card)
    }

    fn read_manifest(&mut self, raw: &'a RawValue) {
        // a raw version is an object, so reading it cannot fail
        let _ = json::each_member(raw.get(), |key, value| match &*key {
            "description" => self.description = json::string(value).map(cut),
            "keywords" => self.keywords = keywords(value),
            "license" => self.license = text_or(value, "type"),
            "licenses" if self.license.is_none() => {
                self.license = elements(value).first().and_then(|value| text_or(value, "type"));
            }
            "author" => self.author = person(value),
            "maintainers" => self.maintainers = persons(value),
            "homepage" => self.links.homepage = json::string(value),
            "repository" => self.links.repository = text_or(value, "url"),
            "bugs" => self.links.bugs = text_or(value, "url"),
            "_npmUser" => self.npm_user = person(value),
            _ => {}
        });
        self.publisher = self.npm_user.clone();
    }

    /// Whether the version is none that its authors call finished: below 1.0.0, or a prerelease.
    #[must_use]
    pub fn is_unstable(&self) -> bool {
        is_unstable(self.version)
    }
}

fn scope(name: &str) -> &str {
    let scope = name.split_once('/').and_then(|(scope, _)| scope.strip_prefix('@'));
    scope.unwrap_or("unscoped")
}

fn unix_ms(time: &str) -> Option<i64> {
    let since = humantime::parse_rfc3339_weak(time).ok()?.duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.ok()?.as_millis()).ok()
}

/// A text, or the one that an object has under `key`.
fn text_or<'a>(value: &'a str, key: &str) -> Option<Cow<'a, str>> {
    let mut found = json::string(value);
    // what is neither text nor object has nothing to tell
    let _ = json::each_member(value, |name, value| {
        if name == key {
            found = json::string(value);
        }
    });
    found.filter(|text| !text.is_empty()).map(cut)
}

/// The raw elements of a list.
fn elements(value: &str) -> Vec<&str> {
    let elements: Vec<&RawValue> = serde_json::from_str(value).unwrap_or_default();
    elements.into_iter().map(RawValue::get).collect()
}

fn keywords(value: &str) -> Vec<Cow<'_, str>> {
    let texts: Vec<_> = match json::string(value) {
        Some(text) => {
            let words = text.split(|sign: char| sign == ',' || sign.is_whitespace());
            words.map(|word| Cow::Owned(word.to_owned())).collect()
        }
        None => elements(value).into_iter().filter_map(json::string).collect(),
    };
    texts.into_iter().filter(|word| !word.trim().is_empty()).take(MOST).map(cut).collect()
}

fn persons(value: &str) -> Vec<Person<'_>> {
    let mut people: Vec<_> = elements(value).into_iter().take(MOST).filter_map(person).collect();
    people.extend(person(value).filter(|_| !value.starts_with('[')));
    people
}

/// A person as an object, or as text: `Name <address> (page)`.
fn person(value: &str) -> Option<Person<'_>> {
    let mut person = Person::default();
    if let Some(text) = json::string(value) {
        let name = text.split(['<', '(']).next().unwrap_or_default().trim();
        let address = text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        let owned = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        person.name = owned(name).map(Cow::Owned);
        person.email = address.and_then(|(address, _)| owned(address)).map(Cow::Owned);
    }
    // what is neither text nor object is nobody
    let _ = json::each_member(value, |key, value| match &*key {
        "name" => person.name = json::string(value),
        "email" => person.email = json::string(value),
        "username" => person.username = json::string(value),
        _ => {}
    });
    person.username = person.username.take().or_else(|| person.name.clone());
    person.name = person.name.take().or_else(|| person.username.clone());
    Some(person).filter(|person| person.name.is_some() || person.email.is_some())
}

/// Not more of a text than anybody reads.
fn cut(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text,
        Some((end, _)) => Cow::Owned(text.split_at(end).0.to_owned()),
    }
}
