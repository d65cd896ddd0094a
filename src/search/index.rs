//! The index itself: opened, made anew, written, committed with its place, searched.
//!
//! Everything here blocks. One thread writes into 15 MB of memory, one merges; readers map the files.

use std::collections::HashMap;
use std::ops::Bound;
use std::path::Path;

use npm::PackageName;
use parking_lot::Mutex;
use tantivy::collector::{Count, TopDocs};
use tantivy::directory::MmapDirectory;
use tantivy::indexer::IndexWriterOptions;
use tantivy::query::{BooleanQuery, Occur, Query, RangeQuery, TermQuery, TermSetQuery};
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::{
    DocAddress, Index, IndexReader, IndexWriter, ReloadPolicy, Score, Searcher, SegmentReader,
    TantivyDocument, Term,
};

use super::SearchError;
use super::place::Place;
use super::query::{Spelling, query, rank};
use super::question::Question;
use super::schema::{DOWNLOADS, Fields, schema, tokenizers};

/// Memory of the one thread that writes, the least there is.
const WRITER_BYTES: usize = 15_000_000;
/// Blocks of stored cards kept per segment; 16 KB each.
const CARD_BLOCKS: usize = 16;
/// With fewer hits than on a usual page, words may be misspelled.
const FEW: usize = 20;

/// What the index knows of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its revision then.
    pub revision: i64,
    /// Fingerprint of its hidden versions then.
    pub hidden_print: i64,
    /// Downloads then.
    pub downloads: u64,
    /// It is not shown.
    pub withheld: bool,
}

/// A package that was found.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Its name.
    pub name: PackageName,
    /// What is known of it.
    pub known: Known,
    /// Its card, as JSON.
    pub card: Vec<u8>,
    /// Its rank; higher is better.
    pub rank: f64,
}

/// A page of what was found.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// How many were found.
    pub total: usize,
    /// Those of the page.
    pub hits: Vec<Hit>,
}

/// An open index.
pub struct SearchIndex {
    index: Index,
    fields: Fields,
    reader: IndexReader,
    /// None once closed: it is searched on, and another one may write into the folder.
    writer: Mutex<Option<IndexWriter>>,
}

impl SearchIndex {
    /// Opens the index in a folder and compares the checksums of its files; makes an empty one
    /// where there is none.
    ///
    /// # Errors
    /// [`SearchError::Damaged`], or what tantivy says; another writer is one of these.
    pub fn open(folder: &Path) -> Result<Self, SearchError> {
        std::fs::create_dir_all(folder)?;
        let directory = MmapDirectory::open(folder).map_err(tantivy::TantivyError::from)?;
        let (schema, fields) = schema();
        let builder = Index::builder().schema(schema).tokenizers(tokenizers());
        let index = builder.open_or_create(directory)?;
        let damaged = index.validate_checksum()?.len();
        if damaged > 0 {
            return Err(SearchError::Damaged(damaged));
        }
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(WRITER_BYTES)
            .build();
        let writer = index.writer_with_options(options)?;
        sweep(folder)?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(CARD_BLOCKS)
            .try_into()?;
        Ok(Self { index, fields, reader, writer: Mutex::new(Some(writer)) })
    }

    /// Its fields.
    #[must_use]
    pub fn fields(&self) -> Fields {
        self.fields
    }

    /// What the index was committed with.
    ///
    /// # Errors
    /// When its list of files cannot be read.
    pub fn payload(&self) -> Result<Option<String>, SearchError> {
        Ok(self.index.load_metas()?.payload)
    }

    /// Ends writing, behind a commit that is under way; what was committed can be searched on.
    pub fn close(&self) {
        drop(self.writer.lock().take());
    }

    /// Takes a package out; so does [`SearchIndex::put`] before it puts.
    ///
    /// # Errors
    /// When it is closed.
    pub fn remove(&self, name: &PackageName) -> Result<(), SearchError> {
        let writer = self.writer.lock();
        writer.as_ref().ok_or(SearchError::Closed)?.delete_term(self.key(name));
        Ok(())
    }

    /// Puts an entry in the place of the one before.
    ///
    /// # Errors
    /// When it is closed, or the writing thread is gone.
    pub fn put(&self, name: &PackageName, entry: TantivyDocument) -> Result<(), SearchError> {
        let writer = self.writer.lock();
        let writer = writer.as_ref().ok_or(SearchError::Closed)?;
        writer.delete_term(self.key(name));
        writer.add_document(entry)?;
        Ok(())
    }

    /// Makes what was written durable together with the place, and visible.
    ///
    /// # Errors
    /// When it is closed or cannot be written; what was written before stays.
    pub fn commit(&self, place: &Place) -> Result<(), SearchError> {
        let mut writer = self.writer.lock();
        let mut prepared = writer.as_mut().ok_or(SearchError::Closed)?.prepare_commit()?;
        prepared.set_payload(&place.payload());
        prepared.commit()?;
        drop(writer);
        self.reader.reload()?;
        Ok(())
    }

    /// How many entries there are, those not shown included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of these packages.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn known(&self, names: &[PackageName]) -> Result<HashMap<PackageName, Known>, SearchError> {
        let searcher = self.reader.searcher();
        let mut found = HashMap::with_capacity(names.len());
        if searcher.num_docs() == 0 {
            return Ok(found);
        }
        for name in names {
            let term = TermQuery::new(self.key(name), IndexRecordOption::Basic);
            for (_, place) in searcher.search(&term, &TopDocs::with_limit(1).order_by_score())? {
                let entry: TantivyDocument = searcher.doc(place)?;
                found.insert(name.clone(), self.known_of(&entry));
            }
        }
        Ok(found)
    }

    /// Names of packages that are not shown, or, with a time, of those that hold back a version
    /// until then at the latest.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn withheld(&self, until_ms: Option<i64>) -> Result<Vec<PackageName>, SearchError> {
        let searcher = self.reader.searcher();
        let query: Box<dyn Query> = match until_ms {
            None => {
                let term = Term::from_field_text(self.fields.is, "withheld");
                Box::new(TermQuery::new(term, IndexRecordOption::Basic))
            }
            Some(until_ms) => {
                let end = Term::from_field_i64(self.fields.until, until_ms);
                Box::new(RangeQuery::new(Bound::Unbounded, Bound::Included(end)))
            }
        };
        let places = searcher.search(&query, &tantivy::collector::DocSetCollector)?;
        let mut names = Vec::with_capacity(places.len());
        for place in places {
            let entry: TantivyDocument = searcher.doc(place)?;
            names.extend(self.name_of(&entry));
        }
        Ok(names)
    }

    /// Searches: `size` hits behind the first `from`, best first. Names in `without` are left out
    /// and not counted.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn search(
        &self,
        question: &Question,
        from: usize,
        size: usize,
        without: &[PackageName],
    ) -> Result<Page, SearchError> {
        let searcher = self.reader.searcher();
        let mut asked = self.without(query(&self.fields, question, Spelling::Strict), without);
        let mut total = searcher.search(&asked, &Count)?;
        if total < FEW && !question.is_everything() {
            asked = self.without(query(&self.fields, question, Spelling::Alike), without);
            total = searcher.search(&asked, &Count)?;
        }
        if size == 0 || from >= total {
            return Ok(Page { total, hits: Vec::new() });
        }
        let best = TopDocs::with_limit(size).and_offset(from).tweak_score(ranking);
        let found = searcher.search(&asked, &best)?;
        let hits = found.into_iter().filter_map(|found| self.hit(&searcher, found).transpose());
        Ok(Page { total, hits: hits.collect::<Result<_, _>>()? })
    }

    fn without(&self, query: Box<dyn Query>, names: &[PackageName]) -> Box<dyn Query> {
        if names.is_empty() {
            return query;
        }
        let names = TermSetQuery::new(names.iter().map(|name| self.key(name)));
        Box::new(BooleanQuery::new(vec![(Occur::Must, query), (Occur::MustNot, Box::new(names))]))
    }

    fn hit(
        &self,
        searcher: &Searcher,
        (rank, place): (f64, DocAddress),
    ) -> Result<Option<Hit>, SearchError> {
        let entry: TantivyDocument = searcher.doc(place)?;
        let Some(name) = self.name_of(&entry) else { return Ok(None) };
        let card = entry.get_first(self.fields.card).and_then(|value| value.as_bytes());
        let card = card.unwrap_or_default().to_vec();
        Ok(Some(Hit { name, known: self.known_of(&entry), card, rank }))
    }

    fn key(&self, name: &PackageName) -> Term {
        Term::from_field_text(self.fields.id, name.as_str())
    }

    fn name_of(&self, entry: &TantivyDocument) -> Option<PackageName> {
        let name = entry.get_first(self.fields.id).and_then(|value| value.as_str())?;
        PackageName::parse(name).ok()
    }

    fn known_of(&self, entry: &TantivyDocument) -> Known {
        let number = |field| entry.get_first(field).and_then(|value| value.as_i64()).unwrap_or(0);
        let downloads = entry.get_first(self.fields.downloads).and_then(|value| value.as_u64());
        let is = entry.get_first(self.fields.is).and_then(|value| value.as_str());
        Known {
            revision: number(self.fields.revision),
            hidden_print: number(self.fields.hidden),
            downloads: downloads.unwrap_or(0),
            withheld: is == Some("withheld"),
        }
    }
}

/// Deletes what a kill left of files that were being written; nobody else writes now.
fn sweep(folder: &Path) -> Result<(), SearchError> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".tmp") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Ranks the hits of a segment.
fn ranking(segment: &SegmentReader) -> impl Fn(u32, Score) -> f64 + use<> {
    let downloads = segment.fast_fields().u64(DOWNLOADS).ok();
    let downloads = downloads.map(|column| column.first_or_default_col(0));
    move |entry, score| {
        let downloads = downloads.as_ref().map_or(0, |column| column.get_val(entry));
        rank(score, downloads)
    }
}
