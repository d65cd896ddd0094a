//! Fields of the index and how their texts are cut.

use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, NumericOptions, STORED, STRING, Schema,
    TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{
    Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, TextAnalyzer,
    TokenizerManager, WhitespaceTokenizer,
};

use super::words::LONGEST;

/// Raised whenever indexes made before are of no use.
pub const FORM: u32 = 1;

/// The fast field that ranks.
pub const DOWNLOADS: &str = "downloads";

const WORDS: &str = "words";
const ENGLISH: &str = "english";
const PIECES: &str = "pieces";

/// The fields.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// The name, byte-exact; the key of a document.
    pub id: Field,
    /// The name in lower case.
    pub exact: Field,
    /// The words of the name.
    pub name: Field,
    /// Beginnings of these.
    pub beginnings: Field,
    /// The description.
    pub description: Field,
    /// The keywords as text.
    pub keywords: Field,
    /// Each keyword in lower case.
    pub keyword: Field,
    /// The author's names and address in lower case.
    pub author: Field,
    /// The maintainers' likewise.
    pub maintainer: Field,
    /// The scope without its `@`.
    pub scope: Field,
    /// What it is: `deprecated`, `unstable`, `shown`, `withheld`.
    pub is: Field,
    /// When a version that is held back is old enough, unix milliseconds.
    pub until: Field,
    /// Downloads of the last year.
    pub downloads: Field,
    /// Revision of the package.
    pub revision: Field,
    /// Fingerprint of its hidden versions.
    pub hidden: Field,
    /// The card, as JSON.
    pub card: Field,
}

/// The schema and its fields.
pub fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let text = |cut: &str, positions: IndexRecordOption| {
        let indexing = TextFieldIndexing::default().set_tokenizer(cut).set_index_option(positions);
        TextOptions::default().set_indexing_options(indexing)
    };
    // no phrases are asked for, so no positions are kept
    let counted = IndexRecordOption::WithFreqs;
    let number = |options: NumericOptions| options;
    let fields = Fields {
        id: schema.add_text_field("id", STRING | STORED),
        exact: schema.add_text_field("exact", STRING),
        name: schema.add_text_field("name", text(WORDS, counted)),
        beginnings: schema.add_text_field("beginnings", text(PIECES, IndexRecordOption::Basic)),
        description: schema.add_text_field("description", text(ENGLISH, counted)),
        keywords: schema.add_text_field("keywords", text(ENGLISH, counted)),
        keyword: schema.add_text_field("keyword", STRING),
        author: schema.add_text_field("author", STRING),
        maintainer: schema.add_text_field("maintainer", STRING),
        scope: schema.add_text_field("scope", STRING),
        is: schema.add_text_field("is", STRING | STORED),
        until: schema.add_i64_field("until", number(INDEXED.into())),
        downloads: schema.add_u64_field(DOWNLOADS, FAST | STORED),
        revision: schema.add_i64_field("revision", STORED),
        hidden: schema.add_i64_field("hidden", STORED),
        card: schema.add_bytes_field("card", STORED),
    };
    (schema.build(), fields)
}

/// How texts are cut.
pub fn tokenizers() -> TokenizerManager {
    let cut = || {
        TextAnalyzer::builder(SimpleTokenizer::default())
            .filter(RemoveLongFilter::limit(LONGEST + 1))
            .filter(LowerCaser)
    };
    let all = TokenizerManager::default();
    all.register(WORDS, cut().build());
    all.register(ENGLISH, cut().filter(Stemmer::new(Language::English)).build());
    all.register(PIECES, TextAnalyzer::builder(WhitespaceTokenizer::default()).build());
    all
}
