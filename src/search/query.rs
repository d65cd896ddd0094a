//! From a question to a query of the index, and the order of what it finds.

use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, FuzzyTermQuery, Occur, Query, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::tokenizer::{Language, SimpleTokenizer, Stemmer, TextAnalyzer, TokenStream};
use tantivy::{Score, Term};

use super::question::{Condition, Of, Question};
use super::schema::Fields;

/// Score of the package whose name was asked for: above everything that words can reach.
const EXACT: Score = 100_000.0;
/// Weights of the fields; those of the wire contract (6.8), and less for the beginning of a name.
const NAME: Score = 4.0;
const BEGINNING: Score = 1.5;
const KEYWORDS: Score = 2.0;
/// A word that is written a little differently counts least.
const ALIKE: Score = 0.2;

/// A clause of a query.
type Clause = (Occur, Box<dyn Query>);

/// How much of the question has to be met to the letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// All of it.
    Strict,
    /// Words of names may be misspelled.
    Alike,
}

/// The query that finds what is asked for, of what may be shown.
pub fn query(fields: &Fields, question: &Question, spelling: Spelling) -> Box<dyn Query> {
    let mut clauses = vec![(Occur::Must, unscored(term(fields.is, "shown")))];
    for condition in &question.conditions {
        clauses.push(self::condition(fields, condition));
    }
    if question.is_everything() {
        clauses.push((Occur::Must, Box::new(AllQuery)));
        return Box::new(BooleanQuery::new(clauses));
    }
    let words = |words: &[String], occur| {
        let word = move |word: &String| (occur, self::word(fields, word, spelling));
        words.iter().map(word).collect::<Vec<_>>()
    };
    let mut wanted = words(&question.words, Occur::Must);
    wanted.extend(words(&question.small, Occur::Should));
    let exact = ConstScoreQuery::new(term(fields.exact, &question.whole), EXACT);
    let either: Vec<Clause> = vec![
        (Occur::Should, Box::new(exact)),
        (Occur::Should, Box::new(BooleanQuery::new(wanted))),
    ];
    clauses.push((Occur::Must, Box::new(BooleanQuery::new(either))));
    Box::new(BooleanQuery::new(clauses))
}

/// The rank of a hit: the exact name first, by its downloads; everything else by what its text is
/// worth, times the fourth root of its downloads.
pub fn rank(score: Score, downloads: u64) -> f64 {
    // a count of downloads that a float rounds ranks as well as the exact one
    let downloads = downloads as f64;
    let (score, exact) = (f64::from(score), f64::from(EXACT));
    if score >= exact {
        return exact + downloads + score / (1.0 + score);
    }
    (score * (1.0 + downloads).powf(0.25)).min(exact - 1.0)
}

fn word(fields: &Fields, word: &str, spelling: Spelling) -> Box<dyn Query> {
    let stem = stem(word);
    let mut any = vec![
        boosted(term(fields.name, word), NAME),
        boosted(unscored(term(fields.beginnings, word)), BEGINNING),
        boosted(term(fields.keywords, &stem), KEYWORDS),
        boosted(term(fields.description, &stem), 1.0),
    ];
    if let (Spelling::Alike, Some(distance)) = (spelling, mistakes(word)) {
        let name = Term::from_field_text(fields.name, word);
        any.push(boosted(Box::new(FuzzyTermQuery::new(name, distance, true)), ALIKE));
    }
    Box::new(BooleanQuery::new(any))
}

/// Mistakes that a word of this length may have.
fn mistakes(word: &str) -> Option<u8> {
    match word.chars().count() {
        0..=3 => None,
        4..=7 => Some(1),
        _ => Some(2),
    }
}

fn condition(fields: &Fields, condition: &Condition) -> Clause {
    let field = match condition.of {
        Of::Keyword => fields.keyword,
        Of::Author => fields.author,
        Of::Maintainer => fields.maintainer,
        Of::Scope => fields.scope,
        Of::Trait => fields.is,
    };
    let any = condition.any.iter().map(|value| (Occur::Should, term(field, value)));
    let any = unscored(Box::new(BooleanQuery::new(any.collect())));
    (if condition.not { Occur::MustNot } else { Occur::Must }, any)
}

fn term(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
}

/// Only has to be so; counts nothing.
fn unscored(query: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, 0.0))
}

fn boosted(query: Box<dyn Query>, weight: Score) -> Clause {
    (Occur::Should, Box::new(BoostQuery::new(query, weight)))
}

/// The word as the index has it in English texts.
fn stem(word: &str) -> String {
    let mut stemmer = TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(Stemmer::new(Language::English))
        .build();
    let mut stream = stemmer.token_stream(word);
    if stream.advance() { stream.token().text.clone() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_is_above_everything_and_downloads_lift_the_rest() {
        assert!(rank(EXACT, 0) > rank(50.0, u64::MAX));
        assert!(rank(EXACT, 5) > rank(EXACT + 50.0, 0));
        assert!(rank(10.0, 10_000) > rank(40.0, 0));
        assert!(rank(40.0, 0) > rank(10.0, 10));
    }

    #[test]
    fn words_are_stemmed_as_they_were_written() {
        assert_eq!(stem("managing"), stem("managed"));
        assert_eq!(stem("5"), "5");
    }
}
