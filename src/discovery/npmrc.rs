//! The lines of an `.npmrc` that matter here: `registry`, `prefix`, and `${VARIABLE}` in them.

use std::borrow::Cow;

/// A value of an `.npmrc` with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpmrcValue {
    /// The value as written, quotes taken off, variables not yet replaced.
    pub raw: String,
    /// Its line, from 1.
    pub line: usize,
}

/// The value of a key outside any section; the last one wins, as npm reads it.
#[must_use]
pub fn find(text: &str, key: &str) -> Option<NpmrcValue> {
    let mut found = None;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') && line.ends_with(']') {
            break; // a section: npm keeps nothing of it at the top level
        }
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else { continue };
        if unquoted(name.trim()) == key {
            found = Some(NpmrcValue { raw: unquoted(value.trim()).into_owned(), line: index + 1 });
        }
    }
    found.filter(|value| !value.raw.is_empty())
}

/// Takes quotes off, or cuts an unquoted value at a comment sign.
fn unquoted(text: &str) -> Cow<'_, str> {
    for quote in ['"', '\''] {
        let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            return Cow::Borrowed(inner);
        }
    }
    let mut plain = String::with_capacity(text.len());
    let mut escaped = false;
    for character in text.chars() {
        match (escaped, character) {
            (true, ';' | '#' | '\\') => plain.push(character),
            (true, other) => plain.extend(['\\', other]),
            (false, ';' | '#') => return Cow::Owned(plain.trim_end().to_owned()),
            (false, '\\') => {}
            (false, other) => plain.push(other),
        }
        escaped = !escaped && character == '\\';
    }
    Cow::Owned(plain)
}

/// Replaces `${NAME}` and `${NAME?}`; a name without `?` that is not defined is the error.
///
/// # Errors
/// The name of the undefined variable.
pub fn expand(raw: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(start) = rest.find("${") {
        let (before, opened) = rest.split_at(start);
        text.push_str(before);
        let inside = opened.trim_start_matches("${");
        let Some((name, after)) = inside.split_once('}') else {
            text.push_str(opened);
            return Ok(text);
        };
        let (name, may_lack) = match name.strip_suffix('?') {
            Some(name) => (name, true),
            None => (name, false),
        };
        match variable(name) {
            Some(value) => text.push_str(&value),
            None if may_lack => {}
            None => return Err(name.to_owned()),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}
