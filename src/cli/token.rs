//! `espejo token`: access tokens and sign-in links, with and without a running server.

use actors::clock::now_ms;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use npm::{PackageName, Sha512Digest};
use serde_json::json;
use store::TokenKind;
use store::tokens::TokenLimits;

use super::{
    accounts::{link, user},
    arguments::GlobalArguments,
    exit::Exit,
    output::Output,
    place::{Place, ago},
    problem::{Outcome, Problem},
};
use crate::{
    accounts::{key_of, ranges::parse_range},
    admin_token::{self, ADMIN, Token, is_well_formed},
    config::{Config, value},
    operations::accounts::{AddToken, ListTokens, RemoveToken, RenewAdminToken, ShownToken},
    views::account::iso,
};

/// Characters of a key that name a token at least.
const SHORTEST_KEY: usize = 6;

/// Commands of `token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// All tokens, or those of a user
    List(ListArguments),
    /// Make a token; for `admin` alone the one in the file admin.token anew
    Create(CreateArguments),
    /// End a token at once
    Revoke(RevokeArguments),
    /// Print a link that opens an account once: its user chooses a password
    Link(LinkArguments),
}

/// Arguments of `token list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Only tokens of this user
    pub user: Option<String>,
}

/// Arguments of `token create`.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub struct CreateArguments {
    /// Whose it is
    pub user: String,
    /// It may only read
    // npm's word for it is understood too
    #[arg(long, alias = "read-only")]
    pub read: bool,
    /// It is for machines: it sees no tokens and no profile
    #[arg(long)]
    pub automation: bool,
    /// A name, one of a kind among the tokens of the user
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How long it lives: 90d
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
    /// A package it may change, no others; may be repeated
    #[arg(long = "package", value_name = "NAME")]
    pub packages: Vec<String>,
    /// A scope whose packages it may change, no others; may be repeated
    #[arg(long = "scope", value_name = "@SCOPE")]
    pub scopes: Vec<String>,
    /// An address or range it may be used from, no others; may be repeated
    #[arg(long, value_name = "RANGE")]
    pub cidr: Vec<String>,
}

/// Arguments of `token revoke`.
#[derive(Debug, Args)]
pub struct RevokeArguments {
    /// The token, its key, or the first characters of its key
    pub token: String,
}

/// Arguments of `token link`.
#[derive(Debug, Args)]
pub struct LinkArguments {
    /// Whose account
    #[arg(default_value = ADMIN)]
    pub user: String,
}

/// Runs a `token` command.
///
/// # Errors
/// When it is refused, or the database cannot be used.
pub fn run(command: &TokenCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let place = Place::open(&config)?;
    match command {
        TokenCommand::List(arguments) => list(&place, arguments, output),
        TokenCommand::Create(arguments) => {
            let bare = CreateArguments { user: ADMIN.to_owned(), ..CreateArguments::default() };
            // the file is on the machine of the data folder
            if *arguments == bare && config.remote.is_none() {
                return renew_admin_token(&config, &place, output);
            }
            create(&place, arguments, output)
        }
        TokenCommand::Revoke(arguments) => revoke(&place, &arguments.token, output),
        TokenCommand::Link(arguments) => {
            let link = link(&place, &config, &arguments.user)?;
            if output.json {
                output.json(&json!({ "user": arguments.user, "link": link }));
            } else {
                output.line(&link);
                let user = &arguments.user;
                output.note(format_args!("opens the account {user} once, for 30 minutes"));
            }
            Ok(Exit::Done)
        }
    }
}

fn list(place: &Place, arguments: &ListArguments, output: &Output) -> Outcome {
    let of = match &arguments.user {
        Some(name) => Some(user(place, name)?.name),
        None => None,
    };
    let found: Vec<ShownToken> = place.run(ListTokens { user: of })?;
    if output.json {
        output.json(&json!({ "tokens": found }));
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        output.line("No tokens. Make one: espejo token create USER");
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["TOKEN", "KEY", "USER", "MAY", "USED", "ENDS", "ABOUT"]);
    for token in &found {
        table.add_row([
            token.token.as_str(),
            &short_key(token),
            &token.user,
            &rights(&token.limits),
            &token.last_used_at_ms.map_or_else(|| "never".to_owned(), |at| ago(at) + " ago"),
            &token.limits.expires_at_ms.map_or_else(|| "never".to_owned(), day),
            &about(&token.limits),
        ]);
    }
    output.line(table);
    Ok(Exit::Done)
}

fn short_key(token: &ShownToken) -> String {
    token.key.chars().take(12).collect()
}

fn rights(limits: &TokenLimits) -> String {
    let mut words = vec![if limits.readonly { "read" } else { "read+write" }];
    if limits.automation {
        words.push("automation");
    }
    let lists = limits.packages.iter().chain(&limits.scopes).chain(&limits.cidr);
    words.extend(lists.map(String::as_str));
    words.join(", ")
}

fn about(limits: &TokenLimits) -> String {
    let words = [limits.name.as_deref(), limits.description.as_deref()];
    words.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

fn day(at_ms: i64) -> String {
    iso(at_ms).chars().take(10).collect()
}

fn limits(arguments: &CreateArguments) -> Result<TokenLimits, Problem> {
    for package in &arguments.packages {
        PackageName::parse(package)
            .map_err(|error| Problem::usage(format!("--package {package}")).why(error))?;
    }
    for scope in &arguments.scopes {
        let known = scope.starts_with('@') && PackageName::parse(&format!("{scope}/x")).is_ok();
        if !known {
            return Err(Problem::usage(format!("`{scope}` is no scope")).hint("--scope @garden"));
        }
    }
    if let Some(range) = arguments.cidr.iter().find(|range| parse_range(range).is_none()) {
        return Err(Problem::usage(format!("`{range}` is neither an address nor a range"))
            .hint("--cidr 192.0.2.0/24"));
    }
    let lives = arguments.expires.as_deref().map(value::parse_duration).transpose();
    let lives = lives.map_err(|error| Problem::usage("--expires cannot be used").why(error))?;
    let lives_ms = lives.map(|lives| i64::try_from(lives.as_millis()).unwrap_or(i64::MAX));
    let named = arguments.name.is_some() && lives_ms.is_some();
    Ok(TokenLimits {
        kind: if named { TokenKind::Granular } else { TokenKind::Classic },
        name: arguments.name.clone(),
        description: None,
        readonly: arguments.read,
        automation: arguments.automation,
        cidr: arguments.cidr.clone(),
        packages: arguments.packages.clone(),
        scopes: arguments.scopes.clone(),
        expires_at_ms: lives_ms.map(|lives| now_ms().saturating_add(lives)),
    })
}

fn create(place: &Place, arguments: &CreateArguments, output: &Output) -> Outcome {
    let limits = limits(arguments)?;
    let user = user(place, &arguments.user)?.name;
    let token = Token::generate().map_err(|error| Problem::failed(error.to_string()))?;
    let made = place.run(operation(&token, &user, limits.clone()))?;
    let Some(made) = made else {
        let name = limits.name.unwrap_or_default();
        return Err(Problem::failed(format!("{user} has a token named {name}"))
            .hint(format!("espejo token list {user}")));
    };
    if output.json {
        output.json(&json!({ "token": token.text(), "key": made.key, "user": user }));
        return Ok(Exit::Done);
    }
    let may = if made.limits.readonly { ", read only" } else { "" };
    let until =
        made.limits.expires_at_ms.map_or_else(String::new, |at| format!(", until {}", day(at)));
    output.line(token.text());
    output.note(format_args!("for {user}{may}{until}. Shown once; store it now."));
    Ok(Exit::Done)
}

fn operation(token: &Token, user: &str, limits: TokenLimits) -> AddToken {
    let row = token.row(user, limits);
    AddToken { user: row.user, key: row.key.to_hex(), mark: row.mark, limits: row.limits }
}

/// The bootstrap token: the row first, so that a file that is there always opens the door.
fn renew_admin_token(config: &Config, place: &Place, output: &Output) -> Outcome {
    let token = Token::generate().map_err(|error| Problem::failed(error.to_string()))?;
    place.run(RenewAdminToken { key: token.key().to_hex(), mark: token.mark() })?;
    let folder = &config.storage.path;
    let path = admin_token::path(folder);
    admin_token::write_file(folder, &token)
        .map_err(|error| Problem::failed(format!("cannot write {}", path.display())).why(error))?;
    if output.json {
        output.json(&json!({ "token": token.text(), "user": ADMIN, "file": path }));
    } else {
        output.line(token.text());
        output.note(format_args!(
            "for {ADMIN}, also in {} (readable by you only). The one before has ended.",
            path.display()
        ));
    }
    Ok(Exit::Done)
}

fn revoke(place: &Place, named: &str, output: &Output) -> Outcome {
    let key = find(place, named)?;
    let Some(token) = place.run(RemoveToken { key })? else { return Err(unknown()) };
    if output.json {
        output.json(&json!({ "revoked": token.key, "user": token.user }));
    } else {
        output.line(format_args!("{} of {} has ended.", token.token, token.user));
    }
    Ok(Exit::Done)
}

fn unknown() -> Problem {
    // the text that was given may be a token
    Problem::new(Exit::NotFound, "NOT_FOUND", "there is no such token").hint("espejo token list")
}

/// The key of the token that is meant.
fn find(place: &Place, named: &str) -> Result<String, Problem> {
    if Sha512Digest::from_hex(named).is_ok() {
        return Ok(named.to_lowercase());
    }
    if is_well_formed(named) {
        return Ok(key_of(named).to_hex());
    }
    if named.len() < SHORTEST_KEY {
        return Err(Problem::usage(format!("`{named}` is too short to name a token"))
            .hint("the KEY column of: espejo token list"));
    }
    let mut found = place.run(ListTokens { user: None })?;
    found.retain(|token| token.token == named || token.key.starts_with(named));
    match found.as_slice() {
        [] => Err(unknown()),
        [one] => Ok(one.key.clone()),
        more => Err(Problem::usage(format!("{} tokens fit `{named}`", more.len()))
            .hint("more characters of the KEY column of: espejo token list")),
    }
}
