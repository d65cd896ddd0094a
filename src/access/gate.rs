//! Whether somebody may read a package, and which names may be shown to him.
//!
//! Packages of upstreams, nearly all of them, are known not to be ours when their row or their file
//! is read into memory: for their readers nothing here runs.

use std::collections::HashSet;
use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use npm::PackageName;
use store::gates::{self, Gates};
use store::maintainers;
use store::ownership::Ownership;
use store::users;

use crate::app::App;
use crate::cache::packages::Package;
use crate::error::ApiError;
use crate::extract::caller::Caller;

/// An answer that is for its reader alone.
const FOR_READER: HeaderValue = HeaderValue::from_static("private, no-store");

/// What was found out about a reader who was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetIn {
    /// Everybody reads this.
    Open,
    /// Others may not: nobody keeps the answer for them.
    Alone,
}

impl LetIn {
    /// Says so on the answer.
    #[must_use]
    pub fn mark(self, mut answer: HttpResponse) -> HttpResponse {
        if self == Self::Alone {
            answer.headers_mut().insert(CACHE_CONTROL, FOR_READER);
        }
        answer
    }
}

/// Lets the reader of a package in, or not.
///
/// # Errors
/// 401 and 403 for a package that has readers of its own; what the tables say.
pub async fn of_package(
    app: &App,
    request: &HttpRequest,
    package: &Package,
) -> Result<LetIn, ApiError> {
    match &package.maintainers {
        None => Ok(LetIn::Open),
        Some(maintainers) => of_ours(app, request, &package.name, maintainers).await,
    }
}

/// The same for what is asked of a package by its name, in ways that nobody is in a hurry on.
///
/// # Errors
/// As [`of_package`].
pub async fn of_name(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
) -> Result<LetIn, ApiError> {
    let gates = app.access.gates().await?;
    if gates.are_none() {
        return Ok(LetIn::Open);
    }
    match app.packages.find(name).await {
        Ok(Some(package)) => of_package(app, request, &package).await,
        // not here, not any more, or blocked: whoever asks gets that told, if he may read it
        Ok(None) | Err(ApiError::Legal(_)) => of_unseen(app, request, name, &gates).await,
        Err(error) => Err(error),
    }
}

/// A package of which nothing is in memory.
async fn of_unseen(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    gates: &Gates,
) -> Result<LetIn, ApiError> {
    if !gates.is_closed(name, app.engine.registries().ownership().is_private(name)) {
        return Ok(LetIn::Open);
    }
    let of = name.clone();
    let read = app.engine.store().read(move |rows| maintainers::of_package(rows, &of));
    of_ours(app, request, name, &read.await?).await
}

/// What is withheld of a package is told to those who may read it, and to others that they may not.
///
/// # Errors
/// Always: `refused`, or as [`of_package`].
pub async fn before_telling<T>(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    refused: ApiError,
) -> Result<T, ApiError> {
    of_name(app, request, name).await?;
    Err(refused)
}

async fn of_ours(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    maintainers: &[String],
) -> Result<LetIn, ApiError> {
    let gates = app.access.gates().await?;
    let is_private = app.engine.registries().ownership().is_private(name);
    if !gates.is_closed(name, is_private) {
        return Ok(LetIn::Open);
    }
    let caller = Caller::of(app, request).await?;
    let user = caller.user()?;
    let is_maintainer = maintainers.contains(&user.name);
    if user.admin || is_maintainer || gates.lets_in(name, &user.name) {
        return Ok(LetIn::Alone);
    }
    let text = format!("\"{}\" is not authorized to access {name}", user.name);
    Err(ApiError::Forbidden(text))
}

/// Whether a user may read a package who asks for it with no request: the owner of a hook.
///
/// What a hook is sent cannot be taken back, so the tables are asked and not the picture of them,
/// which other nodes may have made old. Packages that are not ours cost nothing.
///
/// # Errors
/// What the tables say.
pub async fn lets_user_in(
    app: &App,
    name: &PackageName,
    package: Option<&Package>,
    user: &str,
) -> Result<bool, ApiError> {
    if package.is_some_and(|package| package.maintainers.is_none()) {
        return Ok(true);
    }
    let is_private = app.engine.registries().ownership().is_private(name);
    let (name, wanted) = (name.clone(), user.to_owned());
    let read = move |rows: &mut _| {
        let gates = gates::read_of(rows, &name)?;
        if !gates.is_closed(&name, is_private) || gates.lets_in(&name, &wanted) {
            return Ok(true);
        }
        let is_admin = users::find(rows, &wanted)?.is_some_and(|row| row.admin);
        Ok(is_admin || maintainers::has(rows, &name, &wanted)?)
    };
    let lets_in = app.engine.store().read(read).await?;
    Ok(lets_in || app.settings.admins.iter().any(|admin| admin == user))
}

/// What one reader may be shown of lists of names.
#[derive(Debug, Clone)]
pub struct Shown {
    gates: Arc<Gates>,
    ownership: Arc<Ownership>,
    reader: Option<String>,
    maintained: HashSet<PackageName>,
}

impl Shown {
    /// To the sender of a request; `None` where he may be shown everything.
    ///
    /// # Errors
    /// 401 and 403 for a token that is not good; what the tables say.
    pub async fn to(app: &App, request: &HttpRequest) -> Result<Option<Self>, ApiError> {
        let gates = app.access.gates().await?;
        if gates.are_none() {
            return Ok(None);
        }
        let caller = Caller::of(app, request).await?;
        if caller.is_admin() {
            return Ok(None);
        }
        let reader = caller.name().map(str::to_owned);
        let maintained = match reader.clone() {
            Some(user) => {
                let read = move |rows: &mut _| maintainers::packages_of(rows, &user);
                app.engine.store().read(read).await?.into_iter().collect()
            }
            None => HashSet::new(),
        };
        let ownership = app.engine.registries().ownership();
        Ok(Some(Self { gates, ownership, reader, maintained }))
    }

    /// Whether this name may be shown.
    #[must_use]
    pub fn has(&self, name: &PackageName) -> bool {
        if !self.gates.is_closed(name, self.ownership.is_private(name)) {
            return true;
        }
        let Some(reader) = &self.reader else { return false };
        self.maintained.contains(name) || self.gates.lets_in(name, reader)
    }

    /// The names that may not be shown, here or not.
    #[must_use]
    pub fn kept_back(&self) -> Vec<PackageName> {
        self.gates.names().filter(|name| !self.has(name)).cloned().collect()
    }

    /// The same of a text; what is no name is nothing that anybody closed.
    #[must_use]
    pub fn has_text(&self, name: &str) -> bool {
        PackageName::parse(name).map_or(true, |name| self.has(&name))
    }
}
