//! What the body of a request for a token asks for.

use std::collections::BTreeSet;

use actors::clock::now_ms;
use npm::PackageName;
use store::TokenKind;
use store::tokens::TokenLimits;

use crate::accounts::names::check_password;
use crate::accounts::ranges::{LONGEST_RANGE, MOST_RANGES, parse_range};
use crate::error::ApiError;
use crate::extract::fields::{Fields, invalid};

/// Most characters of a name and of a description.
const LONGEST_NAME: usize = 255;
/// Most packages, and most scopes, of a token.
const MOST_PACKAGES: usize = 50;
/// Most characters of each.
const LONGEST_PACKAGE: usize = 214;
/// Days that a token with an end may live.
const DAYS: std::ops::RangeInclusive<i64> = 1..=365;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A request for a token, checked.
#[derive(Debug)]
pub struct TokenWish<'a> {
    /// The account's password; needed for a classic token.
    pub password: Option<&'a str>,
    /// What the token is to be.
    pub limits: TokenLimits,
}

impl<'a> TokenWish<'a> {
    /// Reads a body in both dialects: npm's own, and npm 11's names for the same.
    ///
    /// # Errors
    /// 422 with the first broken rule.
    pub fn parse(fields: &'a Fields, kind: TokenKind) -> Result<Self, ApiError> {
        let granular = kind == TokenKind::Granular;
        if granular {
            fields.required("name")?;
        }
        let days = fields.number("expires", DAYS)?;
        if granular && days.is_none() {
            return Err(ApiError::Invalid("must have required property 'expires'".to_owned()));
        }
        let text = |name| {
            let text = fields.text_up_to(name, LONGEST_NAME)?.map(str::trim);
            Ok::<_, ApiError>(text.filter(|text| !text.is_empty()).map(str::to_owned))
        };
        let name = text("name")?;
        if granular && name.is_none() {
            return Err(invalid("name", "must NOT have fewer than 1 characters"));
        }
        refuse_unknown_limits(fields)?;
        Ok(Self {
            password: password(fields, granular)?,
            limits: TokenLimits {
                kind,
                name,
                description: text("description")?,
                readonly: fields.flag("readonly")? || is_readonly(fields)?,
                // the reference has no granular token for machines
                automation: fields.flag("automation")? && !granular,
                cidr: cidr(fields)?,
                packages: packages(fields)?,
                scopes: scopes(fields)?,
                expires_at_ms: days.map(|days| now_ms().saturating_add(days * DAY_MS)),
            },
        })
    }
}

fn password(fields: &Fields, granular: bool) -> Result<Option<&str>, ApiError> {
    let password =
        if granular { fields.text("password")? } else { Some(fields.required("password")?) };
    if let Some(password) = password {
        check_password(password).map_err(|rule| invalid("password", rule))?;
    }
    Ok(password)
}

/// A limit that is not kept here must not be left out in silence.
fn refuse_unknown_limits(fields: &Fields) -> Result<(), ApiError> {
    if !fields.list("orgs", MOST_PACKAGES, LONGEST_NAME)?.is_empty() {
        return Err(invalid(
            "orgs",
            "a token is limited to packages and scopes, not to organisations",
        ));
    }
    Ok(())
}

/// npm 11's `--packages-and-scopes-permission`.
fn is_readonly(fields: &Fields) -> Result<bool, ApiError> {
    match fields.text("packages_and_scopes_permission")? {
        None | Some("read-write") => Ok(false),
        Some("read-only" | "no-access") => Ok(true),
        Some(_) => {
            let rule = "must be read-only, read-write or no-access";
            Err(invalid("packages_and_scopes_permission", rule))
        }
    }
}

fn cidr(fields: &Fields) -> Result<Vec<String>, ApiError> {
    let ranges = fields.list("cidr_whitelist", MOST_RANGES, LONGEST_RANGE)?;
    match ranges.iter().find(|range| parse_range(range).is_none()) {
        None => Ok(ranges),
        Some(range) => {
            let rule =
                format!("\"{range}\" is neither an address nor a range such as 192.0.2.0/24");
            Err(invalid("cidr_whitelist", rule))
        }
    }
}

/// The two names of a list; both may be given.
fn either(fields: &Fields, ours: &str, theirs: &str) -> Result<Vec<String>, ApiError> {
    let mut both = fields.list(ours, MOST_PACKAGES, LONGEST_PACKAGE)?;
    both.extend(fields.list(theirs, MOST_PACKAGES, LONGEST_PACKAGE)?);
    both.sort_unstable();
    both.dedup();
    Ok(both)
}

fn packages(fields: &Fields) -> Result<Vec<String>, ApiError> {
    let packages = either(fields, "allowedPackages", "packages")?;
    for package in &packages {
        PackageName::parse(package).map_err(|error| invalid("allowedPackages", error))?;
    }
    if fields.flag("packages_all")? && !packages.is_empty() {
        return Err(invalid("packages_all", "must NOT be given together with packages"));
    }
    Ok(packages)
}

/// Scopes with their `@`, however they were sent.
fn scopes(fields: &Fields) -> Result<Vec<String>, ApiError> {
    let scopes = either(fields, "allowedScopes", "scopes")?;
    let scope = |text: String| {
        let scope = format!("@{}", text.trim_start_matches('@'));
        let known = PackageName::parse(&format!("{scope}/x"));
        known.map_err(|_| invalid("allowedScopes", format!("\"{text}\" is no scope")))?;
        Ok(scope)
    };
    let scopes: Result<BTreeSet<String>, ApiError> = scopes.into_iter().map(scope).collect();
    Ok(scopes?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(body: &str, kind: TokenKind) -> Result<TokenLimits, String> {
        let fields = Fields::parse(body.as_bytes()).unwrap();
        let wish = TokenWish::parse(&fields, kind).map_err(|error| error.to_string());
        wish.map(|wish| wish.limits)
    }

    #[test]
    fn npms_own_fields_and_those_of_npm_11_are_understood() {
        let classic = r#"{"password":"12345678","readonly":true,"automation":true,
            "cidr_whitelist":["127.0.0.1","192.168.1.0/24"]}"#;
        let read = limits(classic, TokenKind::Classic).unwrap();
        assert!(read.readonly && read.automation && read.expires_at_ms.is_none());
        assert_eq!(read.cidr, ["127.0.0.1", "192.168.1.0/24"]);
        let eleven = r#"{"password":"12345678","name":"ci","description":"builds","expires":7,
            "packages":["lamp"],"scopes":["garden","@tools"],
            "packages_and_scopes_permission":"read-only","bypass_2fa":true}"#;
        let read = limits(eleven, TokenKind::Classic).unwrap();
        assert_eq!(
            (read.name.as_deref(), read.description.as_deref()),
            (Some("ci"), Some("builds"))
        );
        assert_eq!(
            (read.packages, read.scopes),
            (vec!["lamp".into()], vec!["@garden".into(), "@tools".into()])
        );
        assert!(read.readonly);
        let left = read.expires_at_ms.unwrap() - now_ms();
        assert!((6 * DAY_MS..=7 * DAY_MS).contains(&left), "{left}");
    }

    #[test]
    fn the_first_broken_rule_is_named() {
        for (kind, body, error) in [
            (TokenKind::Classic, "{}", "must have required property 'password'"),
            (
                TokenKind::Classic,
                r#"{"password":"1234567"}"#,
                "password: must NOT have fewer than 8 characters",
            ),
            (TokenKind::Granular, r#"{"name":"a"}"#, "must have required property 'expires'"),
            (TokenKind::Granular, r#"{"expires":3}"#, "must have required property 'name'"),
            (TokenKind::Granular, r#"{"name":"a","expires":366}"#, "expires: must be <= 365"),
            (
                TokenKind::Granular,
                r#"{"name":" ","expires":3}"#,
                "name: must NOT have fewer than 1 characters",
            ),
            (
                TokenKind::Granular,
                r#"{"name":"a","expires":3,"cidr_whitelist":["x"]}"#,
                "cidr_whitelist: \"x\" is neither an address nor a range such as 192.0.2.0/24",
            ),
            (
                TokenKind::Granular,
                r#"{"name":"a","expires":3,"allowedScopes":["@a/b"]}"#,
                "allowedScopes: \"@a/b\" is no scope",
            ),
            (
                TokenKind::Granular,
                r#"{"name":"a","expires":3,"orgs":["x"]}"#,
                "orgs: a token is limited to packages and scopes, not to organisations",
            ),
        ] {
            assert_eq!(limits(body, kind).unwrap_err(), error, "{body}");
        }
        let odd = r#"{"name":"a","expires":3,"allowedPackages":["../x"]}"#;
        assert!(limits(odd, TokenKind::Granular).unwrap_err().starts_with("allowedPackages: "));
    }
}
