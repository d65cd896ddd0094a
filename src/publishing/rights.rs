//! Who may change which package (wire contract, 7.5).

use std::collections::HashMap;

use actix_web::HttpRequest;
use actors::publishing::Before;
use npm::PackageName;
use serde_json::json;
use store::audit::By;
use store::registries::SELF;
use store::{AnyConnection, StoreError, grants, users};

use super::PublishSettings;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::{Caller, User, by};

/// Somebody who changes a package.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// Login name.
    pub name: String,
    /// For the audit log.
    pub by: By,
    admin: bool,
    /// As a member of a team or one who manages the org.
    may_write: bool,
    /// E-mail addresses of all who may be named.
    emails: HashMap<String, String>,
    is_private: bool,
    settings: PublishSettings,
}

/// The caller, with a token that may change this package.
///
/// # Errors
/// 401 for nobody, 403 for a token that may not and where publishing is switched off.
pub async fn caller(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
) -> Result<User, ApiError> {
    let Caller::User(user) = Caller::of(app, request).await? else {
        return Err(ApiError::LoginFirst);
    };
    user.may_change(name, "publish")?;
    if !app.settings.publish.enabled {
        let text = "publishing is switched off here (publish.enabled)";
        return Err(ApiError::Forbidden(text.to_owned()));
    }
    Ok(user)
}

impl Publisher {
    /// What is known of the caller; `named` are others whose addresses are needed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn of(
        app: &App,
        request: &HttpRequest,
        user: &User,
        name: &PackageName,
        named: &[String],
    ) -> Result<Self, ApiError> {
        let (of, who) = (name.clone(), user.name.clone());
        let names: Vec<String> = named.iter().chain([&user.name]).cloned().collect();
        let read = move |rows: &mut AnyConnection| {
            let mut emails = HashMap::new();
            for name in names {
                if let Some(user) = users::find(rows, &name)? {
                    emails.insert(name, user.email.unwrap_or_default());
                }
            }
            Ok::<_, StoreError>((grants::may_write(rows, &of, &who)?, emails))
        };
        let (may_write, emails) = app.engine.store().read(read).await?;
        Ok(Self {
            by: by(app, request, &user.name),
            name: user.name.clone(),
            admin: user.admin,
            may_write,
            emails,
            is_private: app.engine.registries().ownership().is_private(name),
            settings: app.settings.publish.clone(),
        })
    }

    /// Whether there is such a user.
    #[must_use]
    pub fn knows(&self, user: &str) -> bool {
        self.emails.contains_key(user)
    }

    /// The address of a user.
    #[must_use]
    pub fn email(&self, user: &str) -> &str {
        self.emails.get(user).map_or("", String::as_str)
    }

    /// `maintainers` of a document.
    #[must_use]
    pub fn people(&self, users: &[String]) -> String {
        let list: Vec<_> =
            users.iter().map(|name| json!({ "name": name, "email": self.email(name) })).collect();
        json!(list).to_string()
    }

    /// Whether the package may be changed, or made when it is new.
    ///
    /// # Errors
    /// 403, in the words of the contract.
    pub fn may_change(&self, name: &PackageName, before: &Before) -> Result<(), ApiError> {
        let Some(row) = &before.row else { return self.may_create(name) };
        if row.registry == SELF {
            return self.must_maintain(name, before);
        }
        if name.scope().is_none() || (self.admin && !self.is_private) {
            let text = format!("Can't modify npm public package \"{name}\"");
            return Err(ApiError::Forbidden(text));
        }
        if !self.is_private {
            return self.in_legal_scope(name);
        }
        self.must_maintain(name, before)
    }

    /// Whether an upstream has to be asked for a new name before: nobody else can have one in a
    /// private scope.
    #[must_use]
    pub fn asks_upstream(&self, before: &Before) -> bool {
        before.row.is_none() && !self.is_private
    }

    fn must_maintain(&self, name: &PackageName, before: &Before) -> Result<(), ApiError> {
        if self.admin || self.may_write || before.maintainers.contains(&self.name) {
            return Ok(());
        }
        let text = format!(
            "\"{}\" not authorized to modify {name}, please contact maintainers: \"{}\"",
            self.name,
            before.maintainers.join(", ")
        );
        Err(ApiError::Forbidden(text))
    }

    fn may_create(&self, name: &PackageName) -> Result<(), ApiError> {
        let in_own_org = self.may_write && self.is_private;
        match name.scope() {
            _ if self.admin || in_own_org => Ok(()),
            None if self.settings.unscoped => Ok(()),
            None => {
                let text = format!("Package scope required, legal scopes: \"{}\"", self.legal());
                Err(ApiError::Forbidden(text))
            }
            Some(_) => self.in_legal_scope(name),
        }
    }

    fn in_legal_scope(&self, name: &PackageName) -> Result<(), ApiError> {
        let scope = name.scope().unwrap_or_default();
        if self.settings.scopes.iter().any(|legal| legal == scope) {
            return Ok(());
        }
        let text = format!("Scope \"{scope}\" not match legal scopes: \"{}\"", self.legal());
        Err(ApiError::Forbidden(text))
    }

    fn legal(&self) -> String {
        self.settings.scopes.join(", ")
    }
}
