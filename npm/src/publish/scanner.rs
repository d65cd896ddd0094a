//! Reads the body of a publish piece by piece, however it is cut.
//!
//! Everything is kept except the text of the tarball, which is decoded as it comes: the first
//! attachment that is no `.sigstore`. Only as much of JSON is understood here as it takes to find
//! that text; whether the rest is well formed shows when it is read as a whole.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::json;

/// Deeper bodies are refused, as everywhere.
const MAX_DEPTH: usize = 250;

/// Attachments with this ending are text of their own and stay in the document.
const PROVENANCE: &str = ".sigstore";

/// Clients differ in whether they fill the last group up.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a body cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScannerError {
    /// More than the manifest may have.
    #[error("the document without its tarball is larger than {limit} bytes")]
    DocumentTooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// More than a tarball may have.
    #[error("the tarball is larger than {limit} bytes")]
    TarballTooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// The attachment is no base64.
    #[error("attachment.data string format invalid")]
    Base64,
    /// Nested without end.
    #[error("the body is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// It ends in the middle.
    #[error("the body ends in the middle of a string")]
    Unfinished,
}

/// A body that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned {
    /// All of it, with an empty text where the tarball was.
    pub document: Vec<u8>,
    /// File name of the attachment whose text was decoded; `None` when there was none.
    pub tarball_file: Option<String>,
    /// Bytes that came of it.
    pub tarball_bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub struct BodyScanner {
    document: Vec<u8>,
    max_document: u64,
    max_tarball: u64,
    /// Of every open container: whether it is an object.
    open: Vec<bool>,
    /// The last keys of the three outermost objects.
    keys: [Vec<u8>; 3],
    place: Place,
    /// The next string is a key.
    at_key: bool,
    tarball_file: Option<String>,
    tarball_bytes: u64,
    /// Characters that do not make a whole group yet.
    rest: Vec<u8>,
    is_kept: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Between,
    Text { escaped: bool, is_key: bool },
    Tarball { escaped: bool },
}

impl BodyScanner {
    /// A scanner for a body whose manifest and tarball have at most so many bytes.
    #[must_use]
    pub fn new(max_document: u64, max_tarball: u64) -> Self {
        Self {
            document: Vec::new(),
            max_document,
            max_tarball,
            open: Vec::new(),
            keys: Default::default(),
            place: Place::Between,
            at_key: false,
            tarball_file: None,
            tarball_bytes: 0,
            rest: Vec::new(),
            is_kept: false,
        }
    }

    /// Takes the next piece of the body; what it holds of the tarball is appended to `tarball`.
    ///
    /// # Errors
    /// See [`ScannerError`].
    pub fn feed(&mut self, mut piece: &[u8], tarball: &mut Vec<u8>) -> Result<(), ScannerError> {
        while !piece.is_empty() {
            let taken = match self.place {
                Place::Between => self.between(piece)?,
                Place::Text { escaped, is_key } => self.text(piece, escaped, is_key),
                Place::Tarball { escaped } => self.tarball(piece, escaped, tarball)?,
            };
            if self.document.len() as u64 > self.max_document {
                return Err(ScannerError::DocumentTooLarge { limit: self.max_document });
            }
            piece = piece.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// What there was.
    ///
    /// # Errors
    /// When it ended in the middle of a text.
    pub fn finish(self) -> Result<Scanned, ScannerError> {
        if self.place != Place::Between {
            return Err(ScannerError::Unfinished);
        }
        let Self { document, tarball_file, tarball_bytes, .. } = self;
        Ok(Scanned { document, tarball_file, tarball_bytes })
    }

    /// Whether the text that begins here is that of an attachment.
    fn is_attachment(&self) -> bool {
        let [first, file, third] = &self.keys;
        self.open == [true, true, true]
            && first == b"_attachments"
            && third == b"data"
            && !file.ends_with(PROVENANCE.as_bytes())
    }

    fn between(&mut self, piece: &[u8]) -> Result<usize, ScannerError> {
        let mut taken = 0;
        for &byte in piece {
            taken += 1;
            self.document.push(byte);
            match byte {
                b'"' => {
                    self.begin_text();
                    break;
                }
                b'{' | b'[' => {
                    if self.open.len() == MAX_DEPTH {
                        return Err(ScannerError::TooDeep);
                    }
                    self.open.push(byte == b'{');
                    self.at_key = byte == b'{';
                }
                b'}' | b']' => {
                    self.open.pop();
                    self.at_key = false;
                }
                b',' => self.at_key = self.open.last() == Some(&true),
                b':' => self.at_key = false,
                _ => {}
            }
        }
        Ok(taken)
    }

    fn begin_text(&mut self) {
        let depth = self.open.len();
        if self.at_key {
            if let Some(key) = self.keys.get_mut(depth.wrapping_sub(1)) {
                key.clear();
            }
            self.place = Place::Text { escaped: false, is_key: true };
        } else if self.is_attachment() {
            let file = self.keys.get(1).map(Vec::as_slice).unwrap_or_default();
            let file = String::from_utf8_lossy(file).into_owned();
            // of several tarballs the first counts
            self.is_kept = self.tarball_file.is_none();
            self.tarball_file.get_or_insert(file);
            self.place = Place::Tarball { escaped: false };
        } else {
            self.place = Place::Text { escaped: false, is_key: false };
        }
    }

    fn text(&mut self, piece: &[u8], escaped: bool, is_key: bool) -> usize {
        let (taken, place) = if escaped {
            (1, Place::Text { escaped: false, is_key })
        } else {
            match memchr::memchr2(b'"', b'\\', piece) {
                Some(at) if piece.get(at) == Some(&b'"') => (at + 1, Place::Between),
                Some(at) => (at + 1, Place::Text { escaped: true, is_key }),
                None => (piece.len(), self.place),
            }
        };
        let part = piece.get(..taken).unwrap_or_default();
        self.document.extend_from_slice(part);
        if is_key && let Some(key) = self.keys.get_mut(self.open.len().wrapping_sub(1)) {
            let ends = place == Place::Between;
            key.extend_from_slice(part.get(..taken - usize::from(ends)).unwrap_or_default());
            if ends && key.contains(&b'\\') {
                *key = decoded(key).into_bytes();
            }
        }
        self.place = place;
        taken
    }

    fn tarball(
        &mut self,
        piece: &[u8],
        escaped: bool,
        tarball: &mut Vec<u8>,
    ) -> Result<usize, ScannerError> {
        if escaped {
            // `\/` is the only escape that base64 gives a reason for
            if piece.first() != Some(&b'/') {
                return Err(ScannerError::Base64);
            }
            self.decode(b"/", tarball)?;
            self.place = Place::Tarball { escaped: false };
            return Ok(1);
        }
        let end = memchr::memchr2(b'"', b'\\', piece);
        self.decode(piece.get(..end.unwrap_or(piece.len())).unwrap_or_default(), tarball)?;
        let Some(end) = end else { return Ok(piece.len()) };
        if piece.get(end) == Some(&b'"') {
            self.document.push(b'"');
            self.place = Place::Between;
            let last = std::mem::take(&mut self.rest);
            self.put(&last, tarball)?;
        } else {
            self.place = Place::Tarball { escaped: true };
        }
        Ok(end + 1)
    }

    /// Decodes whole groups, all but the last: only that one may be filled up.
    fn decode(&mut self, text: &[u8], tarball: &mut Vec<u8>) -> Result<(), ScannerError> {
        let missing = 4_usize.saturating_sub(self.rest.len()).min(text.len());
        let (first, text) = text.split_at(missing);
        self.rest.extend_from_slice(first);
        if text.is_empty() {
            return Ok(());
        }
        let group = std::mem::take(&mut self.rest);
        let kept = match text.len() % 4 {
            0 => 4,
            odd => odd,
        };
        let (whole, last) = text.split_at(text.len().saturating_sub(kept));
        for groups in [&group, whole] {
            if memchr::memchr(b'=', groups).is_some() {
                return Err(ScannerError::Base64);
            }
            self.put(groups, tarball)?;
        }
        self.rest.extend_from_slice(last);
        Ok(())
    }

    fn put(&mut self, groups: &[u8], tarball: &mut Vec<u8>) -> Result<(), ScannerError> {
        let before = tarball.len();
        BASE64.decode_vec(groups, tarball).map_err(|_| ScannerError::Base64)?;
        let came = (tarball.len() - before) as u64;
        if !self.is_kept {
            tarball.truncate(before);
            return Ok(());
        }
        self.tarball_bytes += came;
        if self.tarball_bytes > self.max_tarball {
            return Err(ScannerError::TarballTooLarge { limit: self.max_tarball });
        }
        Ok(())
    }
}

/// The text between two quotation marks.
fn decoded(inner: &[u8]) -> String {
    let mut quoted = String::with_capacity(inner.len() + 2);
    quoted.push('"');
    quoted.push_str(&String::from_utf8_lossy(inner));
    quoted.push('"');
    json::string(&quoted).map(std::borrow::Cow::into_owned).unwrap_or_default()
}
