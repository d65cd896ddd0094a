//! The whole URL table on one page.
//!
//! Routes are matched one after another, so everything below `/-/` is one scope, and packages,
//! which are nearly all requests, are one default service that reads the raw path itself:
//! `%2f`, doubled slashes and odd names never meet a pattern.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, guard};
use npm::{PackageName, PackagePath};
use percent_encoding::percent_decode_str;

use crate::app::App;
use crate::control;
use crate::control::messages::{BELOW_DASH, PREFIX};
use crate::control::operate::operate;
use crate::control::operator::admins_only;
use crate::error::ApiError;
use crate::handlers::publish::Revised;
use crate::handlers::{
    access, advisories, audit, blocks, dist_tag, downloads, feed, health, home, hooks, login,
    manifest, orgs, packument, publish, registries, search, signing, stars, sync, tarball, tasks,
    tokens, unserved, users,
};
use crate::operations::accounts::{
    AddLink, AddToken, AddUser, ChangeUser, FindUser, ListTokens, ListUsers, RemoveToken,
    RenewAdminToken,
};
use crate::operations::advisories::{
    ClearAdvisories, CountAdvisories, ListAdvisories, PutAdvisories,
};
use crate::operations::audit::ListAudit;
use crate::operations::registries::{ChangeRegistries, ListRegistries};

/// The registry.
pub fn registry(config: &mut ServiceConfig) {
    let api = web::scope("/-")
        .service(read("/ping", health::get_ping))
        .service(read("/livez", health::get_livez))
        .service(read("/readyz", health::get_readyz))
        .service(read("/metrics", health::get_metrics))
        .configure(accounts)
        .service(read("/all", unserved::get_all))
        .service(read("/npm/v1/keys", signing::get_keys))
        .service(read("/npm/v1/attestations/{spec:.*}", signing::get_attestations))
        .service(read("/v1/search", search::get_search))
        .service(web::resource("/v1/search/sync/{name:.*}").to(search::search_api))
        .service(read("/tasks", tasks::list_tasks))
        .service(read("/tasks/{id}", tasks::get_task))
        .service(command("/tasks/{id}/cancel", tasks::cancel_task))
        .service(command("/tasks/{id}/retry", tasks::retry_task))
        .service(registries())
        .service(read("/audit", audit::list_audit))
        .service(web::resource("/org{rest:(/.*)?}").to(orgs::org_api))
        .service(web::resource("/team{rest:(/.*)?}").to(orgs::team_api))
        .service(read("/_view/starredByUser", stars::get_starred_by))
        .service(
            web::scope(BELOW_DASH)
                .wrap(from_fn(admins_only))
                .configure(operating)
                .default_service(web::to(unserved::unknown)),
        )
        .service(web::resource("/package/{rest:.*}").to(package_api))
        .service(web::resource("/npm/v1/security/{rest:.*}").to(advisories::security_api))
        .default_service(web::to(below_dash));
    config
        .service(api)
        .service(read("/", home::get_home))
        .service(read("/_changes", feed::get_changes))
        .service(read("/_all_docs", feed::get_names))
        // the path below npm's feed host, which followers have in their settings
        .service(read("/registry/_changes", feed::get_changes))
        .service(read("/registry/_all_docs", feed::get_names))
        .default_service(web::to(packages));
}

/// Users and their tokens.
fn accounts(config: &mut ServiceConfig) {
    config
        .service(read("/whoami", users::get_whoami))
        .service(web::resource("/user/{rest:.*}").to(users::user_api))
        .service(
            web::resource(["/npm/v1/user", "/npm/v1/user/"])
                .route(web::route().guard(reading_guard()).to(users::get_profile))
                .route(web::post().to(users::set_profile))
                .default_service(web::to(unserved::wrong_method)),
        )
        .service(web::resource("/npm/v1/tokens{rest:(/.*)?}").to(tokens::token_api))
        .service(web::resource("/npm/v1/hooks{rest:(/.*)?}").to(hooks::hook_api))
        .service(command("/v1/login", login::begin_login))
        .service(page("/v1/login/request/session/{id}", login::get_page, login::post_page))
        .service(page("/ui/join/{link}", login::get_join, login::post_join))
        .service(
            // no HEAD: what is looked at here is given out once
            web::resource("/v1/login/done/session/{id}")
                .route(web::get().to(login::get_done))
                .default_service(web::to(unserved::wrong_method)),
        );
}

/// The plain paths of the ops listener; on the registry's own they are legal package names.
pub fn ops(config: &mut ServiceConfig) {
    config
        .service(read("/livez", health::get_livez))
        .service(read("/readyz", health::get_readyz))
        .service(read("/metrics", health::get_metrics))
        .default_service(web::to(unserved::unknown));
}

/// The owner's API on the control socket.
pub fn owner(config: &mut ServiceConfig) {
    let api = web::scope(PREFIX)
        .configure(operating)
        .service(command("/backup", control::operations::backup))
        .service(command("/tokens/renew", operate::<RenewAdminToken>))
        .service(command("/stop", control::status::stop_server));
    config.service(api).default_service(web::to(unserved::unknown));
}

/// What operators may do, on the socket and as admins from afar.
fn operating(config: &mut ServiceConfig) {
    config
        .service(read("/status", control::status::get_status))
        .service(read("/events", control::events::get_events))
        .service(read("/missing", control::missing::get_missing))
        .service(read("/tasks", control::tasks::list_tasks))
        .service(read("/tasks/{id}", control::tasks::get_task))
        .service(read("/tasks/{id}/log", control::tasks::get_task_log))
        .service(read("/tasks/{id}/log/stream", control::tasks::stream_task_log))
        .service(command("/tasks/{id}/retry", control::tasks::retry_task))
        .service(command("/tasks/{id}/cancel", control::tasks::cancel_task))
        .service(command("/sync", control::sync::sync_packages))
        .service(
            web::resource("/blocks")
                .route(web::get().to(control::blocks::list_blocks))
                .route(web::post().to(control::blocks::add_block))
                .default_service(web::to(unserved::wrong_method)),
        )
        .service(command("/blocks/remove", control::blocks::remove_block))
        .service(read("/holds", control::holds::list_holds))
        .service(command("/releases", control::holds::release))
        .service(command("/releases/remove", control::holds::take_back))
        .service(command("/denials", control::denials::list_denials))
        .service(
            web::resource("/hooks")
                .route(web::get().to(control::hooks::list_hooks))
                .route(web::post().to(control::hooks::add_hook))
                .default_service(web::to(unserved::wrong_method)),
        )
        .service(command("/hooks/redeliver/{id}", control::hooks::redeliver))
        .service(command("/hooks/{id}/change", control::hooks::change_hook))
        .service(command("/hooks/{id}/remove", control::hooks::remove_hook))
        .service(command("/hooks/{id}/test", control::hooks::test_hook))
        .service(read("/hooks/{id}/deliveries", control::hooks::list_deliveries))
        .service(command("/registries/test", control::registries::test))
        .service(command("/registries/list", operate::<ListRegistries>))
        .service(command("/registries/change", operate::<ChangeRegistries>))
        .service(command("/users/list", operate::<ListUsers>))
        .service(command("/users/find", operate::<FindUser>))
        .service(command("/users/add", operate::<AddUser>))
        .service(command("/users/change", operate::<ChangeUser>))
        .service(command("/users/link", operate::<AddLink>))
        .service(command("/tokens/list", operate::<ListTokens>))
        .service(command("/tokens/add", operate::<AddToken>))
        .service(command("/tokens/remove", operate::<RemoveToken>))
        .service(command("/audit/list", operate::<ListAudit>))
        .service(command("/advisories/put", operate::<PutAdvisories>))
        .service(command("/advisories/list", operate::<ListAdvisories>))
        .service(command("/advisories/count", operate::<CountAdvisories>))
        .service(command("/advisories/clear", operate::<ClearAdvisories>))
        .service(command("/verify", control::operations::verify))
        .service(command("/gc", control::operations::gc));
}

/// A path, with or without a slash at its end, that answers GET and HEAD.
///
/// Two resources, because one with two patterns is matched by a regular expression, and those at
/// the root meet every request.
fn read<F, Args>(path: &str, handler: F) -> impl HttpServiceFactory + 'static
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let slashed = format!("{}/", path.trim_end_matches('/'));
    (reading(path, handler.clone()), reading(&slashed, handler))
}

fn reading<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path.to_owned())
        .route(web::route().guard(reading_guard()).to(handler))
        .default_service(web::to(unserved::wrong_method))
}

/// A page with a form that is sent to the page itself.
fn page<F, G, Args, Sent>(path: &str, get: F, post: G) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
    G: Handler<Sent>,
    Sent: FromRequest + 'static,
    G::Output: Responder + 'static,
{
    web::resource(path.to_owned())
        .route(web::route().guard(reading_guard()).to(get))
        .route(web::post().to(post))
        .default_service(web::to(unserved::wrong_method))
}

fn reading_guard() -> impl guard::Guard {
    guard::Any(guard::Get()).or(guard::Head())
}

/// Upstream registries and the scopes that belong to them.
fn registries() -> impl HttpServiceFactory {
    let all = move |resource: Resource| {
        resource
            .route(web::route().guard(reading_guard()).to(registries::list_registries))
            .route(web::post().to(registries::create_registry))
    };
    let one = move |resource: Resource| {
        resource
            .route(web::route().guard(reading_guard()).to(registries::get_registry))
            .route(web::patch().to(registries::change_registry))
            .route(web::delete().to(registries::delete_registry))
    };
    let scopes = move |resource: Resource| {
        resource.route(web::route().guard(reading_guard()).to(registries::list_scopes))
    };
    (
        several("/registry", "GET, HEAD, POST, OPTIONS", all),
        several("/registry/{id}", "GET, HEAD, PATCH, DELETE, OPTIONS", one),
        several("/registry/{id}/scopes", unserved::READING, scopes),
        several("/registry/{id}/sync", "POST, OPTIONS", |resource| {
            resource.route(web::post().to(registries::sync_registry))
        }),
        several("/scope", "POST, OPTIONS", |resource| {
            resource.route(web::post().to(registries::create_scope))
        }),
        several("/scope/{id}", "DELETE, OPTIONS", |resource| {
            resource.route(web::delete().to(registries::delete_scope))
        }),
    )
}

/// A path, with or without a slash at its end, with routes for several methods.
fn several(
    path: &str,
    allow: &'static str,
    routes: impl Fn(Resource) -> Resource,
) -> impl HttpServiceFactory + 'static {
    let resource = |path: &str| {
        let refuse = move |app: Data<App>, request: HttpRequest, payload: Payload| async move {
            unserved::only(&app, &request, payload, allow).await
        };
        routes(web::resource(path.to_owned())).default_service(web::to(refuse))
    };
    (resource(path), resource(&format!("{path}/")))
}

/// A path that answers POST.
fn command<F, Args>(path: &str, handler: F) -> impl HttpServiceFactory + 'static
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path.to_owned())
        .route(web::post().to(handler))
        .default_service(web::to(unserved::wrong_method))
}

/// Packages: packument, manifest and tarball in all their path forms.
async fn packages(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return write_package(app, request, payload).await;
    }
    match PackagePath::parse(request.uri().path())? {
        PackagePath::Packument(name) => packument::get_packument(&app, &request, name).await,
        PackagePath::Tarball { name, file } => {
            tarball::get_tarball(&app, &request, name, file).await
        }
        PackagePath::Manifest { name, spec } => {
            manifest::get_manifest(&app, &request, name, spec).await
        }
        PackagePath::SyncLog { name, task } => {
            sync::get_log_legacy(&app, &request, &name, &task).await
        }
        PackagePath::Other if request.uri().path().starts_with(downloads::PREFIX) => {
            downloads::get_downloads(&app, &request).await
        }
        PackagePath::Other => Err(ApiError::not_found(request.uri().path())),
    }
}

/// What is asked of a package otherwise than by reading: a sync, in its older form, or what
/// publishers and those who like it send.
async fn write_package(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    if let Some(what) = publish::revised(request.uri().path()) {
        return revised_api(app, request, payload, what).await;
    }
    match PackagePath::parse(request.uri().path()) {
        Ok(PackagePath::Manifest { name, spec })
            if spec == "sync" && *request.method() == Method::PUT =>
        {
            sync::create_sync_legacy(&app, &request, payload, name).await
        }
        Ok(PackagePath::Packument(name)) if *request.method() == Method::PUT => {
            publish::put_package(&app, &request, payload, name).await
        }
        _ => unserved::wrong_method(app, request, payload).await,
    }
}

/// `/-rev/` behind a package or one of its tarballs.
async fn revised_api(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
    what: Revised,
) -> Result<HttpResponse, ApiError> {
    match (request.method(), what) {
        (&Method::PUT, Revised::Package(name)) => {
            publish::put_revision(&app, &request, payload, name).await
        }
        (&Method::DELETE, what) => publish::delete_revision(&app, &request, payload, what).await,
        (_, Revised::Package(_)) => {
            unserved::only(&app, &request, payload, "PUT, DELETE, OPTIONS").await
        }
        _ => unserved::only(&app, &request, payload, "DELETE, OPTIONS").await,
    }
}

/// What the scope has no route for. `-` alone is the name of a real package, too.
async fn below_dash(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    if unserved::is_package_dash(&request) {
        return packages(app, request, payload).await;
    }
    unserved::unknown(app, request, payload).await
}

/// `/-/package/:name/…`: the name is one escaped segment or two plain ones.
async fn package_api(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Some((name, rest)) = package_and_rest(request.uri().path())? else {
        return unserved::unknown(app, request, payload).await;
    };
    let segments: Vec<&str> = rest.split('/').collect();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match segments.as_slice() {
        ["dist-tags"] if reads => dist_tag::get_dist_tags(&app, &request, name).await,
        ["dist-tags", tag] => {
            let tag = percent_decode_str(tag).decode_utf8_lossy().into_owned();
            match *request.method() {
                Method::PUT => publish::put_tag(&app, &request, payload, name, &tag).await,
                Method::DELETE => publish::delete_tag(&app, &request, payload, name, &tag).await,
                _ => unserved::only(&app, &request, payload, "PUT, DELETE, OPTIONS").await,
            }
        }
        ["syncs", task] if reads => sync::get_status(&app, &request, &name, task).await,
        ["syncs", task, "log"] if reads => sync::get_log(&app, &request, &name, task).await,
        ["syncs", task, "log", "stream"] if reads => {
            sync::stream_log(&app, &request, &name, task).await
        }
        ["syncs"] if *request.method() == Method::PUT => {
            sync::create_sync(&app, &request, payload, name).await
        }
        ["collaborators"] if reads => access::get_collaborators(&app, &request, name).await,
        ["visibility"] if reads => access::get_visibility(&app, &request, name).await,
        ["access"] => match *request.method() {
            Method::POST => access::post_access(&app, &request, payload, name).await,
            _ => unserved::only(&app, &request, payload, "POST, OPTIONS").await,
        },
        ["blocks"] => blocks_api(app, request, payload, name, None).await,
        ["blocks", version] => {
            let version = percent_decode_str(version).decode_utf8_lossy().into_owned();
            blocks_api(app, request, payload, name, Some(&version)).await
        }
        ["releases", version] => {
            let version = percent_decode_str(version).decode_utf8_lossy().into_owned();
            match *request.method() {
                Method::PUT => blocks::put_release(&app, &request, payload, name, &version).await,
                Method::DELETE => {
                    blocks::delete_release(&app, &request, payload, name, &version).await
                }
                _ => unserved::only(&app, &request, payload, "PUT, DELETE, OPTIONS").await,
            }
        }
        ["syncs"] => unserved::only(&app, &request, payload, "PUT, OPTIONS").await,
        ["collaborators"] | ["visibility"] => unserved::wrong_method(app, request, payload).await,
        ["dist-tags"] | ["syncs", _] | ["syncs", _, "log"] | ["syncs", _, "log", "stream"] => {
            unserved::wrong_method(app, request, payload).await
        }
        _ => unserved::unknown(app, request, payload).await,
    }
}

/// `blocks` of a package, or with a version of that.
async fn blocks_api(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
    name: PackageName,
    version: Option<&str>,
) -> Result<HttpResponse, ApiError> {
    match *request.method() {
        Method::GET | Method::HEAD if version.is_none() => {
            blocks::get_blocks(&app, &request, name).await
        }
        Method::PUT => blocks::put_block(&app, &request, payload, name, version).await,
        Method::DELETE => blocks::delete_block(&app, &request, payload, name, version).await,
        _ => {
            let allow = match version {
                None => "GET, HEAD, PUT, DELETE, OPTIONS",
                Some(_) => "PUT, DELETE, OPTIONS",
            };
            unserved::only(&app, &request, payload, allow).await
        }
    }
}

/// Splits `/-/package/@s%2fn/dist-tags/` into the name and `dist-tags`.
fn package_and_rest(path: &str) -> Result<Option<(PackageName, &str)>, ApiError> {
    let path = path.trim_end_matches('/');
    let Some((_, path)) = path.split_once("/package/") else { return Ok(None) };
    let path = path.trim_start_matches('/');
    let is_scoped = path.starts_with('@') || path.get(..3).is_some_and(is_escaped_at);
    let first = path.find('/').unwrap_or(path.len());
    let (segment, _) = path.split_at(first);
    let two_segments = is_scoped && !segment.to_ascii_lowercase().contains("%2f");
    let end = match path.get(first + 1..).and_then(|rest| rest.find('/')) {
        Some(second) if two_segments => first + 1 + second,
        _ => first,
    };
    let Some((name, rest)) = path.split_at_checked(end) else { return Ok(None) };
    match PackagePath::parse(name)? {
        PackagePath::Packument(name) => Ok(Some((name, rest.trim_start_matches('/')))),
        _ => Ok(None),
    }
}

fn is_escaped_at(text: &str) -> bool {
    text.eq_ignore_ascii_case("%40")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_in_an_api_path_is_one_segment_or_two() {
        for (path, name, rest) in [
            ("/-/package/lamp/dist-tags", "lamp", "dist-tags"),
            ("/-/package/lamp/dist-tags/", "lamp", "dist-tags"),
            ("/-/package/@s%2fn/dist-tags", "@s/n", "dist-tags"),
            ("/-/package/@s%2Fn/dist-tags", "@s/n", "dist-tags"),
            ("/-/package/%40s%2fn/dist-tags", "@s/n", "dist-tags"),
            ("/-/package/@s/n/dist-tags", "@s/n", "dist-tags"),
            ("/-/package/%40s/n/dist-tags", "@s/n", "dist-tags"),
            ("/-/package/lamp", "lamp", ""),
            ("/-/package/lamp/dist-tags/beta", "lamp", "dist-tags/beta"),
        ] {
            let (found, tail) = package_and_rest(path).unwrap().unwrap();
            assert_eq!((found.as_str(), tail), (name, rest), "{path}");
        }
        assert!(package_and_rest("/-/package/").unwrap().is_none());
        assert!(package_and_rest("/-/package/%2e%2e/dist-tags").is_err());
    }
}
