//! `espejo token`: access tokens and sign-in links, with and without a running server.

use actors::clock::now_ms;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use npm::{PackageName, Sha512Digest};
use serde_json::{Value, json};
use store::TokenKind;
use store::tokens::{self, TokenLimits, TokenRow};

use super::{
    accounts::{Tables, ago, by},
    arguments::GlobalArguments,
    exit::Exit,
    output::Output,
    problem::{Outcome, Problem},
};
use crate::{
    accounts::{changes, key_of, ranges::parse_range},
    admin_token::{self, ADMIN, Token, is_well_formed},
    config::{Config, value},
    views::account::iso,
};

/// Rows read at once.
const PAGE: i64 = 1_000;
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
    #[arg(long)]
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
    let tables = Tables::open(&config)?;
    match command {
        TokenCommand::List(arguments) => list(&tables, arguments, output),
        TokenCommand::Create(arguments) => {
            let bare = CreateArguments { user: ADMIN.to_owned(), ..CreateArguments::default() };
            if *arguments == bare {
                return renew_admin_token(&config, &tables, output);
            }
            create(&tables, arguments, output)
        }
        TokenCommand::Revoke(arguments) => revoke(&tables, &arguments.token, output),
        TokenCommand::Link(arguments) => {
            let link = tables.link(&config, &arguments.user)?;
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

fn list(tables: &Tables, arguments: &ListArguments, output: &Output) -> Outcome {
    let found = match &arguments.user {
        Some(user) => {
            let user = tables.user(user)?.name;
            tables.read(|rows| tokens::of_user(rows, &user))?
        }
        None => all(tables)?,
    };
    if output.json {
        let tokens: Vec<Value> = found.iter().map(describe).collect();
        output.json(&json!({ "tokens": tokens }));
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
            token.mark.as_str(),
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

/// Every token, oldest first.
fn all(tables: &Tables) -> Result<Vec<TokenRow>, Problem> {
    let mut found: Vec<TokenRow> = Vec::new();
    loop {
        let after = found.last().map(|row| row.key);
        let page = tables.read(|rows| tokens::list(rows, after.as_ref(), PAGE))?;
        let is_last = i64::try_from(page.len()).is_ok_and(|count| count < PAGE);
        found.extend(page);
        if is_last {
            found.sort_by_key(|row| (row.created_at_ms, row.key));
            return Ok(found);
        }
    }
}

fn describe(token: &TokenRow) -> Value {
    json!({
        "token": token.mark,
        "key": token.key.to_hex(),
        "user": token.user,
        "createdAtMs": token.created_at_ms,
        "lastUsedAtMs": token.last_used_at_ms,
        "limits": token.limits,
    })
}

fn short_key(token: &TokenRow) -> String {
    token.key.to_hex().chars().take(12).collect()
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

fn create(tables: &Tables, arguments: &CreateArguments, output: &Output) -> Outcome {
    let limits = limits(arguments)?;
    let user = tables.user(&arguments.user)?.name;
    let token = Token::generate().map_err(|error| Problem::failed(error.to_string()))?;
    let (new, by) = (token.row(&user, limits), by());
    let made = tables.write(|rows| changes::add_token(rows, &new, &by))?;
    let Some(made) = made else {
        let name = new.limits.name.unwrap_or_default();
        return Err(Problem::failed(format!("{user} has a token named {name}"))
            .hint(format!("espejo token list {user}")));
    };
    if output.json {
        output.json(&json!({ "token": token.text(), "key": made.key.to_hex(), "user": user }));
        return Ok(Exit::Done);
    }
    let may = if made.limits.readonly { ", read only" } else { "" };
    let until =
        made.limits.expires_at_ms.map_or_else(String::new, |at| format!(", until {}", day(at)));
    output.line(token.text());
    output.note(format_args!("for {user}{may}{until}. Shown once; store it now."));
    Ok(Exit::Done)
}

/// The bootstrap token: the row first, so that a file that is there always opens the door.
fn renew_admin_token(config: &Config, tables: &Tables, output: &Output) -> Outcome {
    let token = Token::generate().map_err(|error| Problem::failed(error.to_string()))?;
    tables.write(|rows| admin_token::store(rows, &token))?;
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

fn revoke(tables: &Tables, named: &str, output: &Output) -> Outcome {
    let key = find(tables, named)?;
    let by = by();
    let before = tables.write(|rows| {
        let row = tokens::find(rows, &key)?;
        changes::remove_token(rows, &key, &by)?;
        Ok(row)
    })?;
    let Some(token) = before else { return Err(unknown()) };
    if output.json {
        output.json(&json!({ "revoked": token.key.to_hex(), "user": token.user }));
    } else {
        output.line(format_args!("{} of {} has ended.", token.mark, token.user));
    }
    Ok(Exit::Done)
}

fn unknown() -> Problem {
    // the text that was given may be a token
    Problem::new(Exit::NotFound, "NOT_FOUND", "there is no such token").hint("espejo token list")
}

/// The key of the token that is meant.
fn find(tables: &Tables, named: &str) -> Result<Sha512Digest, Problem> {
    if let Ok(key) = Sha512Digest::from_hex(named) {
        return Ok(key);
    }
    if is_well_formed(named) {
        return Ok(key_of(named));
    }
    if named.len() < SHORTEST_KEY {
        return Err(Problem::usage(format!("`{named}` is too short to name a token"))
            .hint("the KEY column of: espejo token list"));
    }
    let fits = |row: &TokenRow| row.mark == named || row.key.to_hex().starts_with(named);
    let mut found = all(tables)?;
    found.retain(fits);
    match found.as_slice() {
        [] => Err(unknown()),
        [one] => Ok(one.key),
        more => Err(Problem::usage(format!("{} tokens fit `{named}`", more.len()))
            .hint("more characters of the KEY column of: espejo token list")),
    }
}
