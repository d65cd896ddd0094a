//! Hooks: what they may be about, the events they hear of, and the signed body of a delivery.
//!
//! Event names and the shape of the body are those of npm's own hooks (`package:publish`, …).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

#[cfg(test)]
mod tests;

/// The version of the body's shape, which every body names.
const SHAPE: &str = "1.0.0";

/// What a hook is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum HookKind {
    /// One package, by its full name.
    Package,
    /// All packages of a scope, named with its `@`.
    Scope,
    /// All packages that a user maintains.
    Owner,
}

impl HookKind {
    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Scope => "scope",
            Self::Owner => "owner",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Package, Self::Scope, Self::Owner].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What happened to a package.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HookEventKind {
    /// A version was added.
    Publish,
    /// A version, or the whole package, was taken away.
    Unpublish,
    /// A dist-tag was set.
    DistTag,
    /// A dist-tag was removed.
    DistTagRemoved,
    /// Somebody maintains it since now or still.
    Owner,
    /// Somebody maintains it no longer.
    OwnerRemoved,
    /// A version was deprecated, or got another text.
    Deprecated,
    /// A version is no longer deprecated.
    Undeprecated,
    /// A user likes it.
    Star,
    /// A user likes it no longer.
    Unstar,
    /// Nothing happened: the owner of the hook tries it.
    Test,
}

impl HookEventKind {
    const ALL: [Self; 11] = [
        Self::Publish,
        Self::Unpublish,
        Self::DistTag,
        Self::DistTagRemoved,
        Self::Owner,
        Self::OwnerRemoved,
        Self::Deprecated,
        Self::Undeprecated,
        Self::Star,
        Self::Unstar,
        Self::Test,
    ];

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "package:publish",
            Self::Unpublish => "package:unpublish",
            Self::DistTag => "package:dist-tag",
            Self::DistTagRemoved => "package:dist-tag-rm",
            Self::Owner => "package:owner",
            Self::OwnerRemoved => "package:owner-rm",
            Self::Deprecated => "package:deprecated",
            Self::Undeprecated => "package:undeprecated",
            Self::Star => "package:star",
            Self::Unstar => "package:unstar",
            Self::Test => "hook:test",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for HookEventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What an event is about, as `change` of the body shows it; what does not apply is left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HookChange {
    /// The dist-tag.
    #[serde(rename = "dist-tag", skip_serializing_if = "Option::is_none")]
    pub dist_tag: Option<String>,
    /// The version that came or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The maintainer who came, stayed or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintainer: Option<String>,
    /// The version that is deprecated, or no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// The user who likes it, or no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// One event of a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookEvent {
    /// What happened.
    pub kind: HookEventKind,
    /// To what.
    pub change: HookChange,
}

impl HookEvent {
    fn new(kind: HookEventKind, change: HookChange) -> Self {
        Self { kind, change }
    }

    /// A version was added, with the dist-tag that means it since then, if one does.
    #[must_use]
    pub fn publish(version: &str, dist_tag: Option<&str>) -> Self {
        Self::new(HookEventKind::Publish, of_version(version, dist_tag))
    }

    /// A version was taken away, with the dist-tag that meant it, if one did.
    #[must_use]
    pub fn unpublish(version: &str, dist_tag: Option<&str>) -> Self {
        Self::new(HookEventKind::Unpublish, of_version(version, dist_tag))
    }

    /// The whole package was taken away.
    #[must_use]
    pub fn unpublish_all() -> Self {
        Self::new(HookEventKind::Unpublish, HookChange::default())
    }

    /// A dist-tag was set or moved.
    #[must_use]
    pub fn dist_tag(tag: &str) -> Self {
        Self::new(HookEventKind::DistTag, of_tag(tag))
    }

    /// A dist-tag was removed.
    #[must_use]
    pub fn dist_tag_removed(tag: &str) -> Self {
        Self::new(HookEventKind::DistTagRemoved, of_tag(tag))
    }

    /// The maintainers changed: one event for each of the full list.
    #[must_use]
    pub fn owner(maintainer: &str) -> Self {
        Self::new(HookEventKind::Owner, of_maintainer(maintainer))
    }

    /// A maintainer was removed.
    #[must_use]
    pub fn owner_removed(maintainer: &str) -> Self {
        Self::new(HookEventKind::OwnerRemoved, of_maintainer(maintainer))
    }

    /// A version was deprecated, or got another text.
    #[must_use]
    pub fn deprecated(version: &str) -> Self {
        let change = HookChange { deprecated: Some(version.to_owned()), ..HookChange::default() };
        Self::new(HookEventKind::Deprecated, change)
    }

    /// A version is no longer deprecated.
    #[must_use]
    pub fn undeprecated(version: &str) -> Self {
        Self { kind: HookEventKind::Undeprecated, ..Self::deprecated(version) }
    }

    /// A user likes the package.
    #[must_use]
    pub fn star(user: &str) -> Self {
        let change = HookChange { user: Some(user.to_owned()), ..HookChange::default() };
        Self::new(HookEventKind::Star, change)
    }

    /// A user likes the package no longer.
    #[must_use]
    pub fn unstar(user: &str) -> Self {
        Self { kind: HookEventKind::Unstar, ..Self::star(user) }
    }

    /// The owner of a hook tries it.
    #[must_use]
    pub fn test() -> Self {
        Self::new(HookEventKind::Test, HookChange::default())
    }
}

fn of_version(version: &str, dist_tag: Option<&str>) -> HookChange {
    let dist_tag = dist_tag.map(str::to_owned);
    HookChange { version: Some(version.to_owned()), dist_tag, ..HookChange::default() }
}

fn of_tag(tag: &str) -> HookChange {
    HookChange { dist_tag: Some(tag.to_owned()), ..HookChange::default() }
}

fn of_maintainer(name: &str) -> HookChange {
    HookChange { maintainer: Some(name.to_owned()), ..HookChange::default() }
}

/// What a body says beside the document of the package.
#[derive(Clone, Copy, Debug)]
pub struct HookBody<'a> {
    /// What happened.
    pub event: HookEventKind,
    /// To what, as JSON.
    pub change_json: &'a str,
    /// Full name of the package.
    pub name: &'a str,
    /// Login name of the hook's owner.
    pub owner: &'a str,
    /// When it happened, unix milliseconds.
    pub at_ms: i64,
    /// Id of the delivery, the same with every try.
    pub delivery: &'a str,
}

impl HookBody<'_> {
    /// The text in front of the package's document and the text behind it.
    #[must_use]
    pub fn around(&self) -> (String, String) {
        let text = serde_json::Value::from;
        let front = format!(
            "{{\"event\":{},\"name\":{},\"type\":\"package\",\"version\":\"{SHAPE}\",\
             \"hookOwner\":{{\"username\":{}}},\"payload\":",
            text(self.event.as_str()),
            text(self.name),
            text(self.owner),
        );
        let back = format!(
            ",\"change\":{},\"time\":{},\"delivery\":{}}}",
            self.change_json,
            self.at_ms,
            text(self.delivery),
        );
        (front, back)
    }
}

/// The value of `x-npm-signature` for a body in pieces: `sha256=` and the HMAC in hex.
#[must_use]
pub fn sign(secret: &str, body: &[&[u8]]) -> String {
    // keys of every length are fine, so there is always one
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    for piece in body {
        mac.update(piece);
    }
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
