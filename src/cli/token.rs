//! `espejo token create admin`: a new bootstrap token, when the file is lost or has leaked.

use clap::{Args, Subcommand};
use serde_json::json;
use store::WriteFn;

use super::{
    arguments::GlobalArguments,
    exit::Exit,
    open::{DataFolder, open_rows, write_blocking},
    output::Output,
    problem::{Outcome, Problem},
};
use crate::admin_token::{self, ADMIN, Token};

/// Commands of `token`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make the token of the user `admin` anew; the old one ends at once
    Create(CreateArguments),
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
pub struct CreateArguments {
    /// The user; this version has tokens for `admin` only
    pub user: String,
}

/// Runs a `token` command.
///
/// # Errors
/// When the token cannot be stored.
pub fn run(command: &TokenCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    let TokenCommand::Create(arguments) = command;
    if arguments.user != ADMIN {
        return Err(Problem::usage(format!("cannot make a token for `{}`", arguments.user))
            .why("this version has tokens for the user `admin` only")
            .hint("espejo token create admin"));
    }
    let config = global.settings()?;
    let store = match open_rows(&config)? {
        Some(store) => store,
        None => DataFolder::lock(&config)?.open_store(&config)?,
    };
    let token = Token::generate().map_err(|error| Problem::failed(error.to_string()))?;
    let row = token.clone();
    let write: WriteFn = Box::new(move |connection| admin_token::store(connection, &row));
    write_blocking(&store, vec![write])?;
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
