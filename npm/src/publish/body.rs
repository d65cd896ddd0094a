//! What the body of a publish says, checked in the order and the words that clients know.

use std::borrow::Cow;

use crate::dist_tag::validate_dist_tag;
use crate::integrity::{HashAlgorithm, Integrity};
use crate::json;
use crate::name::PackageName;
use crate::version::is_version;

use super::TarballFacts;

/// Most characters of a description.
const LONGEST_DESCRIPTION: usize = 10_240;
/// Most characters of a version.
const LONGEST_VERSION: usize = 256;

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// No JSON object at all.
    #[error("the body is not one JSON object: at byte {at} {rule}")]
    Json {
        /// Where.
        at: usize,
        /// What rule is broken.
        rule: &'static str,
    },
    /// A member of the wrong form.
    #[error("{0}")]
    Parameter(String),
    /// A member whose value cannot be.
    #[error("{0}")]
    Unprocessable(String),
}

fn unprocessable<T>(text: impl Into<String>) -> Result<T, BodyError> {
    Err(BodyError::Unprocessable(text.into()))
}

fn parameter<T>(text: impl Into<String>) -> Result<T, BodyError> {
    Err(BodyError::Parameter(text.into()))
}

/// A body, as far as it is of interest.
#[derive(Debug, Default)]
pub struct PublishBody<'a> {
    name: Cow<'a, str>,
    versions: Vec<(Cow<'a, str>, &'a str)>,
    tags: Vec<(Cow<'a, str>, &'a str)>,
    attachments: Vec<Attachment<'a>>,
    readme: Option<Cow<'a, str>>,
    access: Option<Cow<'a, str>>,
}

#[derive(Debug)]
struct Attachment<'a> {
    file: Cow<'a, str>,
    /// The text; of the tarball that was decoded on the way it is empty.
    data: Option<Cow<'a, str>>,
    length: Option<u64>,
}

/// The one version that a body brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The version.
    pub version: String,
    /// Its manifest as it was sent.
    pub manifest: String,
    /// Tags that mean it from now on.
    pub tags: Vec<String>,
    /// Text for people.
    pub readme: String,
    /// Sigstore bundles that came with it.
    pub bundles: Vec<String>,
}

impl<'a> PublishBody<'a> {
    /// Reads a body whose tarball was taken out.
    ///
    /// # Errors
    /// When it is no object, or a member has the wrong form.
    pub fn parse(document: &'a str) -> Result<Self, BodyError> {
        let mut members = Vec::new();
        json::each_member(document, |key, value| members.push((key, value)))
            .map_err(|json::Broken { at, rule }| BodyError::Json { at, rule })?;
        json::fold_duplicates(&mut members, |(key, _)| key);
        let mut body = Self::default();
        let mut has_name = false;
        for (key, value) in members {
            match &*key {
                "name" => {
                    body.name = text("name", value)?;
                    has_name = true;
                }
                "versions" => body.versions = object("versions", value)?,
                "dist-tags" => body.tags = object("dist-tags", value)?,
                "_attachments" => {
                    let files = object("_attachments", value)?.into_iter();
                    body.attachments = files.map(|(file, raw)| attachment(file, raw)).collect();
                }
                "readme" => body.readme = json::string(value),
                "access" => body.access = json::string(value),
                "description" => check_description(value)?,
                _ => {}
            }
        }
        match has_name {
            true => Ok(body),
            false => parameter("must have required property 'name'"),
        }
    }

    /// The body must be about the package that is in the address.
    ///
    /// # Errors
    /// 422 when it is not.
    pub fn check_name(&self, name: &PackageName) -> Result<(), BodyError> {
        match self.name == name.as_str() {
            true => Ok(()),
            false => {
                unprocessable(format!("fullname({name}) not match package.name({})", self.name))
            }
        }
    }

    /// Who may read the package, when the publisher says so: `public` or `restricted`.
    #[must_use]
    pub fn access(&self) -> Option<&str> {
        self.access.as_deref()
    }

    /// What versions are to be deprecated, or no longer (an empty text), when that is what the
    /// body is for.
    ///
    /// # Errors
    /// When it is for neither that nor for publishing.
    pub fn deprecations(&self) -> Result<Option<Vec<(String, String)>>, BodyError> {
        if self.versions.is_empty() {
            return unprocessable("versions is empty");
        }
        if !self.attachments.is_empty() {
            return Ok(None);
        }
        let mut told = Vec::new();
        for (version, manifest) in &self.versions {
            let mut found = None;
            // a version that is no object says nothing
            let _ = json::each_member(manifest, |key, value| {
                if key == "deprecated" {
                    found = Some(json::string(value).unwrap_or_default().into_owned());
                }
            });
            told.extend(found.map(|text| (version.to_string(), text)));
        }
        match told.is_empty() {
            true => unprocessable("_attachments is empty"),
            false => Ok(Some(told)),
        }
    }

    /// The version to publish, checked against the tarball that came with it.
    ///
    /// # Errors
    /// 422 for everything that does not fit.
    pub fn published(
        &self,
        decoded_file: Option<&str>,
        tarball: Option<&TarballFacts>,
    ) -> Result<Published, BodyError> {
        let Some((version, manifest)) = self.versions.first() else {
            return unprocessable("versions is empty");
        };
        if !(5..=LONGEST_VERSION).contains(&version.len()) || !is_version(version) {
            return parameter("version: must match format \"semver-version\"");
        }
        let tags = self.checked_tags(version)?;
        let is_tarball = |one: &&Attachment<'_>| !one.file.ends_with(".sigstore");
        let Some(attachment) = self.attachments.iter().find(is_tarball) else {
            return unprocessable("_attachments is empty");
        };
        let Some(tarball) = tarball.filter(|_| decoded_file == Some(&*attachment.file)) else {
            return unprocessable("attachment.data format invalid");
        };
        if tarball.bytes == 0 {
            return unprocessable("attachment.data string format invalid");
        }
        if attachment.length.is_some_and(|length| length != tarball.bytes) {
            let said = attachment.length.unwrap_or_default();
            let text = format!("attachment size {said} not match download size {}", tarball.bytes);
            return unprocessable(text);
        }
        let facts = check_manifest(&self.name, version, manifest)?;
        check_digests(&facts, tarball)?;
        let bundles = self.attachments.iter().filter(|one| !is_tarball(one));
        Ok(Published {
            version: version.to_string(),
            manifest: (*manifest).to_owned(),
            tags,
            readme: facts.readme.or_else(|| self.readme.clone()).unwrap_or_default().into_owned(),
            bundles: bundles.filter_map(|one| one.data.as_deref().map(str::to_owned)).collect(),
        })
    }

    /// All tags mean the version, whatever is written at them; the first has to say so.
    fn checked_tags(&self, version: &str) -> Result<Vec<String>, BodyError> {
        let Some((_, first)) = self.tags.first() else {
            return unprocessable("dist-tags is empty");
        };
        for (tag, _) in &self.tags {
            if validate_dist_tag(tag).is_err() {
                return parameter("tag: must match format \"semver-tag\"");
            }
        }
        let said = json::string(first).unwrap_or_default();
        if !is_version(&said) {
            return parameter("version: must match format \"semver-version\"");
        }
        if said != version {
            return unprocessable(format!(
                "dist-tags version \"{said}\" not match package version \"{version}\""
            ));
        }
        Ok(self.tags.iter().map(|(tag, _)| tag.trim().to_owned()).collect())
    }
}

/// What a manifest says of its bytes.
#[derive(Default)]
struct Facts<'a> {
    integrity: Option<Cow<'a, str>>,
    shasum: Option<Cow<'a, str>>,
    readme: Option<Cow<'a, str>>,
}

fn check_manifest<'a>(
    name: &str,
    version: &str,
    manifest: &'a str,
) -> Result<Facts<'a>, BodyError> {
    let mut facts = Facts::default();
    let mut wrong = None;
    let read = json::each_member(manifest, |key, value| match &*key {
        "name" if json::string(value).as_deref() != Some(name) => wrong = Some("name"),
        "version" if json::string(value).as_deref() != Some(version) => wrong = Some("version"),
        "readme" => facts.readme = json::string(value),
        "dist" => {
            // a `dist` that is no object says nothing
            let _ = json::each_member(value, |key, value| match &*key {
                "integrity" => facts.integrity = json::string(value),
                "shasum" => facts.shasum = json::string(value),
                _ => {}
            });
        }
        _ => {}
    });
    if read.is_err() {
        return parameter(format!("versions/{version}: must be object"));
    }
    match wrong {
        Some(key) => unprocessable(format!("{key} of versions/{version} not match the document")),
        None => Ok(facts),
    }
}

fn check_digests(facts: &Facts<'_>, tarball: &TarballFacts) -> Result<(), BodyError> {
    let given = |text: &&Cow<'_, str>| !text.trim().is_empty();
    if let Some(text) = facts.integrity.as_ref().filter(given) {
        let fits = text.parse::<Integrity>().is_ok_and(|integrity| {
            let (algorithm, digests) = integrity.strongest();
            let ours = match algorithm {
                HashAlgorithm::Sha512 => tarball.sha512.as_bytes().to_vec(),
                HashAlgorithm::Sha1 => hex::decode(&tarball.shasum).unwrap_or_default(),
                _ => return false,
            };
            digests.contains(&ours)
        });
        return if fits { Ok(()) } else { unprocessable("dist.integrity invalid") };
    }
    match facts.shasum.as_ref().filter(given) {
        Some(text) if !text.eq_ignore_ascii_case(&tarball.shasum) => {
            unprocessable("dist.shasum invalid")
        }
        _ => Ok(()),
    }
}

fn check_description(value: &str) -> Result<(), BodyError> {
    // what is no text counts as none
    let length = json::string(value).map_or(0, |text| text.trim().chars().count());
    match length > LONGEST_DESCRIPTION {
        true => parameter(format!(
            "description: must NOT have more than {LONGEST_DESCRIPTION} characters"
        )),
        false => Ok(()),
    }
}

fn text<'a>(key: &str, value: &'a str) -> Result<Cow<'a, str>, BodyError> {
    match json::string(value) {
        Some(text) => Ok(text),
        None => parameter(format!("{key}: must be string")),
    }
}

fn object<'a>(key: &str, value: &'a str) -> Result<Vec<(Cow<'a, str>, &'a str)>, BodyError> {
    let mut members = Vec::new();
    match json::each_member(value, |key, value| members.push((key, value))) {
        Ok(()) => {
            json::fold_duplicates(&mut members, |(key, _)| key);
            Ok(members)
        }
        Err(_) => parameter(format!("{key}: must be object")),
    }
}

fn attachment<'a>(file: Cow<'a, str>, raw: &'a str) -> Attachment<'a> {
    let mut attachment = Attachment { file, data: None, length: None };
    // one that is no object has no data, which is said later
    let _ = json::each_member(raw, |key, value| match &*key {
        "data" => attachment.data = json::string(value),
        "length" => attachment.length = value.parse().ok(),
        _ => {}
    });
    attachment
}
