//! The refusals that the HTTP library writes before anything of ours runs: of heads that are no
//! HTTP, too large or too late. It knows no way to give them a body, so its words are replaced on
//! their way out.

use actix_web::http::header::HeaderMap;
use bytes::Bytes;

use crate::extract::request_id::RequestIds;

/// Longer than any of them, shorter than nearly all answers of ours.
const LONGEST: usize = 256;

/// What is said instead; none for anything that is not one of those refusals.
///
/// Every answer of ours has a request id, and so more than the three headers of the library.
pub fn instead_of(bytes: &[u8], ids: &RequestIds) -> Option<Bytes> {
    if bytes.len() > LONGEST || !bytes.starts_with(b"HTTP/1.") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next()?;
    let (code, reason) = told(status_line.split(' ').nth(1)?)?;
    let mut date = "";
    for line in lines {
        match line.split_once(": ")? {
            ("content-length", "0") | ("connection", _) => {}
            ("date", value) => date = value,
            _ => return None,
        }
    }
    let id = ids.of(&HeaderMap::new());
    let id = id.to_str().unwrap_or_default();
    let body = format!("{{\"error\":\"[{code}] {reason}\",\"reason\":\"{reason}\"}}");
    Some(Bytes::from(format!(
        "{status_line}\r\n\
         content-type: application/json; charset=utf-8\r\n\
         content-length: {}\r\n\
         connection: close\r\n\
         x-request-id: {id}\r\n\
         request-id: {id}\r\n\
         x-content-type-options: nosniff\r\n\
         referrer-policy: no-referrer\r\n\
         content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n\
         date: {date}\r\n\r\n{body}",
        body.len()
    )))
}

/// Code and reason of a status; both are free of what JSON escapes.
fn told(status: &str) -> Option<(&'static str, &'static str)> {
    Some(match status {
        "400" => ("BAD_REQUEST", "the request is no HTTP/1.1 that can be understood"),
        "408" => ("REQUEST_TIMEOUT", "the head of the request did not come in time"),
        "431" => {
            let reason = "the request line and headers are larger than 128 KiB, \
                          or there are more than 96 headers";
            ("REQUEST_HEADER_FIELDS_TOO_LARGE", reason)
        }
        _ => return None,
    })
}
