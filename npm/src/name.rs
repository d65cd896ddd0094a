//! Package names: the canonical text, what is refused, and the escaped forms for URLs.
//!
//! Reading and syncing must cope with every name npm ever let in: capitals, a leading
//! space, `?`, `-` alone, `@(._.)/assign`. So [`PackageName::parse`] refuses only what can
//! be no npm name or would be dangerous as one; the stricter rule for *new* names is
//! [`PackageName::is_publishable`]. Names are compared byte by byte: `JSONStream` and
//! `jsonstream` are two packages.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[cfg(test)]
mod tests;

/// The longest name npm takes, in characters, scope and slash included.
pub const MAX_NAME_CHARS: usize = 214;

/// What JavaScript's `encodeURIComponent` leaves alone. Upstream and clients build their
/// URLs with it, so escaping the same set gives the same cache keys everywhere.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The same for a tarball file, where `+` of build metadata is kept readable.
const FILE: &AsciiSet = &COMPONENT.remove(b'+');

/// Why a text is no package name (answered with 422).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or only spaces.
    #[error("package name is empty")]
    Empty,
    /// Longer than [`MAX_NAME_CHARS`].
    #[error("package name has {chars} characters, at most {MAX_NAME_CHARS} are allowed")]
    TooLong {
        /// Characters found.
        chars: usize,
    },
    /// A control, invisible, space or reserved character.
    #[error("package name {name:?} holds {found:?}, which no npm name may hold")]
    Character {
        /// The text refused.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// A part made only of dots, which a path would read as a folder.
    #[error("package name {name:?} has a part made only of dots")]
    OnlyDots {
        /// The text refused.
        name: String,
    },
    /// Not `name` and not `@scope/name`.
    #[error("package name {name:?} is neither `name` nor `@scope/name`")]
    Shape {
        /// The text refused.
        name: String,
    },
    /// A name npm itself never gives out.
    #[error("package name {name:?} is reserved by npm")]
    Reserved {
        /// The text refused.
        name: String,
    },
    /// Percent escapes that are malformed, doubled, or no UTF-8 when decoded.
    #[error("{text:?} is not percent-encoded UTF-8, decoded exactly once")]
    Encoding {
        /// The raw text refused.
        text: String,
    },
    /// The last part of a tarball address cannot be a file name.
    #[error("tarball file {file:?} of {name} is no file name")]
    File {
        /// The package asked for.
        name: PackageName,
        /// The decoded file name refused.
        file: String,
    },
}

/// A package name in canonical text, `name` or `@scope/name`, byte-exact.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageName(Arc<str>);

impl PackageName {
    /// Reads a name in its canonical text form, as it stands in documents.
    ///
    /// # Errors
    /// [`NameError`] for what is no npm name at all.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.trim().is_empty() {
            return Err(NameError::Empty);
        }
        let chars = text.chars().count();
        if chars > MAX_NAME_CHARS {
            return Err(NameError::TooLong { chars });
        }
        let name = || text.to_owned();
        match text.strip_prefix('@') {
            Some(scoped) => {
                let (scope, bare) =
                    scoped.split_once('/').ok_or_else(|| NameError::Shape { name: name() })?;
                check_part(text, scope)?;
                check_part(text, bare)?;
            }
            None => check_part(text, text)?,
        }
        if text.eq_ignore_ascii_case("node_modules") || text.eq_ignore_ascii_case("favicon.ico") {
            return Err(NameError::Reserved { name: name() });
        }
        Ok(Self(Arc::from(text)))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scope with its `@`, when there is one.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.0.starts_with('@').then(|| self.0.split_once('/').map(|(scope, _)| scope)).flatten()
    }

    /// The part after the slash; the whole name when there is no scope.
    #[must_use]
    pub fn bare(&self) -> &str {
        match self.0.split_once('/') {
            Some((_, bare)) => bare,
            None => &self.0,
        }
    }

    /// The one path segment an upstream knows the package by: `@s%2fn`.
    ///
    /// The lower-case `%2f` is the form the npm client sends.
    #[must_use]
    pub fn url_path(&self) -> Cow<'_, str> {
        match self.scope() {
            Some(scope) => Cow::Owned(format!("{}%2f{}", escape_scope(scope), escape(self.bare()))),
            None => escape(&self.0),
        }
    }

    /// The path that tarball addresses in documents use: `@s/n`, its parts escaped.
    #[must_use]
    pub fn path_in_documents(&self) -> Cow<'_, str> {
        let Some(scope) = self.scope() else { return escape(&self.0) };
        let (escaped_scope, bare) = (escape_scope(scope), escape(self.bare()));
        if escaped_scope.len() == scope.len() && bare.len() == self.bare().len() {
            return Cow::Borrowed(&self.0);
        }
        Cow::Owned(format!("{escaped_scope}/{bare}"))
    }

    /// Whether a *new* package may take this name.
    ///
    /// The specification's expression,
    /// `^(@[a-z0-9-~][a-z0-9-._~]*\/)?[a-z0-9-~][a-z0-9-._~]*$`.
    #[must_use]
    pub fn is_publishable(&self) -> bool {
        let scope_is_fine = self
            .scope()
            .is_none_or(|scope| scope.strip_prefix('@').is_some_and(is_publishable_part));
        scope_is_fine && is_publishable_part(self.bare())
    }
}

/// Escapes a tarball file name for the last segment of its address.
pub(crate) fn escape_file(file: &str) -> Cow<'_, str> {
    utf8_percent_encode(file, FILE).into()
}

fn escape(part: &str) -> Cow<'_, str> {
    utf8_percent_encode(part, COMPONENT).into()
}

fn escape_scope(scope: &str) -> String {
    let mut escaped = String::with_capacity(scope.len());
    escaped.push('@');
    escaped.extend(utf8_percent_encode(scope.trim_start_matches('@'), COMPONENT));
    escaped
}

fn check_part(name: &str, part: &str) -> Result<(), NameError> {
    if part.trim().is_empty() {
        return Err(NameError::Shape { name: name.to_owned() });
    }
    if part.contains('/') {
        return Err(NameError::Shape { name: name.to_owned() });
    }
    if let Some(found) = part.chars().find(|&c| is_refused(c)) {
        return Err(NameError::Character { name: name.to_owned(), found });
    }
    if part.bytes().all(|byte| byte == b'.') {
        return Err(NameError::OnlyDots { name: name.to_owned() });
    }
    if holds_percent_escape(part) {
        return Err(NameError::Encoding { text: name.to_owned() });
    }
    Ok(())
}

/// Characters that never were in a name and would hurt in logs, paths or specs.
///
/// A plain space is missing on purpose: `" leading-space"` lives on npm. `@` inside would
/// make `name@version` ambiguous.
fn is_refused(c: char) -> bool {
    c.is_control()
        || c == '\\'
        || c == '@'
        || (c.is_whitespace() && c != ' ')
        // zero-width, direction and joining marks: two names that look the same
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// `%2e` left over after decoding once: somebody encoded twice, and somebody behind us
/// may decode twice.
fn holds_percent_escape(part: &str) -> bool {
    part.as_bytes().windows(3).any(|window| {
        matches!(window, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    })
}

fn is_publishable_part(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut bytes = part.bytes();
    bytes.next().is_some_and(|first| allowed(first) || matches!(first, b'-' | b'~'))
        && bytes.all(|byte| allowed(byte) || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for PackageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl AsRef<str> for PackageName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for PackageName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PackageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}
