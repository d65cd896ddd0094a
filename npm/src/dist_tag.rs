//! Which texts may be a dist-tag.
//!
//! A tag that reads as a version range could never be asked for: npm would resolve the
//! range first. Documents from upstream are served with whatever tags they have; this rule
//! is for tags that somebody sets here.

use nodejs_semver::Range;

#[cfg(test)]
mod tests;

/// The longest tag, in characters.
pub const MAX_TAG_CHARS: usize = 214;

/// Why a text is no dist-tag (answered with 422).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Empty, or only spaces.
    #[error("dist-tag is empty")]
    Empty,
    /// Longer than [`MAX_TAG_CHARS`].
    #[error("dist-tag has {chars} characters, at most {MAX_TAG_CHARS} are allowed")]
    TooLong {
        /// Characters found.
        chars: usize,
    },
    /// Reads as a version or a range.
    #[error("dist-tag {tag:?} is a version range, so no client could ask for it")]
    IsRange {
        /// The text refused.
        tag: String,
    },
    /// Holds a character that a URL or a log line could not carry as it is.
    #[error("dist-tag {tag:?} holds a control character")]
    Character {
        /// The text refused.
        tag: String,
    },
}

/// Trims a tag and checks it.
///
/// # Errors
/// [`TagError`] naming the rule that is broken.
pub fn validate_dist_tag(text: &str) -> Result<&str, TagError> {
    let tag = text.trim();
    if tag.is_empty() {
        return Err(TagError::Empty);
    }
    let chars = tag.chars().count();
    if chars > MAX_TAG_CHARS {
        return Err(TagError::TooLong { chars });
    }
    if tag.chars().any(char::is_control) {
        return Err(TagError::Character { tag: tag.to_owned() });
    }
    if Range::parse(tag).is_ok() {
        return Err(TagError::IsRange { tag: tag.to_owned() });
    }
    Ok(tag)
}
