//! What is asked for about hooks, checked field by field.

use actix_web::web::Query;
use actors::hook_dispatcher::RefusedEndpoint;
use npm::{HookKind, PackageName};
use serde::Deserialize;
use store::hooks::{HookSecret, NewHook};

use crate::app::App;
use crate::error::ApiError;
use crate::extract::fields::{Fields, invalid};

/// Most characters of what a hook is about, of an endpoint and of a secret.
const LONGEST_NAME: usize = 428;
const LONGEST_ENDPOINT: usize = 2_048;
const LONGEST_SECRET: usize = 200;
/// Most hooks of one answer.
const PAGE: i64 = 100;

/// A hook to be made.
pub struct HookWish {
    /// What `name` names.
    pub kind: HookKind,
    name: String,
    to: HookUpdate,
}

/// Where a hook is to go from now on.
pub struct HookUpdate {
    /// Where.
    pub endpoint: String,
    /// Signed with what.
    pub secret: HookSecret,
}

impl HookWish {
    /// Reads the body of `npm hook add`.
    ///
    /// # Errors
    /// 422 with the first broken rule.
    pub fn parse(app: &App, fields: &Fields) -> Result<Self, ApiError> {
        let kind = fields.required_trimmed("type", 20)?;
        let kind = HookKind::from_text(&kind)
            .ok_or_else(|| invalid("type", "must be equal to constant"))?;
        let name = fields.required_trimmed("name", LONGEST_NAME)?;
        let name = checked_name(kind, &name)?;
        Ok(Self { kind, name, to: HookUpdate::parse(app, fields)? })
    }

    /// The hook of this user.
    pub fn of(&self, owner: &str) -> NewHook {
        NewHook {
            owner: owner.to_owned(),
            kind: self.kind,
            name: self.name.clone(),
            endpoint: self.to.endpoint.clone(),
            secret: self.to.secret.clone(),
        }
    }
}

impl HookUpdate {
    /// Reads the body of `npm hook update`.
    ///
    /// # Errors
    /// 422 with the first broken rule.
    pub fn parse(app: &App, fields: &Fields) -> Result<Self, ApiError> {
        let endpoint = fields.required_trimmed("endpoint", LONGEST_ENDPOINT)?;
        let secret = fields.required_trimmed("secret", LONGEST_SECRET)?;
        let endpoint = checked_endpoint(&endpoint, |to| app.engine.check_endpoint(to))?;
        Ok(Self { endpoint, secret: checked_secret(&secret)? })
    }
}

/// A text of 1 to so many characters, none of which a database would refuse.
fn plain(field: &str, text: &str, most: usize) -> Result<String, ApiError> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(invalid(field, "must NOT have fewer than 1 characters")),
        count if count > most => {
            Err(invalid(field, format!("must NOT have more than {most} characters")))
        }
        _ if text.chars().any(char::is_control) => {
            Err(invalid(field, "must NOT have control characters"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Where deliveries may go; `check` knows which addresses are allowed.
///
/// # Errors
/// 422 for what is no web address, and for one that leads inside.
pub fn checked_endpoint(
    endpoint: &str,
    check: impl FnOnce(&str) -> Result<(), RefusedEndpoint>,
) -> Result<String, ApiError> {
    let endpoint = plain("endpoint", endpoint, LONGEST_ENDPOINT)?;
    check(&endpoint).map_err(|refused| invalid("endpoint", refused))?;
    Ok(endpoint)
}

/// What deliveries may be signed with.
///
/// # Errors
/// 422 for what is too short or too long.
pub fn checked_secret(secret: &str) -> Result<HookSecret, ApiError> {
    plain("secret", secret, LONGEST_SECRET).map(HookSecret)
}

/// What a hook is about, in the form that it is compared in.
///
/// # Errors
/// 422 for a name that nothing of the kind can have.
pub fn checked_name(kind: HookKind, name: &str) -> Result<String, ApiError> {
    match kind {
        HookKind::Package => match PackageName::parse(name) {
            Ok(name) => Ok(name.as_str().to_owned()),
            Err(error) => Err(invalid("name", error)),
        },
        // a scope is what stands in front of the slash of some package
        HookKind::Scope => match PackageName::parse(&format!("{name}/x")) {
            Ok(package) if package.scope() == Some(name) => Ok(name.to_owned()),
            _ => Err(invalid("name", "must be a scope with its @")),
        },
        HookKind::Owner => match name.strip_prefix('~').unwrap_or(name) {
            user if is_user_name(user) => Ok(user.to_owned()),
            _ => Err(invalid("name", "must be a user name")),
        },
    }
}

/// Maintainers of mirrored packages have the names of their registry, some of them older than its
/// rules.
fn is_user_name(name: &str) -> bool {
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && !"@/:?#%".contains(c);
    !name.is_empty() && name.chars().all(legal)
}

/// Which hooks of a user are wanted.
#[derive(Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Only those with this name.
    pub package: Option<String>,
    /// Leaves out so many.
    pub offset: i64,
    /// Most of them.
    pub limit: i64,
}

#[derive(Deserialize)]
struct RawQuery {
    package: Option<String>,
    offset: Option<String>,
    limit: Option<String>,
}

impl ListQuery {
    /// Reads the query string.
    ///
    /// # Errors
    /// 422 for numbers that are none or out of range.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let raw = Query::<RawQuery>::from_query(query)
            .map_err(|error| ApiError::Invalid(error.to_string()))?
            .into_inner();
        let package = raw.package.map(|name| name.trim().trim_start_matches('~').to_owned());
        Ok(Self {
            package: package.filter(|name| !name.is_empty()),
            offset: number("offset", raw.offset.as_deref(), 0, 0..=1_000_000)?,
            limit: number("limit", raw.limit.as_deref(), PAGE, 1..=PAGE)?,
        })
    }
}

/// A whole number of a query.
///
/// # Errors
/// 422 for something else and out of range.
pub fn number(
    name: &str,
    text: Option<&str>,
    default: i64,
    range: std::ops::RangeInclusive<i64>,
) -> Result<i64, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(default) };
    let number: i64 = text.parse().map_err(|_| invalid(name, "must be integer"))?;
    if number < *range.start() {
        return Err(invalid(name, format!("must be >= {}", range.start())));
    }
    if number > *range.end() {
        return Err(invalid(name, format!("must be <= {}", range.end())));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_their_kind() {
        let ok = |kind, name: &str| checked_name(kind, name).ok();
        assert_eq!(ok(HookKind::Package, "@garden/ui").as_deref(), Some("@garden/ui"));
        assert_eq!(ok(HookKind::Scope, "@garden").as_deref(), Some("@garden"));
        assert_eq!(ok(HookKind::Owner, "~ada").as_deref(), Some("ada"));
        for (kind, name) in [
            (HookKind::Package, "../x"),
            (HookKind::Package, "@garden"),
            (HookKind::Scope, "garden"),
            (HookKind::Scope, "@garden/ui"),
            (HookKind::Scope, "@"),
            (HookKind::Owner, "a b"),
            (HookKind::Owner, "~"),
        ] {
            assert_eq!(ok(kind, name), None, "{kind} {name}");
        }
    }

    #[test]
    fn offset_and_limit_are_numbers() {
        let query = ListQuery::parse("package=lamp&offset=3&limit=7").unwrap();
        assert_eq!(query, ListQuery { package: Some("lamp".into()), offset: 3, limit: 7 });
        let all = ListQuery::parse("").unwrap();
        assert_eq!(all, ListQuery { package: None, offset: 0, limit: 100 });
        let told = |query: &str| ListQuery::parse(query).unwrap_err().to_string();
        assert_eq!(told("limit=x"), "limit: must be integer");
        assert_eq!(told("limit=101"), "limit: must be <= 100");
        assert_eq!(told("limit=0"), "limit: must be >= 1");
        assert_eq!(told("offset=-1"), "offset: must be >= 0");
    }
}
