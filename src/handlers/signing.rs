//! `GET /-/npm/v1/keys` and `GET /-/npm/v1/attestations/:spec`: what `npm audit signatures` asks.
//!
//! Both are kept, so that they are answered while upstream is away.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use npm::{PackageName, PackagePath};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::access::gate;
use crate::app::App;
use crate::error::{ApiError, JSON};

#[derive(Serialize)]
struct KeyList<'a> {
    keys: &'a [npm::SigningKey],
}

/// The keys the upstream signs with, and those it ever signed with: a list that flaps between
/// two back ends makes nobody's check fail.
///
/// # Errors
/// 404 where the upstream does not sign, 503 when it was never asked and cannot be.
pub async fn get_keys(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let keys = app.engine.signing_keys().await;
    let keys = keys.map_err(|error| ApiError::from_miss("the list of signing keys", &error))?;
    if keys.list.is_empty() {
        return Err(ApiError::not_found(request.uri().path()));
    }
    let body = serde_json::to_vec(&KeyList { keys: &keys.list });
    let body = body.map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, JSON)).body(body))
}

/// The attestations of one version, as upstream has them.
///
/// # Errors
/// 404 when there are none, 422 for another spec than `name@version`.
pub async fn get_attestations(
    app: Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let path = request.uri().path();
    let (name, version) = spec_of(path)?;
    let let_in = gate::of_name(&app, &request, &name).await?;
    let found = app.engine.attestations(&name, &version).await;
    let what = format!("the list of attestations of {name}@{version}");
    match found.map_err(|error| ApiError::from_miss(what, &error))? {
        Some(body) => {
            let answer = HttpResponse::Ok().insert_header((header::CONTENT_TYPE, JSON)).body(body);
            Ok(let_in.mark(answer))
        }
        None => Err(ApiError::not_found(path)),
    }
}

/// `@s%2fn@1.0.0`, `@s/n@1.0.0` or `n@1.0.0` behind `attestations/`.
fn spec_of(path: &str) -> Result<(PackageName, String), ApiError> {
    let malformed = || ApiError::Invalid(format!("{path}: must end with name@version"));
    let path = path.trim_end_matches('/');
    let (_, spec) = path.split_once("/attestations/").ok_or_else(malformed)?;
    let spec = percent_decode_str(spec).decode_utf8().map_err(|_| malformed())?;
    let (name, version) = spec.rsplit_once('@').ok_or_else(malformed)?;
    let is_version = !version.is_empty() && !version.contains(['/', '\\']);
    if name.is_empty() || !is_version || version.chars().any(char::is_control) {
        return Err(malformed());
    }
    match PackagePath::parse(&format!("/{name}"))? {
        PackagePath::Packument(name) => Ok((name, version.to_owned())),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_read_in_every_form_clients_write_it() {
        for (spec, name, version) in [
            ("lamp@1.0.0", "lamp", "1.0.0"),
            ("@s%2fn@1.0.0", "@s/n", "1.0.0"),
            ("@s%2Fn%401.0.0", "@s/n", "1.0.0"),
            ("%40s%2fn@1.0.0-rc.1", "@s/n", "1.0.0-rc.1"),
            ("@s/n@1.0.0%2bbuild", "@s/n", "1.0.0+build"),
        ] {
            let path = format!("/-/npm/v1/attestations/{spec}");
            let (found, of) = spec_of(&path).unwrap();
            assert_eq!((found.as_str(), of.as_str()), (name, version), "{spec}");
        }
        for spec in ["lamp", "@s/n", "@1.0.0", "lamp@", "lamp@../../x", "..@1.0.0", ""] {
            assert!(spec_of(&format!("/-/npm/v1/attestations/{spec}")).is_err(), "{spec}");
        }
    }
}
