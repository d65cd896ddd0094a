//! `PUT /:name/-rev/:rev`: `npm owner`, and the first step of `npm unpublish`.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use npm::PackageName;
use serde::Deserialize;

use super::{command, edit, publisher};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::{drain, read};
use crate::publishing::edits;
use crate::publishing::rights::caller;
use crate::views::{Done, json_answer};

/// Most maintainers of a package.
const MOST: usize = 1_000;

#[derive(Deserialize)]
struct Wish {
    maintainers: Option<Vec<Person>>,
}

#[derive(Deserialize)]
struct Person {
    name: String,
    #[serde(default)]
    email: Option<String>,
}

/// Replaces the maintainers of a package. What `npm unpublish` sends here is taken and ignored: the
/// tarball that it deletes next says which version is meant.
///
/// # Errors
/// 400 for another command, 401, 403, 404, 422.
pub async fn put_revision(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    let found = command(request).to_owned();
    if found != "owner" {
        drain(request, payload, app.settings.max_body_bytes).await?;
        if found == "unpublish" {
            return Ok(json_answer(&Done { ok: false }));
        }
        let text = format!("header: npm-command expected \"owner\", but got \"{found}\"");
        return Err(ApiError::BadRequest(text));
    }
    let user = match caller(app, request, &name).await {
        Ok(user) => user,
        Err(refused) => {
            drain(request, payload, app.settings.max_body_bytes).await?;
            return Err(refused);
        }
    };
    let users = users(&read(request, payload, app.settings.max_body_bytes).await?)?;
    let who = publisher(app, request, &user, &name, &users).await?;
    let of = name.clone();
    edit(app, &name, move |before| edits::set_owners(&of, &who, &users, before)).await?;
    Ok(json_answer(&Done { ok: true }))
}

fn users(body: &[u8]) -> Result<Vec<String>, ApiError> {
    let invalid = |text: &str| ApiError::Invalid(text.to_owned());
    let wish: Wish = serde_json::from_slice(body)
        .map_err(|error| ApiError::Invalid(format!("maintainers: {error}")))?;
    let people =
        wish.maintainers.ok_or_else(|| invalid("must have required property 'maintainers'"))?;
    if people.is_empty() {
        return Err(invalid("maintainers: must NOT have fewer than 1 items"));
    }
    if people.len() > MOST {
        return Err(ApiError::Invalid(format!(
            "maintainers: must NOT have more than {MOST} items"
        )));
    }
    for (index, person) in people.iter().enumerate() {
        let length = person.name.chars().count();
        if length == 0 {
            let text = format!("maintainers/{index}/name: must NOT have fewer than 1 characters");
            return Err(ApiError::Invalid(text));
        }
        if length > 100 {
            let text = format!("maintainers/{index}/name: must NOT have more than 100 characters");
            return Err(ApiError::Invalid(text));
        }
        if person.email.as_ref().is_some_and(|email| email.chars().count() > 400) {
            let text = format!("maintainers/{index}/email: must NOT have more than 400 characters");
            return Err(ApiError::Invalid(text));
        }
    }
    Ok(people.into_iter().map(|person| person.name).collect())
}
