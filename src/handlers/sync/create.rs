//! `PUT /-/package/:fullname/syncs` and its older form `PUT /:fullname/sync`.

use actix_web::web::Payload;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use actors::DEFAULT_REGISTRY;
use actors::registries::Ownership;
use npm::PackageName;
use store::tasks::{NewTask, PRIORITY_FORCED, PRIORITY_PEOPLE, TaskOptions, TaskRow};
use store::{AnyConnection, Keeping, StoreError, TaskId, packages, registries};

use super::wish::Wish;
use crate::access::gate;
use crate::app::{App, SyncMode};
use crate::error::ApiError;
use crate::extract::body::{drain, read};
use crate::extract::caller::{Caller, client};
use crate::extract::request_id::RequestId;
use crate::views::created;
use crate::views::task::{Created, LegacyCreated};

/// Asks for a sync of a package with the options of the body.
///
/// # Errors
/// 401, 403 and 422 in the order of the contract, 429 above the limit.
pub async fn create_sync(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    let limit = app.settings.max_body_bytes;
    let caller = match admit(app, request, &name).await {
        Ok(caller) => caller,
        Err(refused) => {
            drain(request, payload, limit).await?;
            return Err(refused);
        }
    };
    let wish = Wish::parse(&read(request, payload, limit).await?)?;
    let row = queue(app, request, &caller, name, wish).await?;
    Ok(created(&Created::of(&row)))
}

/// The same with the one option that older clients know; a body says nothing here.
///
/// # Errors
/// As [`create_sync`].
pub async fn create_sync_legacy(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    drain(request, payload, app.settings.max_body_bytes).await?;
    let caller = admit(app, request, &name).await?;
    let skip_dependencies = request.query_string().split('&').any(|pair| pair == "nodeps=true");
    let row = queue(app, request, &caller, name, Wish { skip_dependencies, ..Wish::default() });
    Ok(created(&LegacyCreated::of(&row.await?)))
}

/// Whether the caller may ask for a sync of this package.
async fn admit(app: &App, request: &HttpRequest, name: &PackageName) -> Result<Caller, ApiError> {
    if app.settings.sync_mode == SyncMode::None {
        return Err(ApiError::Forbidden("Not allow to sync package".to_owned()));
    }
    let caller = Caller::of(app, request).await?;
    if !app.settings.sync_anonymous {
        caller.user()?;
    }
    if app.settings.sync_mode == SyncMode::Admin && !caller.is_admin() {
        return Err(ApiError::Forbidden("Only admin allow to sync package".to_owned()));
    }
    if let Ok(user) = caller.user() {
        user.may_change(name, "sync")?;
    }
    gate::of_name(app, request, name).await?;
    if !caller.is_admin() {
        app.sync_limit.check(client(app, request), caller.name())?;
    }
    Ok(caller)
}

async fn queue(
    app: &App,
    request: &HttpRequest,
    caller: &Caller,
    name: PackageName,
    wish: Wish,
) -> Result<TaskRow, ApiError> {
    check_force(caller, &wish)?;
    let (asked, of) = (wish.registry.clone(), name.clone());
    let looked = app.engine.store().read(move |rows| look(rows, &of, asked.as_deref())).await?;
    let registry = looked.choose(&app.engine.registries().ownership(), &name, &wish)?;
    let task = NewTask {
        id: TaskId::new(),
        name,
        registry,
        priority: if wish.force { PRIORITY_FORCED } else { PRIORITY_PEOPLE },
        options: options(app, request, wish)?,
        author: caller.name().map(str::to_owned),
        author_ip: client(app, request).map(|address| address.to_string()),
    };
    let row = app.engine.enqueue(vec![task]).await?.pop();
    row.ok_or_else(|| ApiError::Internal("a queued task was left without an answer".to_owned()))
}

fn check_force(caller: &Caller, wish: &Wish) -> Result<(), ApiError> {
    let option = match (wish.force, wish.force_sync_history) {
        _ if caller.is_admin() => return Ok(()),
        (true, _) => "force",
        (_, true) => "forceSyncHistory",
        _ => return Ok(()),
    };
    Err(ApiError::Forbidden(format!("Only admin allow to use {option}")))
}

/// What the tables say about the package and the registry that was asked for.
struct Looked {
    owner: Option<String>,
    asked_is_known: bool,
}

fn look(
    rows: &mut AnyConnection,
    name: &PackageName,
    asked: Option<&str>,
) -> Result<Looked, StoreError> {
    let owner = packages::find(rows, name)?.map(|package| package.registry);
    let asked_is_known = match asked {
        // it may be known from the settings alone
        None | Some(DEFAULT_REGISTRY) => true,
        Some(asked) => registries::find(rows, asked)?.is_some(),
    };
    Ok(Looked { owner, asked_is_known })
}

impl Looked {
    /// The registry to take the package from, in the order of the contract's checks.
    fn choose(
        self,
        ownership: &Ownership,
        name: &PackageName,
        wish: &Wish,
    ) -> Result<String, ApiError> {
        if let Some(asked) = &wish.registry
            && !self.asked_is_known
        {
            let text = format!("Can't find target registry \"{asked}\"");
            return Err(ApiError::Forbidden(text));
        }
        let set = self.owner.as_deref();
        let Ok(owner) = ownership.asked(name, set) else {
            return Err(ApiError::Forbidden(format!("Can't sync private package \"{name}\"")));
        };
        if wish.sync_download_data {
            // counters of downloads are not kept
            let text = "Not allow to sync package download data";
            return Err(ApiError::Forbidden(text.to_owned()));
        }
        let registry = wish.registry.as_deref().unwrap_or(owner);
        match ownership.check(name, set, registry) {
            Ok(()) => Ok(registry.to_owned()),
            Err(_) => Err(ApiError::Forbidden(format!("The package is synced from {owner}"))),
        }
    }
}

fn options(app: &App, request: &HttpRequest, wish: Wish) -> Result<TaskOptions, ApiError> {
    let tips = match wish.tips {
        Some(tips) => tips,
        None => default_tips(app, request)?,
    };
    Ok(TaskOptions {
        skip_dependencies: wish.skip_dependencies,
        force: wish.force,
        force_sync_history: wish.force_sync_history,
        sync_download_data: wish.sync_download_data,
        tips: Some(tips),
        specific_versions: wish.specific_versions,
        keep: Keeping::Mirrored,
        ..TaskOptions::default()
    })
}

/// Names the request, as the reference does, so that a log tells where its task came from.
fn default_tips(app: &App, request: &HttpRequest) -> Result<String, ApiError> {
    let base = app.base_of(request)?;
    let extensions = request.extensions();
    let trace = extensions.get::<RequestId>().and_then(|id| id.0.to_str().ok());
    let trace = trace.map_or_else(String::new, |id| format!(", parent traceId: {id}"));
    Ok(format!("Sync cause by \"{}{}\"{trace}", base.url, request.uri()))
}
