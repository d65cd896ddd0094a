//! Hooks of everybody: for the person who runs the mirror.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Path, Payload, Query};
use actors::hook_dispatcher::RefusedEndpoint;
use npm::HookKind;
use serde::{Deserialize, Serialize};
use store::hooks::history;
use store::hooks::outbox::DeliveryId;
use store::hooks::{self, HookRow, HookSecret, Made, NewHook};
use store::{AnyConnection, StoreError, users};

use super::body::json;
use super::messages::DoneAnswer;
use super::operator::operator;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::fields::invalid;
use crate::handlers::hooks::wish::{checked_endpoint, checked_name, checked_secret};
use crate::views::hook::{DeliveryList, TestAnswer};

/// Rows of a page when nothing is said.
const PAGE: i64 = 100;

/// Query of `GET hooks`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HooksQuery {
    /// Only those of this user.
    pub user: Option<String>,
    /// Only those behind this id.
    pub after: Option<String>,
    /// At most this many.
    pub limit: Option<i64>,
}

/// Answer of `GET hooks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HooksAnswer {
    /// The hooks, in the order they were made.
    pub hooks: Vec<HookInfo>,
}

/// One hook, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookInfo {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// `package`, `scope`, `owner`.
    pub kind: String,
    /// What it is about.
    pub name: String,
    /// Where deliveries go.
    pub endpoint: String,
    /// Why it is paused.
    pub paused: Option<String>,
    /// Tries that failed since the last success.
    pub failures: i64,
    /// Nothing is sent before, unix milliseconds.
    pub not_before_ms: i64,
    /// When something was sent last, unix milliseconds.
    pub last_delivery_ms: Option<i64>,
    /// What was answered then.
    pub last_code: Option<i64>,
    /// When it was made, unix milliseconds.
    pub created_at_ms: i64,
    /// Deliveries that waited too long while it was paused.
    #[serde(default)]
    pub dropped: i64,
    /// The process that delivers now, by its id.
    #[serde(default)]
    pub worker: Option<String>,
}

impl HookInfo {
    /// What the command line calls it by.
    #[must_use]
    pub fn target(&self) -> String {
        if self.kind == HookKind::Owner.as_str() {
            format!("~{}", self.name)
        } else {
            self.name.clone()
        }
    }
}

impl From<HookRow> for HookInfo {
    fn from(row: HookRow) -> Self {
        Self {
            id: row.id,
            user: row.owner,
            kind: row.kind.as_str().to_owned(),
            name: row.name,
            endpoint: row.endpoint,
            paused: row.paused,
            failures: row.health.failures,
            not_before_ms: row.health.not_before_ms,
            last_delivery_ms: row.last_delivery_ms,
            last_code: row.last_code,
            created_at_ms: row.created_at_ms,
            dropped: row.dropped,
            worker: row.worker,
        }
    }
}

/// Body of `POST hooks`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookRequest {
    /// Whose it is to be.
    pub user: String,
    /// `lamp`, `@garden`, or `~eve` for what a user maintains.
    pub target: String,
    /// Where deliveries go.
    pub endpoint: String,
    /// What they are signed with.
    pub secret: String,
}

/// Body of `POST hooks/{id}/change`; what is left out stays, and the hook is resumed unless it is to
/// be paused.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookChangeRequest {
    /// Where deliveries go.
    pub endpoint: Option<String>,
    /// What they are signed with.
    pub secret: Option<String>,
    /// Why nothing is to be delivered.
    pub pause: Option<String>,
}

/// Query of `GET hooks/{id}/deliveries`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveriesQuery {
    /// Only those before this one.
    pub before: Option<String>,
    /// At most this many.
    pub limit: Option<i64>,
}

/// What a hook is changed to.
#[derive(Debug)]
pub enum HookChange {
    /// Nothing is delivered any more, and why.
    Pause(String),
    /// It goes on.
    Go {
        /// Where to from now on.
        endpoint: Option<String>,
        /// Signed with what from now on.
        secret: Option<HookSecret>,
    },
}

impl HooksQuery {
    /// The page.
    ///
    /// # Errors
    /// Those of the database.
    pub fn read(self, rows: &mut AnyConnection) -> Result<HooksAnswer, StoreError> {
        let limit = self.limit.unwrap_or(PAGE).clamp(1, 1_000);
        let found = match &self.user {
            Some(user) => hooks::of_owner(rows, user, None, 0, limit)?,
            None => hooks::list(rows, self.after.as_deref().unwrap_or_default(), limit)?,
        };
        Ok(HooksAnswer { hooks: found.into_iter().map(HookInfo::from).collect() })
    }
}

impl HookRequest {
    /// The hook, when all of it is legal; `check` knows where hooks may lead.
    ///
    /// # Errors
    /// 422 for what is not legal.
    pub fn checked(
        self,
        check: impl FnOnce(&str) -> Result<(), RefusedEndpoint>,
    ) -> Result<NewHook, ApiError> {
        let kind = match self.target.as_str() {
            target if target.starts_with('~') => HookKind::Owner,
            target if target.starts_with('@') && !target.contains('/') => HookKind::Scope,
            _ => HookKind::Package,
        };
        Ok(NewHook {
            kind,
            name: checked_name(kind, self.target.trim())?,
            endpoint: checked_endpoint(&self.endpoint, check)?,
            secret: checked_secret(&self.secret)?,
            owner: self.user,
        })
    }
}

impl HookChangeRequest {
    /// The change, when all of it is legal; `check` knows where hooks may lead.
    ///
    /// # Errors
    /// 422 for what is not legal.
    pub fn checked(
        self,
        check: impl FnOnce(&str) -> Result<(), RefusedEndpoint>,
    ) -> Result<HookChange, ApiError> {
        match self.pause.as_deref().map(str::trim) {
            Some("") => Err(invalid("pause", "must say why")),
            Some(reason) => Ok(HookChange::Pause(reason.to_owned())),
            None => Ok(HookChange::Go {
                endpoint: self.endpoint.map(|to| checked_endpoint(&to, check)).transpose()?,
                secret: self.secret.as_deref().map(checked_secret).transpose()?,
            }),
        }
    }
}

impl DeliveriesQuery {
    /// The page of a hook.
    ///
    /// # Errors
    /// 422 for a place in the list that is none.
    pub fn reading(
        &self,
        hook: String,
    ) -> Result<impl FnOnce(&mut AnyConnection) -> Result<DeliveryList, StoreError> + use<>, ApiError>
    {
        let limit = self.limit.unwrap_or(PAGE).clamp(1, 1_000);
        let before = self.before.as_deref().map(|text| delivery(text).map(|id| id.seq));
        let before = before.transpose()?;
        Ok(move |rows: &mut AnyConnection| {
            let page = history::list(rows, &hook, before, limit, |_| true)?;
            Ok(DeliveryList::from(&page))
        })
    }
}

/// What somebody is told whose hook was not made.
///
/// # Errors
/// 403 for one too many, 409 for a second one.
pub fn made(made: Made) -> Result<HookInfo, ApiError> {
    match made {
        Made::Hook(hook) => Ok((*hook).into()),
        Made::TooMany => Err(ApiError::Forbidden("hooks limit exceeded".to_owned())),
        Made::Exists => Err(ApiError::Conflict("there is such a hook already".to_owned())),
    }
}

/// There is no such user.
#[must_use]
pub fn no_user(name: &str) -> ApiError {
    ApiError::not_found(format!("user {name}"))
}

/// `GET hooks`.
///
/// # Errors
/// When they cannot be read.
pub async fn list_hooks(
    app: Data<App>,
    query: Query<HooksQuery>,
) -> Result<Json<HooksAnswer>, ApiError> {
    let query = query.into_inner();
    Ok(Json(app.engine.store().read(move |rows| query.read(rows)).await?))
}

/// `POST hooks`.
///
/// # Errors
/// 404 without such a user, 409 for a second one, 422 for what is not legal.
pub async fn add_hook(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<HookInfo>, ApiError> {
    let asked: HookRequest = json(&request, payload).await?;
    let new = asked.checked(|to| app.engine.check_endpoint(to))?;
    let owner = new.owner.clone();
    let found = app.engine.store().read(move |rows| users::find(rows, &owner)).await?;
    if found.is_none() {
        return Err(no_user(&new.owner));
    }
    let (limit, by) = (app.settings.hooks_per_user, operator(&app, &request));
    made(app.engine.create_hook(new, limit, by).await?).map(Json)
}

/// `POST hooks/{id}/change`.
///
/// # Errors
/// 404 without such a hook, 422 for what is not legal.
pub async fn change_hook(
    app: Data<App>,
    id: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<HookInfo>, ApiError> {
    let asked: HookChangeRequest = json(&request, payload).await?;
    let hook = find(&app, &id).await?;
    let by = operator(&app, &request);
    let changed = match asked.checked(|to| app.engine.check_endpoint(to))? {
        HookChange::Pause(reason) => app.engine.pause_hook(&hook.id, &reason, by).await?,
        HookChange::Go { endpoint, secret } => {
            let endpoint = endpoint.unwrap_or(hook.endpoint);
            app.engine.change_hook(&hook.id, &endpoint, secret, by).await?
        }
    };
    changed.map(|row| Json(row.into())).ok_or_else(|| not_there(&id))
}

/// `POST hooks/{id}/remove`.
///
/// # Errors
/// 404 without such a hook.
pub async fn remove_hook(
    app: Data<App>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<Json<HookInfo>, ApiError> {
    let gone = app.engine.remove_hook(&id, operator(&app, &request)).await?;
    gone.map(|row| Json(row.into())).ok_or_else(|| not_there(&id))
}

/// `POST hooks/{id}/test`.
///
/// # Errors
/// 404 without such a hook.
pub async fn test_hook(app: Data<App>, id: Path<String>) -> Result<Json<TestAnswer>, ApiError> {
    let hook = find(&app, &id).await?;
    let (delivery, sent) = app.engine.test_hook(hook).await?;
    Ok(Json(TestAnswer::new(delivery, &sent)))
}

/// `GET hooks/{id}/deliveries`.
///
/// # Errors
/// 404 without such a hook, 422 for a place in the list that is none.
pub async fn list_deliveries(
    app: Data<App>,
    id: Path<String>,
    query: Query<DeliveriesQuery>,
) -> Result<Json<DeliveryList>, ApiError> {
    let hook = find(&app, &id).await?;
    let list = query.reading(hook.id)?;
    Ok(Json(app.engine.store().read(list).await?))
}

/// `POST hooks/redeliver/{delivery}`.
///
/// # Errors
/// 404 without such a delivery, 422 for an id that is none.
pub async fn redeliver(app: Data<App>, id: Path<String>) -> Result<Json<DoneAnswer>, ApiError> {
    Ok(Json(DoneAnswer { ok: app.engine.redeliver(delivery(&id)?).await? }))
}

/// The id of a delivery.
///
/// # Errors
/// 422 for a text that is none.
pub fn delivery(text: &str) -> Result<DeliveryId, ApiError> {
    DeliveryId::parse(text).ok_or_else(|| invalid("delivery", "must be the id of a delivery"))
}

async fn find(app: &App, id: &str) -> Result<HookRow, ApiError> {
    let wanted = id.to_owned();
    let found = app.engine.store().read(move |rows| hooks::find(rows, &wanted)).await?;
    found.ok_or_else(|| not_there(id))
}

/// There is no such hook.
#[must_use]
pub fn not_there(id: &str) -> ApiError {
    ApiError::not_found(format!("hook {id}"))
}
