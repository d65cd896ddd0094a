//! `espejo user`: accounts, with and without a running server.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::json;

use super::{
    accounts::{link, no_user, password_from, user},
    arguments::GlobalArguments,
    exit::Exit,
    output::Output,
    place::{Place, ago},
    problem::{Outcome, Problem},
};
use crate::{
    accounts::{
        names::{check_name, is_email},
        passwords::hash_blocking,
    },
    config::Config,
    operations::accounts::{AddUser, ChangeUser, ListUsers, ShownUser},
};

/// Commands of `user`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// All accounts by name
    List(ListArguments),
    /// Make an account; prints a link with which its user chooses a password
    Add(AddArguments),
    /// Set a password, or print a link with which its user chooses one
    Passwd(PasswdArguments),
    /// Let a user do everything, or with --undo no more than others
    Admin(SwitchArguments),
    /// Lock an account with all its tokens; with --undo open it again
    Disable(SwitchArguments),
}

/// Arguments of `user list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub limit: i64,
    /// Only those behind this name: the next page
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub after: String,
}

/// Arguments of `user add`.
#[derive(Debug, Args)]
pub struct AddArguments {
    /// The login name
    pub name: String,
    /// The user may do everything
    #[arg(long)]
    pub admin: bool,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// File with the password, `-` for standard input; without it a sign-in link is printed
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Arguments of `user passwd`.
#[derive(Debug, Args)]
pub struct PasswdArguments {
    /// The login name
    pub name: String,
    /// File with the new password, `-` for standard input; without it a sign-in link is printed
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// End all tokens of the user, too
    #[arg(long)]
    pub end_tokens: bool,
}

/// Arguments of `user admin` and `user disable`.
#[derive(Debug, Args)]
pub struct SwitchArguments {
    /// The login name
    pub name: String,
    /// The other way round
    #[arg(long)]
    pub undo: bool,
}

/// Runs a `user` command.
///
/// # Errors
/// When it is refused, or the database cannot be used.
pub fn run(command: &UserCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let place = Place::open(&config)?;
    match command {
        UserCommand::List(arguments) => list(&place, arguments, output),
        UserCommand::Add(arguments) => add(&config, &place, arguments, output),
        UserCommand::Passwd(arguments) => passwd(&config, &place, arguments, output),
        UserCommand::Admin(arguments) => {
            let admin = !arguments.undo;
            let change = ChangeUser { admin: Some(admin), ..nothing_of(&arguments.name) };
            let state = if admin { "is an admin now" } else { "is no admin any more" };
            switch(&place, change, state, output)
        }
        UserCommand::Disable(arguments) => {
            let disabled = !arguments.undo;
            let change = ChangeUser { disabled: Some(disabled), ..nothing_of(&arguments.name) };
            let state = if disabled {
                "is locked; password and tokens open nothing"
            } else {
                "is open again"
            };
            switch(&place, change, state, output)
        }
    }
}

/// A change that changes nothing yet.
fn nothing_of(name: &str) -> ChangeUser {
    ChangeUser {
        name: name.to_owned(),
        admin: None,
        disabled: None,
        password_hash: None,
        end_tokens: false,
    }
}

fn list(place: &Place, arguments: &ListArguments, output: &Output) -> Outcome {
    let (after, limit) = (arguments.after.clone(), arguments.limit);
    let found: Vec<ShownUser> = place.run(ListUsers { after, limit })?;
    if output.json {
        output.json(&json!({ "users": found }));
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        output.line("No users yet. Make one: espejo user add NAME");
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "RIGHT", "STATE", "PASSWORD", "AGE", "E-MAIL"]);
    for user in &found {
        table.add_row([
            user.name.as_str(),
            if user.admin { "admin" } else { "user" },
            if user.disabled { "locked" } else { "open" },
            if user.has_password { "set" } else { "none" },
            &ago(user.created_at_ms),
            user.email.as_deref().unwrap_or("-"),
        ]);
    }
    output.line(table);
    Ok(Exit::Done)
}

fn hashed(config: &Config, file: Option<&PathBuf>) -> Result<Option<String>, Problem> {
    let Some(file) = file else { return Ok(None) };
    let hash = hash_blocking(&password_from(file)?, config.security.password_cost);
    hash.map(|hash| Some(hash.0)).map_err(|error| Problem::failed(error.to_string()))
}

fn add(config: &Config, place: &Place, arguments: &AddArguments, output: &Output) -> Outcome {
    let name = &arguments.name;
    check_name(name).map_err(|rule| {
        Problem::usage(format!("a user cannot be called `{name}`")).why(format!("a name {rule}"))
    })?;
    if let Some(email) = arguments.email.as_ref().filter(|email| !is_email(email)) {
        return Err(Problem::usage(format!("`{email}` is no e-mail address")));
    }
    let new = AddUser {
        name: name.clone(),
        admin: arguments.admin,
        email: arguments.email.clone(),
        password_hash: hashed(config, arguments.password_file.as_ref())?,
    };
    let has_password = new.password_hash.is_some();
    if place.run(new)?.is_none() {
        return Err(Problem::failed(format!("there is a user {name} already"))
            .hint(format!("espejo user passwd {name}")));
    }
    let link = if has_password { None } else { Some(link(place, config, name)?) };
    let right = if arguments.admin { " (admin)" } else { "" };
    say_link(&format!("Created user {name}{right}."), name, link, output);
    Ok(Exit::Done)
}

fn passwd(config: &Config, place: &Place, arguments: &PasswdArguments, output: &Output) -> Outcome {
    let name = user(place, &arguments.name)?.name;
    let password_hash = hashed(config, arguments.password_file.as_ref())?;
    let set = password_hash.is_some();
    let end_tokens = arguments.end_tokens;
    place.run(ChangeUser { password_hash, end_tokens, ..nothing_of(&name) })?;
    let link = if set { None } else { Some(link(place, config, &name)?) };
    let done = match (set, arguments.end_tokens) {
        (true, true) => "Password set, all tokens ended.",
        (true, false) => "Password set; tokens still work.",
        (false, true) => "All tokens ended; the password still works.",
        (false, false) => "The password still works until another is chosen.",
    };
    say_link(done, &name, link, output);
    Ok(Exit::Done)
}

fn say_link(done: &str, name: &str, link: Option<String>, output: &Output) {
    if output.json {
        output.json(&json!({ "user": name, "link": link }));
        return;
    }
    match link {
        Some(link) => output.line(format_args!(
            "{done} Give them this sign-in link, valid once for 30 minutes: {link}"
        )),
        None => output.line(done),
    }
}

fn switch(place: &Place, change: ChangeUser, state: &str, output: &Output) -> Outcome {
    let name = change.name.clone();
    let user = place.run(change)?.ok_or_else(|| no_user(&name))?;
    if output.json {
        output.json(&json!({ "user": name, "admin": user.admin, "disabled": user.disabled }));
    } else {
        output.line(format_args!("{name} {state}."));
    }
    Ok(Exit::Done)
}
