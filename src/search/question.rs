//! What is asked for: words, and npm's qualifiers between them.

use crate::error::ApiError;

use super::words::words;

/// Most characters of a question.
pub const LONGEST_QUESTION: usize = 512;
/// Most words and values; each is looked up in several fields.
const MOST: usize = 32;
/// Words that nobody means when he asks for others as well.
const SMALL: [&str; 12] =
    ["a", "an", "and", "as", "for", "in", "of", "on", "or", "the", "to", "with"];
/// What can be said of a package with `is:` and `not:`. Nothing is known of the second.
const TRAITS: [&str; 3] = ["deprecated", "insecure", "unstable"];

/// A question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The whole text without qualifiers, in lower case: a name, maybe.
    pub whole: String,
    /// Its words that have to be found.
    pub words: Vec<String>,
    /// Those that only help.
    pub small: Vec<String>,
    /// What else has to be so.
    pub conditions: Vec<Condition>,
}

/// A field that a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A keyword.
    Keyword,
    /// The author.
    Author,
    /// A maintainer.
    Maintainer,
    /// The scope.
    Scope,
    /// What it is.
    Trait,
}

/// One of several values has to be there, or none of them may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The field.
    pub of: Of,
    /// The values, in lower case.
    pub any: Vec<String>,
    /// None of them may be there.
    pub not: bool,
}

impl Question {
    /// Reads a question: `text keywords:a,b+c author:x maintainer:x scope:x is:unstable
    /// not:deprecated`. Values are parted by a comma (one of them) or a plus (each of them); one
    /// with a dash before it is excluded. Quotes hold words together.
    ///
    /// # Errors
    /// 422 for one that is too long or says `is:` and `not:` of what there is not.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        if text.chars().count() > LONGEST_QUESTION {
            return Err(ApiError::Invalid(format!(
                "text: must NOT have more than {LONGEST_QUESTION} characters"
            )));
        }
        let (mut question, mut plain) = (Self::default(), Vec::new());
        for part in parts(text) {
            match part.split_once(':') {
                Some((key, value)) if question.qualified(key, value)? => {}
                _ => plain.push(part),
            }
        }
        question.whole = plain.join(" ").trim().to_lowercase();
        let all: Vec<_> = plain.iter().flat_map(|part| words(part)).collect();
        let has_others = all.iter().any(|word| !SMALL.contains(&word.as_str()));
        let is_small = |word: &String| has_others && SMALL.contains(&word.as_str());
        (question.small, question.words) = all.into_iter().partition(is_small);
        let values = question.conditions.iter().map(|condition| condition.any.len());
        if question.words.len() + question.small.len() + values.sum::<usize>() > MOST {
            return Err(ApiError::Invalid(format!("text: must NOT have more than {MOST} words")));
        }
        Ok(question)
    }

    /// Whether nothing is asked for: then everything is found.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.words.is_empty() && self.small.is_empty()
    }

    /// Takes a part with a colon; `false` when it is no qualifier.
    fn qualified(&mut self, key: &str, value: &str) -> Result<bool, ApiError> {
        let value = value.trim_matches('"').to_lowercase();
        let of = match key.to_ascii_lowercase().as_str() {
            "keywords" | "keyword" => Of::Keyword,
            "author" => Of::Author,
            "maintainer" => Of::Maintainer,
            "scope" => Of::Scope,
            "is" => return self.has_trait(&value, false),
            "not" => return self.has_trait(&value, true),
            // npm's own knobs of ranking; the exact name is first here always
            "boost-exact" => return Ok(true),
            _ => return Ok(false),
        };
        for group in value.split('+') {
            let (mut any, mut none) = (Vec::new(), Vec::new());
            for one in group.split(',').map(|one| one.trim().trim_matches('"')) {
                match one.strip_prefix('-') {
                    Some(one) if of == Of::Keyword => none.push(one.to_owned()),
                    _ if of == Of::Scope => any.push(one.trim_start_matches('@').to_owned()),
                    _ => any.push(one.to_owned()),
                }
            }
            for (mut any, not) in [(any, false), (none, true)] {
                any.retain(|one| !one.is_empty());
                if !any.is_empty() {
                    self.conditions.push(Condition { of, any, not });
                }
            }
        }
        Ok(true)
    }

    fn has_trait(&mut self, value: &str, not: bool) -> Result<bool, ApiError> {
        for one in value.split(',') {
            if !TRAITS.contains(&one) {
                let word = if not { "not" } else { "is" };
                let known = TRAITS.join(", ");
                let text = format!("text: {word}:{one} is not known, there are {known}");
                return Err(ApiError::Invalid(text));
            }
            self.conditions.push(Condition { of: Of::Trait, any: vec![one.to_owned()], not });
        }
        Ok(true)
    }
}

/// Splits at spaces outside of quotes.
fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for sign in text.chars() {
        quoted ^= sign == '"';
        if sign.is_whitespace() && !quoted {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(sign);
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(of: Of, any: &[&str], not: bool) -> Condition {
        Condition { of, any: any.iter().map(|one| (*one).to_owned()).collect(), not }
    }

    #[test]
    fn words_and_qualifiers_are_told_apart() {
        let text = "State management for React keywords:ui,css+garden,-old author:Ada \
                    scope:@garden not:deprecated boost-exact:false";
        let question = Question::parse(text).unwrap();
        assert_eq!(question.whole, "state management for react");
        assert_eq!(question.words, ["state", "management", "react"]);
        assert_eq!(question.small, ["for"]);
        assert_eq!(
            question.conditions,
            [
                condition(Of::Keyword, &["ui", "css"], false),
                condition(Of::Keyword, &["garden"], false),
                condition(Of::Keyword, &["old"], true),
                condition(Of::Author, &["ada"], false),
                condition(Of::Scope, &["garden"], false),
                condition(Of::Trait, &["deprecated"], true),
            ]
        );
    }

    #[test]
    fn what_is_no_qualifier_is_text() {
        let question = Question::parse("node:fs  \"two words\"").unwrap();
        assert_eq!(question.words, ["node", "fs", "two", "words"]);
        assert!(question.conditions.is_empty());
        assert_eq!(Question::parse("the").unwrap().words, ["the"]);
        let quoted = Question::parse("keywords:\"css grid\"").unwrap();
        assert_eq!(quoted.conditions, [condition(Of::Keyword, &["css grid"], false)]);
        assert!(quoted.is_everything());
        assert_eq!(Question::parse("   ").unwrap(), Question::default());
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let refused = |text: &str| Question::parse(text).unwrap_err().to_string();
        assert_eq!(
            refused("is:good"),
            "text: is:good is not known, there are deprecated, insecure, unstable"
        );
        assert_eq!(refused(&"x".repeat(513)), "text: must NOT have more than 512 characters");
        assert_eq!(refused(&"a ".repeat(33)), "text: must NOT have more than 32 words");
    }
}
