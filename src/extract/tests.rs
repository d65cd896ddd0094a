//! Whatever a client sends is read or refused, never a panic, and never a value outside its rules.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use npm::PackumentForm;
use proptest::prelude::*;

use super::conditional::{not_modified, range_applies};
use super::encoding::Encoding;
use super::feed_query::{ChangesQuery, NamesQuery};
use super::range::{RangeAnswer, asked_range};
use crate::error::ApiError;
use crate::handlers::sync::wish::Wish;

/// Any bytes that can be the value of a header.
fn header_value() -> impl Strategy<Value = HeaderValue> {
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    bytes.prop_filter_map("a header value", |bytes| HeaderValue::from_bytes(&bytes).ok())
}

/// Text made of the pieces that a parser looks for.
fn pieces(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|words| words.concat())
}

fn with(name: HeaderName, value: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value);
    headers
}

fn within(answer: RangeAnswer, total: u64) -> bool {
    match answer {
        RangeAnswer::Part { start, length } => {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= total)
        }
        RangeAnswer::Whole | RangeAnswer::Unsatisfiable => true,
    }
}

proptest! {
    #[test]
    fn any_bytes_may_stand_in_a_header(value in header_value(), total in any::<u64>()) {
        let range = asked_range(&with(header::RANGE, value.clone()), total);
        prop_assert!(within(range, total), "{range:?} of {total}");
        let _ = Encoding::from_headers(&with(header::ACCEPT_ENCODING, value.clone()));
        let _ = not_modified(&with(header::IF_NONE_MATCH, value.clone()), b"\"x\"");
        let _ = range_applies(&with(header::IF_RANGE, value.clone()), b"\"x\"");
        let _ = PackumentForm::from_accept(value.to_str().ok());
    }

    #[test]
    fn a_range_lies_within_the_bytes(
        text in pieces(&["bytes", "=", "-", ",", " ", "0", "1", "99", "18446744073709551615", "9"]),
        total in prop_oneof![Just(0), Just(1), 0..200_u64, any::<u64>()],
    ) {
        let value = HeaderValue::from_str(&text).expect("plain text");
        let range = asked_range(&with(header::RANGE, value), total);
        prop_assert!(within(range, total), "{text}: {range:?} of {total}");
    }

    #[test]
    fn accept_is_read_whatever_it_says(
        text in pieces(&[
            "application/", "json", "vnd.npm.install-v1+json", ";", "q=", "0", "1", ".5", ",", "*/*",
            " ", "\"", "=", "text/html",
        ]),
    ) {
        let _ = PackumentForm::from_accept(Some(&text));
        let value = HeaderValue::from_str(&text).expect("plain text");
        let _ = Encoding::from_headers(&with(header::ACCEPT_ENCODING, value));
    }

    #[test]
    fn a_query_is_within_its_limits_or_refused(
        query in prop_oneof![
            any::<String>(),
            pieces(&[
                "since", "limit", "skip", "startkey", "start_key", "=", "&", "0", "1", "10000", "-",
                "%22", "\"", "%ff", "%", "+", "lamp", "99999999999999999999",
            ]),
        ],
    ) {
        match ChangesQuery::parse(&query) {
            Ok(read) => prop_assert!(read.since >= 0 && (1..=10_000).contains(&read.limit)),
            Err(error) => prop_assert!(is_refusal(&error), "{error:?}"),
        }
        match NamesQuery::parse(&query) {
            Ok(read) => prop_assert!((0..=10_000).contains(&read.skip)),
            Err(error) => prop_assert!(is_refusal(&error), "{error:?}"),
        }
    }

    #[test]
    fn a_body_is_a_wish_or_refused(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            pieces(&[
                "{", "}", "[", "]", ":", ",", "\"", "tips", "force", "specificVersions", "\"1.0.0\"",
                "registryName", "null", "true", "1e999", "\\u0000", "\\ud800",
            ]).prop_map(String::into_bytes),
            json_body(),
        ],
    ) {
        match Wish::parse(&body) {
            Ok(wish) => {
                prop_assert!(wish.tips.is_none_or(|tips| tips.chars().count() <= 1024));
                prop_assert!(wish.registry.is_none_or(|name| !name.is_empty()));
            }
            Err(error) => prop_assert!(is_refusal(&error), "{error:?}"),
        }
    }
}

/// An object with the known fields, each of any type.
fn json_body() -> impl Strategy<Value = Vec<u8>> {
    let values = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::Value::String(text).to_string()),
        prop::collection::vec(any::<String>(), 0..5)
            .prop_map(|texts| serde_json::Value::from(texts).to_string()),
        prop::collection::vec(any::<String>(), 0..5).prop_map(|texts| {
            serde_json::Value::String(serde_json::Value::from(texts).to_string()).to_string()
        }),
    ];
    let fields = prop::sample::select(
        &[
            "tips",
            "force",
            "forceSyncHistory",
            "skipDependencies",
            "syncDownloadData",
            "registryName",
            "specificVersions",
        ][..],
    );
    prop::collection::vec((fields, values), 0..8).prop_map(|fields| {
        let fields: Vec<_> =
            fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(",")).into_bytes()
    })
}

/// The client's fault, said as such.
fn is_refusal(error: &ApiError) -> bool {
    matches!(error, ApiError::BadRequest(_) | ApiError::Invalid(_))
}
