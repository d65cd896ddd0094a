//! npm's version order, and which version a spec asks for.
//!
//! Order and ranges are those of `nodejs-semver`; what it reads more loosely than npm does
//! (`1.2.3.4`, `1.2.3 junk`) is sorted out before. Version strings stay byte-exact: a
//! registry really holds `v1.0.0` and `01.2.3`, and they must be found again.

use std::cmp::Ordering;

use nodejs_semver::{Range, Version};

#[cfg(test)]
mod tests;

/// Why a text is no version, tag or range (answered with 422).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("spec {spec:?} is neither a version nor a dist-tag nor a range")]
pub struct SpecError {
    /// The text refused.
    pub spec: String,
}

/// Whether a text is a version in the sense of npm's `semver.valid`.
#[must_use]
pub fn is_version(text: &str) -> bool {
    parse(text).is_some()
}

/// Orders two versions as npm does; texts that are no versions come last, in byte order.
///
/// Build metadata, which semver ignores, decides between twins, then the text itself, so
/// the order is total and only equal texts are equal.
#[must_use]
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(left), Some(right)) => compare_parsed(&left, &right).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Finds the version that a spec of the form version, dist-tag or range asks for.
///
/// A version: the same text, else the same version written otherwise (`=1.0.0`, `v1.0.0`).
/// A range: a tag with that very text, else `latest` if it satisfies, else the highest
/// version that does. Tags that point at a version not in `versions` find nothing.
///
/// # Errors
/// [`SpecError`] for aliases, git and file specs, addresses, and texts that cannot be a tag.
pub fn resolve_spec<'v>(
    spec: &str,
    dist_tags: &[(impl AsRef<str>, impl AsRef<str>)],
    versions: impl Iterator<Item = &'v str>,
) -> Result<Option<&'v str>, SpecError> {
    let spec = spec.trim();
    let versions: Vec<&'v str> = versions.collect();
    let tagged = |tag: &str| {
        let version = dist_tags.iter().find(|(name, _)| name.as_ref() == tag)?.1.as_ref();
        versions.iter().copied().find(|&held| held == version)
    };
    if let Some(wanted) = parse(spec) {
        let exact = versions.iter().copied().find(|&held| held == spec);
        return Ok(exact.or_else(|| same_version(&wanted, &versions)));
    }
    if let Some(range) = parse_range(spec) {
        let satisfies = |held: &&str| parse(held).is_some_and(|version| range.satisfies(&version));
        return Ok(tagged(spec)
            .or_else(|| tagged("latest").filter(satisfies))
            .or_else(|| highest(versions.iter().copied().filter(satisfies))));
    }
    if is_tag(spec) { Ok(tagged(spec)) } else { Err(SpecError { spec: spec.to_owned() }) }
}

/// Finds all versions that a spec asks for, in the order of `versions`: of a range every version
/// that satisfies it, else the one that [`resolve_spec`] finds.
///
/// # Errors
/// As [`resolve_spec`].
pub fn resolve_all<'v>(
    spec: &str,
    dist_tags: &[(impl AsRef<str>, impl AsRef<str>)],
    versions: impl Iterator<Item = &'v str>,
) -> Result<Vec<&'v str>, SpecError> {
    let text = spec.trim();
    let is_tag = dist_tags.iter().any(|(tag, _)| tag.as_ref() == text);
    match parse_range(text).filter(|_| parse(text).is_none() && !is_tag) {
        None => Ok(resolve_spec(spec, dist_tags, versions)?.into_iter().collect()),
        Some(range) => Ok(versions
            .filter(|held| parse(held).is_some_and(|version| range.satisfies(&version)))
            .collect()),
    }
}

/// The highest version by npm order; `None` when nothing parses.
pub(crate) fn highest<'v>(versions: impl Iterator<Item = &'v str>) -> Option<&'v str> {
    versions
        .filter_map(|text| parse(text).map(|version| (version, text)))
        .max_by(|(a, _), (b, _)| compare_parsed(a, b))
        .map(|(_, text)| text)
}

/// Whether a text is a version without prerelease part.
pub(crate) fn is_stable(text: &str) -> bool {
    parse(text).is_some_and(|version| !version.is_prerelease())
}

/// A version asked for in another spelling than it is held in.
///
/// Of build twins the one with the same build is meant, else the highest.
fn same_version<'v>(wanted: &Version, versions: &[&'v str]) -> Option<&'v str> {
    let twins = || {
        versions.iter().copied().filter_map(|text| {
            parse(text).filter(|version| version == wanted).map(|version| (version, text))
        })
    };
    twins()
        .find(|(version, _)| version.build() == wanted.build())
        .or_else(|| twins().max_by(|(a, _), (b, _)| compare_parsed(a, b)))
        .map(|(_, text)| text)
}

fn compare_parsed(a: &Version, b: &Version) -> Ordering {
    a.cmp(b).then_with(|| a.build().cmp(b.build()))
}

/// Whether a version is below 1.0.0 or a prerelease; a text that is no version counts as one.
pub(crate) fn is_unstable(text: &str) -> bool {
    parse(text).is_none_or(|version| version.major() == 0 || version.is_prerelease())
}

/// Reads what npm's loose parser takes: `v` and `=` before, leading zeros, no dash before
/// the prerelease.
fn parse(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches(['v', '=', ' ']);
    let mut rest = text;
    for separator in [".", ".", ""] {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest = rest.get(digits..).filter(|_| digits > 0)?.strip_prefix(separator)?;
    }
    let (prerelease, build) = rest.split_once('+').unwrap_or((rest, "0"));
    let prerelease = prerelease.strip_prefix('-').unwrap_or(prerelease);
    let has_prerelease = !rest.is_empty() && !rest.starts_with('+');
    let parts_are_fine = (!has_prerelease || is_identifiers(prerelease)) && is_identifiers(build);
    if !parts_are_fine {
        return None;
    }
    Version::parse(text).ok()
}

fn is_identifiers(text: &str) -> bool {
    text.split('.').all(|identifier| {
        !identifier.is_empty()
            && identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn parse_range(text: &str) -> Option<Range> {
    if text.is_empty() { Some(Range::any()) } else { Range::parse(text).ok() }
}

/// What `npm-package-arg` takes for a tag: nothing that a URL would have to escape, and no
/// name of an archive file.
fn is_tag(text: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
    };
    let lower = text.to_ascii_lowercase();
    let is_archive = [".tgz", ".tar.gz", ".tar"].iter().any(|end| lower.ends_with(end));
    !text.is_empty() && text.bytes().all(plain) && !is_archive && !text.starts_with('.')
}
