//! Licences against patterns: SPDX expressions are understood, other texts compared as they are.

use super::pattern::covers;

/// What patterns see where no licence is announced.
const NONE: &str = "none";

/// The pattern that leaves no way to use something under this licence, if one does.
///
/// Of `A OR B` both must be denied, of `A AND B` one; `A+` and `A WITH exception` are denied with
/// `A`. Letter case does not count, as SPDX says.
#[must_use]
pub fn denied<'p>(patterns: &'p [String], licence: Option<&str>) -> Option<&'p str> {
    if patterns.is_empty() {
        return None;
    }
    let licence = licence.unwrap_or(NONE).to_lowercase();
    let whole = matching(patterns, &licence);
    whole.or_else(|| Expression::of(&licence).denied(patterns))
}

fn matching<'p>(patterns: &'p [String], text: &str) -> Option<&'p str> {
    let matches = |pattern: &&String| covers(&pattern.to_lowercase(), text);
    patterns.iter().find(matches).map(String::as_str)
}

/// The words of an expression on their way, brackets apart.
struct Expression<'a> {
    words: Vec<&'a str>,
    at: usize,
}

/// What is left of the patterns: `Err` where the text is no expression.
type Found<'p> = Result<Option<&'p str>, NoExpression>;

struct NoExpression;

impl<'a> Expression<'a> {
    fn of(text: &'a str) -> Self {
        let brackets = |part: &'a str| part.split_inclusive(['(', ')']).flat_map(cut_bracket);
        let words = text.split_whitespace().flat_map(brackets);
        Self { words: words.filter(|word| !word.is_empty()).collect(), at: 0 }
    }

    fn denied(mut self, patterns: &[String]) -> Option<&str> {
        let found = self.any_of(patterns).ok()?;
        found.filter(|_| self.at == self.words.len())
    }

    fn any_of<'p>(&mut self, patterns: &'p [String]) -> Found<'p> {
        let mut found = self.all_of(patterns)?;
        while self.takes("or") {
            let other = self.all_of(patterns)?;
            found = found.and(other);
        }
        Ok(found)
    }

    fn all_of<'p>(&mut self, patterns: &'p [String]) -> Found<'p> {
        let mut found = self.one(patterns)?;
        while self.takes("and") {
            let other = self.one(patterns)?;
            found = found.or(other);
        }
        Ok(found)
    }

    fn one<'p>(&mut self, patterns: &'p [String]) -> Found<'p> {
        if self.takes("(") {
            let found = self.any_of(patterns)?;
            return if self.takes(")") { Ok(found) } else { Err(NoExpression) };
        }
        let id = self.id()?;
        let later = id.trim_end_matches('+');
        let found = matching(patterns, id).or_else(|| matching(patterns, later));
        if !self.takes("with") {
            return Ok(found);
        }
        let exception = self.id()?;
        Ok(found.or_else(|| matching(patterns, &format!("{id} with {exception}"))))
    }

    fn id(&mut self) -> Result<&'a str, NoExpression> {
        let word = self.words.get(self.at).copied().ok_or(NoExpression)?;
        if ["(", ")", "or", "and", "with"].contains(&word) {
            return Err(NoExpression);
        }
        self.at += 1;
        Ok(word)
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_next = self.words.get(self.at) == Some(&word);
        self.at += usize::from(is_next);
        is_next
    }
}

/// `mit)` as `mit` and `)`.
fn cut_bracket(part: &str) -> [&str; 2] {
    let at = part.len() - usize::from(part.ends_with(['(', ')']));
    let (word, bracket) = part.split_at(at);
    [word, bracket]
}
