//! A document of our own that is being changed.
//!
//! Members and versions stay the text they are; what does not change is written again as it was.

use std::cmp::Ordering;

use crate::json;
use crate::name::PackageName;
use crate::packument::PackumentScan;
use crate::version::compare_versions;

type Member = (String, String);

/// What a document says of the package as a whole is what its newest version says.
const FROM_LATEST: [&str; 9] = [
    "description",
    "keywords",
    "license",
    "homepage",
    "repository",
    "author",
    "bugs",
    "readmeFilename",
    "contributors",
];

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    members: Vec<Member>,
    versions: Vec<Member>,
    tags: Vec<Member>,
    time: Vec<Member>,
}

impl Draft {
    /// The document of a package that has no version yet.
    #[must_use]
    pub fn new(name: &PackageName, created: &str) -> Self {
        let name = name.as_str();
        let members = [("_id", name), ("_rev", "0-0"), ("name", name)];
        let members = members.map(|(key, text)| (key.to_owned(), quoted(text)));
        let time = vec![("created".to_owned(), created.to_owned())];
        Self { members: members.into(), versions: Vec::new(), tags: Vec::new(), time }
    }

    /// A document to change.
    #[must_use]
    pub fn of(scan: &PackumentScan<'_>) -> Self {
        let owned = |(key, value): &(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
            (key.to_string(), value.to_string())
        };
        let members = scan.members.iter();
        let plain = members.filter(|(key, _)| !matches!(&**key, "versions" | "dist-tags" | "time"));
        Self {
            members: plain.map(|(key, raw)| (key.to_string(), raw.get().to_owned())).collect(),
            versions: scan
                .versions
                .iter()
                .map(|entry| (entry.key.to_string(), entry.raw.get().to_owned()))
                .collect(),
            tags: scan.dist_tags.iter().map(owned).collect(),
            time: scan.time.iter().map(owned).collect(),
        }
    }

    /// The versions, in the order they came.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.versions.iter().map(|(version, _)| version.as_str())
    }

    /// The manifest of a version.
    #[must_use]
    pub fn version(&self, version: &str) -> Option<&str> {
        get(&self.versions, version)
    }

    /// Adds a version, or replaces its manifest.
    pub fn put_version(&mut self, version: &str, manifest: String) {
        put(&mut self.versions, version, manifest);
    }

    /// When a version came.
    pub fn put_time(&mut self, key: &str, at: &str) {
        put(&mut self.time, key, at.to_owned());
    }

    /// When a version came, as the document says it.
    #[must_use]
    pub fn time(&self, key: &str) -> Option<&str> {
        get(&self.time, key)
    }

    /// Takes a version away, with its time and the tags that mean it, which are returned; `latest`
    /// moves to the highest version that is left.
    pub fn remove_version(&mut self, version: &str) -> Vec<String> {
        self.versions.retain(|(key, _)| key != version);
        self.time.retain(|(key, _)| key != version);
        let (lost, kept): (Vec<Member>, Vec<Member>) =
            std::mem::take(&mut self.tags).into_iter().partition(|(_, of)| of == version);
        self.tags = kept;
        if self.tag("latest").is_none()
            && let Some(highest) = self.highest().map(str::to_owned)
        {
            self.put_tag("latest", &highest);
        }
        lost.into_iter().map(|(tag, _)| tag).collect()
    }

    /// The highest version, releases before prereleases.
    #[must_use]
    pub fn highest(&self) -> Option<&str> {
        let is_prerelease = |version: &str| {
            version.split_once('+').map_or(version, |(version, _)| version).contains('-')
        };
        self.versions().max_by(|a, b| match is_prerelease(b).cmp(&is_prerelease(a)) {
            Ordering::Equal => compare_versions(a, b),
            decided => decided,
        })
    }

    /// The tags and what they mean.
    #[must_use]
    pub fn tags(&self) -> &[(String, String)] {
        &self.tags
    }

    /// The version that a tag means.
    #[must_use]
    pub fn tag(&self, tag: &str) -> Option<&str> {
        get(&self.tags, tag)
    }

    /// Makes a tag mean a version.
    pub fn put_tag(&mut self, tag: &str, version: &str) {
        put(&mut self.tags, tag, version.to_owned());
    }

    /// Removes a tag; `false` when there was none.
    pub fn remove_tag(&mut self, tag: &str) -> bool {
        let before = self.tags.len();
        self.tags.retain(|(key, _)| key != tag);
        self.tags.len() != before
    }

    /// The text of a member, as JSON.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&str> {
        get(&self.members, key)
    }

    /// The text that a member is; `None` when it is something else.
    #[must_use]
    pub fn member_text(&self, key: &str) -> Option<String> {
        self.member(key).and_then(json::string).map(std::borrow::Cow::into_owned)
    }

    /// Sets a member to a piece of JSON.
    pub fn put_member(&mut self, key: &str, value: String) {
        put(&mut self.members, key, value);
    }

    /// Sets a member to a text.
    pub fn put_text(&mut self, key: &str, text: &str) {
        self.put_member(key, quoted(text));
    }

    /// Removes a member.
    pub fn remove_member(&mut self, key: &str) {
        self.members.retain(|(member, _)| member != key);
    }

    /// Makes the document say what its newest version says.
    pub fn follow_latest(&mut self) {
        let latest = self.tag("latest").and_then(|version| self.version(version));
        let Some(latest) = latest.map(str::to_owned) else { return };
        let mut told = Vec::new();
        // a stored manifest is an object, so reading it cannot fail
        let _ = json::each_member(&latest, |key, value| told.push((key.into_owned(), value)));
        for key in FROM_LATEST {
            match told.iter().find(|(member, _)| member == key) {
                Some((_, value)) => self.put_member(key, (*value).to_owned()),
                None => self.remove_member(key),
            }
        }
    }

    /// A package that was taken away is there again.
    pub fn publish_again(&mut self) {
        self.time.retain(|(key, _)| key != "unpublished");
    }

    /// What is left of a package that was taken away.
    pub fn unpublish(&mut self, at: &str) {
        self.members.retain(|(key, _)| matches!(key.as_str(), "_id" | "_rev" | "name"));
        self.versions.clear();
        self.tags.clear();
        self.time.retain(|(key, _)| key == "created");
        self.put_time("modified", at);
        self.put_time("unpublished", at);
    }

    /// Whether this is what is left of a package that was taken away.
    #[must_use]
    pub fn is_unpublished(&self) -> bool {
        self.versions.is_empty()
    }

    /// Gives the document the next revision of its own and says when that was.
    pub fn revise(&mut self, at: &str) {
        self.put_time("modified", at);
        let before = self.member_text("_rev");
        let number = before.as_deref().and_then(|rev| rev.split_once('-')?.0.parse::<u64>().ok());
        let digest = blake3::hash(&self.text());
        let digest = digest.as_bytes().get(..16).map(hex::encode).unwrap_or_default();
        self.put_text("_rev", &format!("{}-{digest}", number.unwrap_or(0).saturating_add(1)));
    }

    /// The document.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let versions: usize =
            self.versions.iter().map(|(key, raw)| key.len() + raw.len() + 8).sum();
        let mut out = Vec::with_capacity(versions + 4096);
        out.push(b'{');
        for (key, raw) in &self.members {
            write_key(&mut out, key);
            out.extend_from_slice(raw.as_bytes());
            out.push(b',');
        }
        // one that was taken away is known by having no such member
        if !self.versions.is_empty() {
            write_key(&mut out, "versions");
            write_object(&mut out, &self.versions, |out, raw| {
                out.extend_from_slice(raw.as_bytes())
            });
            out.push(b',');
        }
        write_key(&mut out, "dist-tags");
        write_object(&mut out, &self.tags, json::write_string);
        out.push(b',');
        write_key(&mut out, "time");
        write_object(&mut out, &self.time, json::write_string);
        out.push(b'}');
        out
    }
}

fn write_object(out: &mut Vec<u8>, members: &[Member], write: fn(&mut Vec<u8>, &str)) {
    out.push(b'{');
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_key(out, key);
        write(out, value);
    }
    out.push(b'}');
}

fn write_key(out: &mut Vec<u8>, key: &str) {
    json::write_string(out, key);
    out.push(b':');
}

pub(super) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

fn get<'m>(members: &'m [Member], key: &str) -> Option<&'m str> {
    members.iter().find(|(member, _)| member == key).map(|(_, value)| value.as_str())
}

fn put(members: &mut Vec<Member>, key: &str, value: String) {
    match members.iter_mut().find(|(member, _)| member == key) {
        Some((_, old)) => *old = value,
        None => members.push((key.to_owned(), value)),
    }
}
