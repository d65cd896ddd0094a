//! From the bytes of a document as received to its JSON text, and to the bytes kept.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::UpstreamError;

/// Smaller identity bodies are kept as they are: a gzip header and a database row do not care.
const COMPRESS_FROM_BYTES: usize = 1 << 10;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// `Content-Encoding` of a document, as far as we ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
}

impl Coding {
    pub(super) fn of(header: Option<&[u8]>) -> Result<Self, UpstreamError> {
        let Some(header) = header else { return Ok(Self::Identity) };
        let text = header.trim_ascii();
        if text.is_empty() || text.eq_ignore_ascii_case(b"identity") {
            Ok(Self::Identity)
        } else if text.eq_ignore_ascii_case(b"gzip") || text.eq_ignore_ascii_case(b"x-gzip") {
            Ok(Self::Gzip)
        } else {
            let text = String::from_utf8_lossy(text);
            Err(UpstreamError::BadBody(format!("Content-Encoding {text:?}, asked for gzip")))
        }
    }
}

/// Deflate cannot make more of one byte than this.
const MAX_RATIO: u64 = 1_032;

/// The decoded size the trailer announces (modulo 4 GiB), within what is possible at all. Only
/// a hint: of a body that was cut or is no gzip these bytes are anything.
pub(super) fn size_hint(gzip: &[u8]) -> u64 {
    let announced = match gzip.split_last_chunk::<4>() {
        Some((_, trailer)) if gzip.starts_with(GZIP_MAGIC) => u32::from_le_bytes(*trailer),
        _ => 0,
    };
    u64::from(announced).min(MAX_RATIO.saturating_mul(gzip.len() as u64))
}

/// Result of an inflation with a cap.
pub(super) enum Inflated {
    Whole(Vec<u8>),
    /// There is more than the cap.
    OverLimit,
}

/// Inflates, reading at most one byte beyond `limit`.
pub(super) fn inflate(gzip: &[u8], limit: u64) -> Result<Inflated, UpstreamError> {
    let hint = size_hint(gzip).min(limit);
    let mut body = Vec::with_capacity(usize::try_from(hint).unwrap_or(0));
    let read = MultiGzDecoder::new(gzip).take(limit.saturating_add(1)).read_to_end(&mut body);
    match read {
        Ok(_) if body.len() as u64 > limit => Ok(Inflated::OverLimit),
        Ok(_) => Ok(Inflated::Whole(body)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            let here = gzip.len();
            Err(UpstreamError::Truncated(format!("gzip stream of {here} bytes has no end")))
        }
        Err(error) => Err(UpstreamError::BadBody(format!("labelled gzip, but {error}"))),
    }
}

/// Inflates a document of our own store, whose decoded size is known.
pub(crate) fn inflate_stored(gzip: &[u8], body_bytes: usize) -> Result<Bytes, UpstreamError> {
    match inflate(gzip, body_bytes as u64)? {
        Inflated::Whole(body) if body.len() == body_bytes => Ok(Bytes::from(body)),
        _ => Err(UpstreamError::BadBody(format!("a stored document is not {body_bytes} bytes"))),
    }
}

/// Refuses what cannot be a JSON object, before anybody scans it.
pub(super) fn check_is_json(body: &[u8]) -> Result<(), UpstreamError> {
    let text = body.trim_ascii();
    let Some(first) = text.first() else {
        return Err(UpstreamError::BadBody(String::from(
            "the document is empty, so it is not JSON",
        )));
    };
    if text.starts_with(GZIP_MAGIC) {
        let why = "the document is gzip where JSON is due (coded twice, or not labelled)";
        return Err(UpstreamError::BadBody(String::from(why)));
    }
    if *first != b'{' {
        return Err(UpstreamError::BadBody(format!(
            "the document is not JSON, it starts with {:?}",
            beginning(text)
        )));
    }
    if text.last() != Some(&b'}') {
        let here = body.len();
        return Err(UpstreamError::Truncated(format!("JSON of {here} bytes has no end")));
    }
    Ok(())
}

fn beginning(text: &[u8]) -> String {
    let text = text.get(..40).unwrap_or(text);
    String::from_utf8_lossy(text).into_owned()
}

/// gzip of an identity body for storing, `None` when it is not worth it.
pub(super) fn compress(body: &[u8]) -> Option<Bytes> {
    if body.len() < COMPRESS_FROM_BYTES {
        return None;
    }
    // level 1: a third of the time of level 6 for a tenth more bytes
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    let gzip = encoder.finish().ok()?;
    (gzip.len() < body.len()).then(|| Bytes::from(gzip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn whole(gzip: &[u8], limit: u64) -> Result<Option<Vec<u8>>, UpstreamError> {
        inflate(gzip, limit).map(|inflated| match inflated {
            Inflated::Whole(body) => Some(body),
            Inflated::OverLimit => None,
        })
    }

    #[test]
    fn inflates_up_to_the_limit_and_not_one_byte_more() {
        let body = b"{\"name\":\"left-pad\"}".repeat(1_000);
        let coded = gzip(&body);
        let length = body.len() as u64;
        assert_eq!(size_hint(&coded), length);
        assert_eq!(size_hint(&body), 0);
        assert_eq!(size_hint(b"\x1f\x8b\xff\xff\xff\xff"), 6 * MAX_RATIO);
        assert_eq!(whole(&coded, length).unwrap().as_deref(), Some(body.as_slice()));
        assert_eq!(whole(&coded, length - 1).unwrap(), None);
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let coded = gzip(&vec![b'{'; 50 << 20]);
        assert!(coded.len() < 100_000);
        assert_eq!(whole(&coded, 1 << 20).unwrap(), None);
    }

    #[test]
    fn several_members_are_one_body_and_junk_behind_is_an_error() {
        let mut coded = gzip(b"{\"a\":");
        coded.extend(gzip(b"1}"));
        assert_eq!(whole(&coded, 100).unwrap().as_deref(), Some(b"{\"a\":1}".as_slice()));
        coded.extend(b"junk of some bytes");
        assert!(matches!(whole(&coded, 100), Err(UpstreamError::BadBody(_))));
    }

    #[test]
    fn every_cut_of_a_gzip_stream_is_truncation() {
        let coded = gzip(b"{\"name\":\"left-pad\",\"versions\":{}}");
        for end in 0..coded.len() {
            let cut = coded.get(..end).unwrap();
            let inflated = whole(cut, 1_000);
            assert!(matches!(inflated, Err(UpstreamError::Truncated(_))), "cut at {end}");
        }
    }

    #[test]
    fn a_wrong_label_is_named() {
        let error = whole(b"{\"name\":\"plain json\"}", 1_000).unwrap_err();
        assert!(matches!(&error, UpstreamError::BadBody(text) if text.contains("labelled gzip")));
        assert_eq!(Coding::of(Some(b" GZIP ")).unwrap(), Coding::Gzip);
        assert_eq!(Coding::of(Some(b"identity")).unwrap(), Coding::Identity);
        assert!(Coding::of(Some(b"br")).is_err());
        assert!(Coding::of(Some(b"gzip, gzip")).is_err());
    }

    #[test]
    fn what_is_no_json_object_is_told_apart_from_what_was_cut() {
        for (body, retryable) in [
            (b"".as_slice(), false),
            (b"\n", false),
            (b"<!DOCTYPE html><html>", false),
            (b"\xef\xbb\xbf{}", false),
            (b"\x1f\x8b\x08", false),
            (b"[]", false),
            (b"{\"versions\":{", true),
        ] {
            assert_eq!(check_is_json(body).unwrap_err().is_retryable(), retryable);
        }
        check_is_json(b" {\"name\":\"a\"}\n").unwrap();
    }

    #[test]
    fn identity_bodies_are_compressed_only_when_it_pays() {
        assert!(compress(b"{}").is_none());
        let body = b"{\"name\":\"left-pad\"}".repeat(200);
        let coded = compress(&body).unwrap();
        assert!(coded.len() < body.len() / 2);
        assert_eq!(whole(&coded, 1 << 20).unwrap().as_deref(), Some(body.as_slice()));
    }
}
