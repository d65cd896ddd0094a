//! `GET /:name/:version-or-tag-or-range`: one version of a package.

use actix_web::{HttpRequest, HttpResponse};
use npm::PackageName;
use store::versions;

use super::document::{self, Document};
use super::miss;
use super::packument::form_of;
use crate::app::App;
use crate::cache::render::Wanted;
use crate::cache::withheld::ruling;
use crate::error::ApiError;

/// Serves the manifest a spec resolves to. A version that our document lacks may have been
/// published a moment ago, so upstream is asked once more.
///
/// # Errors
/// 404, 422 for a text that is no spec, or what the way upstream said.
pub async fn get_manifest(
    app: &App,
    request: &HttpRequest,
    name: PackageName,
    spec: String,
) -> Result<HttpResponse, ApiError> {
    let wanted = Wanted::Manifest(form_of(request), spec.as_str().into());
    match document::find(app, request, &name, wanted.clone()).await? {
        Document::Found(answer) => return Ok(answer),
        Document::NotHere => return Err(miss::missing(app, &name, &name).await),
        Document::NoVersion => {}
    }
    if let Some(refused) = withheld(app, &name, &spec).await? {
        return Err(refused);
    }
    let what = format!("{name}@{spec}");
    if !miss::look_again(app, &name, &spec).await {
        return Err(miss::missing(app, &name, what).await);
    }
    match document::find(app, request, &name, wanted).await? {
        Document::Found(answer) => Ok(answer),
        Document::NoVersion | Document::NotHere => {
            miss::remember_missed(app, &name, &spec).await;
            Err(miss::missing(app, &name, what).await)
        }
    }
}

/// Why a version that exists is not shown: a client that asks for it by its number is told.
async fn withheld(app: &App, name: &PackageName, spec: &str) -> Result<Option<ApiError>, ApiError> {
    let (policy, of, version) = (app.engine.policy(), name.clone(), spec.to_owned());
    // what rules ask for was read with the package's state
    let read = app.engine.store().read(move |rows| {
        let found = versions::find(rows, &of, &version)?;
        ruling(rows, &policy, &of, &version, found.as_ref())
    });
    Ok(read.await?.refusal(format_args!("{name}@{spec}")))
}
