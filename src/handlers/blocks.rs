//! `/-/package/:fullname/blocks[/:version]`: what readers are refused, and why (wire contract, 6.1).

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use npm::PackageName;
use serde::Deserialize;
use store::blocks::{self, BlockRow, WHOLE_PACKAGE};
use store::registries::SELF;
use store::{AnyConnection, StoreError, packages, versions};

use super::registries::admin;
use crate::access::gate;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::{drain, read};
use crate::views::block::{BlockCreated, BlockStatus};
use crate::views::{Done, created, json_answer};

/// Most characters of a reason.
const LONGEST_REASON: usize = 10_240;

#[derive(Deserialize)]
struct Wish {
    reason: Option<String>,
}

/// Whether the package is blocked, why, and which of its versions are.
///
/// # Errors
/// 404 for a package that is neither here nor blocked, 401 and 403 for one that is closed.
pub async fn get_blocks(
    app: &App,
    request: &HttpRequest,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    let let_in = gate::of_name(app, request, &name).await?;
    let of = name.clone();
    let look = move |rows: &mut AnyConnection| {
        Ok::<_, StoreError>((packages::find(rows, &of)?.is_some(), blocks::of_package(rows, &of)?))
    };
    let (is_here, found) = app.engine.store().read(look).await?;
    if !is_here && found.is_empty() {
        return Err(ApiError::not_found(name));
    }
    Ok(let_in.mark(json_answer(&BlockStatus::of(found))))
}

/// Blocks the package, or one version of it; again: a new reason under the same id.
///
/// # Errors
/// 401 and 403 for others than admins, 403 for private packages, 404 for what is not here, 422
/// for a body without a good reason.
pub async fn put_block(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
    version: Option<&str>,
) -> Result<HttpResponse, ApiError> {
    let (by, body) = match admin(app, request).await {
        Ok(by) => (by, read(request, payload, app.settings.max_body_bytes).await?),
        Err(refused) => {
            drain(request, payload, app.settings.max_body_bytes).await?;
            return Err(refused);
        }
    };
    let reason = reason(&body)?;
    let package_id = look(app, &name, version).await?.blockable(&name, version)?;
    let row = app.engine.block(&name, version.unwrap_or(WHOLE_PACKAGE), &reason, by).await?;
    Ok(created(&BlockCreated::of(&row, package_id, version)))
}

/// Lifts a block; one that is not there is as good as lifted.
///
/// # Errors
/// 401 and 403 for others than admins, 403 for private packages, 404 for what is not here.
pub async fn delete_block(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
    version: Option<&str>,
) -> Result<HttpResponse, ApiError> {
    drain(request, payload, app.settings.max_body_bytes).await?;
    let by = admin(app, request).await?;
    look(app, &name, version).await?.unblockable(&name)?;
    app.engine.unblock(&name, version.unwrap_or(WHOLE_PACKAGE), by).await?;
    Ok(json_answer(&Done { ok: true }))
}

/// Gives a version out that is held back by its age (`security.hold`) or denied by a rule.
///
/// # Errors
/// 401 and 403 for others than admins, 404 for what is not here.
pub async fn put_release(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
    version: &str,
) -> Result<HttpResponse, ApiError> {
    drain(request, payload, app.settings.max_body_bytes).await?;
    let by = admin(app, request).await?;
    let looked = look(app, &name, Some(version)).await?;
    looked.releasable(app, &name, "release")?;
    if !looked.has_version {
        return Err(no_version(&name, version));
    }
    app.engine.release(&name, version, by).await?;
    Ok(created(&Done { ok: true }))
}

/// Takes a release back; one that is not there is as good as taken back.
///
/// # Errors
/// 401 and 403 for others than admins, 403 for private packages, 404 for what is not here.
pub async fn delete_release(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
    version: &str,
) -> Result<HttpResponse, ApiError> {
    drain(request, payload, app.settings.max_body_bytes).await?;
    let by = admin(app, request).await?;
    look(app, &name, None).await?.releasable(app, &name, "hold back")?;
    app.engine.take_release_back(&name, version, by).await?;
    Ok(json_answer(&Done { ok: true }))
}

fn reason(body: &[u8]) -> Result<String, ApiError> {
    let wish: Wish = serde_json::from_slice(body)
        .map_err(|error| ApiError::Invalid(format!("the body: {error}")))?;
    let missing = || ApiError::Invalid("must have required property 'reason'".to_owned());
    let reason = wish.reason.ok_or_else(missing)?.trim().to_owned();
    match reason.chars().count() {
        0 => Err(ApiError::Invalid("reason: must NOT have fewer than 1 characters".to_owned())),
        length if length > LONGEST_REASON => Err(ApiError::Invalid(format!(
            "reason: must NOT have more than {LONGEST_REASON} characters"
        ))),
        _ => Ok(reason),
    }
}

fn no_version(name: &PackageName, version: &str) -> ApiError {
    ApiError::NotThere(format!("Version {version} not found for package {name}"))
}

/// What the tables say about the target of a request.
struct Looked {
    package: Option<(i64, String)>,
    has_version: bool,
    block: Option<BlockRow>,
}

async fn look(app: &App, name: &PackageName, version: Option<&str>) -> Result<Looked, ApiError> {
    let (name, version) = (name.clone(), version.map(str::to_owned));
    let read = move |rows: &mut AnyConnection| {
        let package = packages::find(rows, &name)?.map(|row| (row.id, row.registry));
        let has_version = match &version {
            Some(version) => versions::find(rows, &name, version)?.is_some(),
            None => true,
        };
        let block = blocks::find(rows, &name, WHOLE_PACKAGE)?;
        Ok::<_, StoreError>(Looked { package, has_version, block })
    };
    Ok(app.engine.store().read(read).await?)
}

impl Looked {
    /// Row id of the package, in the order of the contract's checks.
    fn blockable(&self, name: &PackageName, version: Option<&str>) -> Result<i64, ApiError> {
        let id = self.public(name, "block")?;
        let Some(version) = version else { return Ok(id) };
        if self.block.is_some() {
            return Err(ApiError::Forbidden(format!(
                "Package \"{name}\" is already blocked at package-level, cannot block individual \
                 versions"
            )));
        }
        if !self.has_version {
            return Err(no_version(name, version));
        }
        Ok(id)
    }

    fn unblockable(&self, name: &PackageName) -> Result<(), ApiError> {
        self.public(name, "unblock").map(drop)
    }

    /// What is published here is held back only where a setting says so.
    fn releasable(&self, app: &App, name: &PackageName, verb: &str) -> Result<(), ApiError> {
        match app.engine.policy().hold.published && self.package.is_some() {
            true => Ok(()),
            false => self.public(name, verb).map(drop),
        }
    }

    fn public(&self, name: &PackageName, verb: &str) -> Result<i64, ApiError> {
        match &self.package {
            None => Err(ApiError::not_found(name)),
            Some((_, registry)) if registry == SELF => {
                Err(ApiError::Forbidden(format!("Can't {verb} private package \"{name}\"")))
            }
            Some((id, _)) => Ok(*id),
        }
    }
}
