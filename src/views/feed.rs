//! Bodies of our own feed, a row a line, in the words of npm's feed and of the reference's.

use std::io::Write;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use store::changes::ChangeRow;

use super::body::memory_body;
use crate::error::JSON;
use crate::extract::encoding::Encoding;

/// Bytes of a row, about, so that a page grows once.
const ROW_BYTES: usize = 128;

/// Smaller pages are sent as they are: packing them saves less than a network packet.
const WORTH_PACKING: usize = 1_400;

/// Part of the list of names.
pub struct NamesPage<'a> {
    /// Names there are.
    pub total: i64,
    /// Names before the first of this page.
    pub offset: i64,
    /// Each with its rev.
    pub names: &'a [(String, String)],
}

/// A body as it leaves.
pub struct Packed {
    body: Bytes,
    encoding: Encoding,
}

#[derive(Serialize)]
struct Change<'a> {
    seq: i64,
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    changes: [Rev<'a>; 1],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

#[derive(Serialize)]
struct Rev<'a> {
    rev: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

#[derive(Serialize)]
struct Name<'a> {
    id: &'a str,
    key: &'a str,
    value: Rev<'a>,
}

/// The events of the reference implementation that a row can be told apart by; its followers
/// read the name alone.
fn kind(row: &ChangeRow) -> &'static str {
    match &row.version {
        _ if row.deleted => "PACKAGE_UNPUBLISHED",
        Some(_) => "PACKAGE_VERSION_ADDED",
        None => "PACKAGE_META_CHANGED",
    }
}

/// The body of `GET /_changes`; `last` is how far it goes, which may be behind the rows shown.
#[must_use]
pub fn changes_page(rows: &[ChangeRow], last: i64) -> Vec<u8> {
    let mut body = Vec::with_capacity((rows.len() + 1) * ROW_BYTES);
    body.extend_from_slice(b"{\"results\":[");
    put_rows(&mut body, rows, |row| Change {
        seq: row.seq,
        kind: kind(row),
        id: &row.name,
        changes: [Rev { rev: &row.rev, version: row.version.as_deref() }],
        deleted: row.deleted,
    });
    body.extend_from_slice(format!("],\n\"last_seq\":{last}}}\n").as_bytes());
    body
}

/// The body of `GET /_all_docs`.
#[must_use]
pub fn names_page(page: &NamesPage<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity((page.names.len() + 1) * ROW_BYTES);
    let (total, offset) = (page.total, page.offset);
    let head = format!("{{\"total_rows\":{total},\"offset\":{offset},\"rows\":[");
    body.extend_from_slice(head.as_bytes());
    put_rows(&mut body, page.names, |(name, rev)| Name {
        id: name,
        key: name,
        value: Rev { rev, version: None },
    });
    body.extend_from_slice(b"]}\n");
    body
}

fn put_rows<'a, T, R: Serialize>(body: &mut Vec<u8>, rows: &'a [T], row: impl Fn(&'a T) -> R) {
    for (place, one) in rows.iter().enumerate() {
        body.extend_from_slice(if place == 0 { b"\n" } else { b",\n" });
        // into memory, and of plain fields: nothing can fail
        let _ = serde_json::to_writer(&mut *body, &row(one));
    }
}

/// Packs a body for a client that takes it packed; quickly, because it is made for one reader.
#[must_use]
pub fn packed(body: Vec<u8>, encoding: Encoding) -> Packed {
    if encoding == Encoding::Gzip && body.len() >= WORTH_PACKING {
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        if let Ok(body) = encoder.write_all(&body).and_then(|()| encoder.finish()) {
            return Packed { body: Bytes::from(body), encoding };
        }
    }
    Packed { body: Bytes::from(body), encoding: Encoding::Identity }
}

impl Packed {
    /// 200; never from somebody's cache.
    #[must_use]
    pub fn respond(self) -> HttpResponse {
        let mut answer = HttpResponse::Ok();
        answer.insert_header((header::CONTENT_TYPE, JSON));
        answer.insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")));
        answer.insert_header((header::VARY, HeaderValue::from_static("accept-encoding")));
        if let Some(coding) = self.encoding.header() {
            answer.insert_header((header::CONTENT_ENCODING, coding));
        }
        answer.body(memory_body(self.body, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: i64, name: &str) -> ChangeRow {
        ChangeRow {
            seq,
            name: name.into(),
            kind: "sync".into(),
            rev: "3-abc".into(),
            version: None,
            deleted: false,
            at_ms: 0,
        }
    }

    #[test]
    fn a_page_is_a_line_for_each_row_and_its_end() {
        let added = ChangeRow { version: Some("1.0.0".into()), ..row(7, "@garden/ui") };
        let gone = ChangeRow { deleted: true, ..row(9, "a\"b") };
        let page = changes_page(&[added, gone], 9);
        assert_eq!(
            String::from_utf8(page).unwrap(),
            "{\"results\":[\n\
             {\"seq\":7,\"type\":\"PACKAGE_VERSION_ADDED\",\"id\":\"@garden/ui\",\
             \"changes\":[{\"rev\":\"3-abc\",\"version\":\"1.0.0\"}]},\n\
             {\"seq\":9,\"type\":\"PACKAGE_UNPUBLISHED\",\"id\":\"a\\\"b\",\
             \"changes\":[{\"rev\":\"3-abc\"}],\"deleted\":true}],\n\"last_seq\":9}\n"
        );
        assert_eq!(changes_page(&[], 5), b"{\"results\":[],\n\"last_seq\":5}\n");
    }

    #[test]
    fn a_page_of_names_says_where_it_is() {
        let names = [("lamp".to_owned(), "1-x".to_owned())];
        let page = names_page(&NamesPage { total: 12, offset: 3, names: &names });
        assert_eq!(
            String::from_utf8(page).unwrap(),
            "{\"total_rows\":12,\"offset\":3,\"rows\":[\n\
             {\"id\":\"lamp\",\"key\":\"lamp\",\"value\":{\"rev\":\"1-x\"}}]}\n"
        );
    }
}
