//! Response bodies.

pub mod access;
pub mod account;
pub mod block;
pub mod body;
pub mod downloads;
pub mod feed;
pub mod home;
pub mod hook;
pub mod metrics;
pub mod org;
pub mod registry;
pub mod search;
pub mod sign_in;
pub mod star;
pub mod task;

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use crate::error::JSON;

/// The answer of a request that changes something and has nothing to tell.
#[derive(Debug, Serialize)]
pub struct Done {
    /// Always true.
    pub ok: bool,
}

/// 200 with a small JSON document.
#[must_use]
pub fn json_answer(document: &impl Serialize) -> HttpResponse {
    with_json(HttpResponse::Ok(), document)
}

/// 201 with a small JSON document.
#[must_use]
pub fn created(document: &impl Serialize) -> HttpResponse {
    with_json(HttpResponse::Created(), document)
}

fn with_json(mut answer: HttpResponseBuilder, document: &impl Serialize) -> HttpResponse {
    answer.insert_header((header::CONTENT_TYPE, JSON));
    answer.body(serde_json::to_vec(document).unwrap_or_default())
}
