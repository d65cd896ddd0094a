//! Response bodies.

pub mod body;
pub mod feed;
pub mod home;
pub mod metrics;

use actix_web::HttpResponse;
use actix_web::http::header;
use serde::Serialize;

use crate::error::JSON;

/// 200 with a small JSON document.
#[must_use]
pub fn json_answer(document: &impl Serialize) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CONTENT_TYPE, JSON));
    answer.body(serde_json::to_vec(document).unwrap_or_default())
}
