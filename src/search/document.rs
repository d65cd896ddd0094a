//! From a stored document to its entry in the index.

use actors::EngineHandle;
use npm::{Card, PackumentScan, Person, shown_tags};
use store::blobs::BlobError;
use tantivy::TantivyDocument;

use super::schema::Fields;
use super::states::State;
use super::words::beginnings;
use crate::cache::render::{MakeError, Source, unpack};

/// Why there is no card.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The bytes are not there.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// They are not what they should be.
    #[error(transparent)]
    Damaged(#[from] MakeError),
    /// The thread ended.
    #[error("reading a document did not finish: {0}")]
    Unfinished(#[from] tokio::task::JoinError),
}

/// The package as the answer of a search tells of it, from its document as it is now; `None` where
/// no version may be shown.
///
/// # Errors
/// When the document cannot be read.
pub async fn card_of(engine: &EngineHandle, state: State) -> Result<Option<Vec<u8>>, CardError> {
    let source = source(engine, &state).await?;
    let made = move || with_card(&source, &state, |card| serde_json::to_vec(card).ok());
    Ok(tokio::task::spawn_blocking(made).await??.flatten())
}

/// The entry of a package; one without a card where nothing of it may be shown.
pub(super) async fn entry(
    engine: &EngineHandle,
    fields: Fields,
    state: State,
) -> Result<TantivyDocument, CardError> {
    if state.withheld {
        return Ok(withheld(fields, &state));
    }
    let source = source(engine, &state).await?;
    Ok(tokio::task::spawn_blocking(move || entry_of(fields, &state, &source)).await??)
}

/// The entry of a package whose document is here.
///
/// # Errors
/// When the document is not what it should be.
pub fn entry_of(
    fields: Fields,
    state: &State,
    source: &Source,
) -> Result<TantivyDocument, MakeError> {
    let made = with_card(source, state, |card| shown(fields, state, card))?;
    Ok(made.unwrap_or_else(|| withheld(fields, state)))
}

async fn source(engine: &EngineHandle, state: &State) -> Result<Source, BlobError> {
    let document = &state.document;
    let reader = engine.store().blobs().reader(&document.digest, document.location).await?;
    Ok(Source::Stored {
        bytes: reader.read_all().await?,
        encoding: document.encoding,
        body_bytes: u64::try_from(document.body_bytes).unwrap_or(0),
    })
}

fn with_card<T>(
    source: &Source,
    state: &State,
    make: impl FnOnce(&Card<'_>) -> T,
) -> Result<Option<T>, MakeError> {
    let body = unpack(source)?;
    let scan =
        PackumentScan::parse(&body).map_err(|error| MakeError::Damaged(error.to_string()))?;
    let is_hidden = |version: &str| state.hidden.versions.contains(version);
    let tags = shown_tags(&scan, &is_hidden);
    let card = Card::of(&scan, state.name.as_str(), &state.registry, &tags, &is_hidden);
    Ok(card.as_ref().map(make))
}

/// What is known of every package, shown or not.
fn withheld(fields: Fields, state: &State) -> TantivyDocument {
    let mut document = common(fields, state);
    document.add_text(fields.is, "withheld");
    document
}

fn common(fields: Fields, state: &State) -> TantivyDocument {
    let mut document = TantivyDocument::new();
    document.add_text(fields.id, state.name.as_str());
    document.add_i64(fields.revision, state.revision);
    document.add_i64(fields.hidden, state.hidden_print);
    document.add_u64(fields.downloads, state.downloads);
    if let Some(until_ms) = state.hidden.until_ms {
        document.add_i64(fields.until, until_ms);
    }
    document
}

fn shown(fields: Fields, state: &State, card: &Card<'_>) -> TantivyDocument {
    let mut document = common(fields, state);
    document.add_text(fields.is, "shown");
    if card.deprecated.is_some() {
        document.add_text(fields.is, "deprecated");
    }
    if card.is_unstable() {
        document.add_text(fields.is, "unstable");
    }
    document.add_text(fields.exact, card.name.to_lowercase());
    document.add_text(fields.name, card.name);
    document.add_text(fields.beginnings, beginnings(card.name));
    document.add_text(fields.scope, card.scope.to_lowercase());
    if let Some(description) = &card.description {
        document.add_text(fields.description, description);
    }
    for keyword in &card.keywords {
        document.add_text(fields.keywords, keyword);
        document.add_text(fields.keyword, keyword.trim().to_lowercase());
    }
    let people = |person: &Person<'_>| {
        let texts = [&person.username, &person.name, &person.email];
        let mut texts: Vec<_> =
            texts.into_iter().flatten().map(|text| text.to_lowercase()).collect();
        texts.dedup();
        texts
    };
    for text in card.author.iter().flat_map(people) {
        document.add_text(fields.author, text);
    }
    for text in card.maintainers.iter().flat_map(people) {
        document.add_text(fields.maintainer, text);
    }
    // strings and numbers into a Vec: there is no error to see
    document.add_bytes(fields.card, &serde_json::to_vec(card).unwrap_or_default());
    document
}
