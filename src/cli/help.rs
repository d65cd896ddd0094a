//! `espejo help`: a command, or one of three topics.

use clap::{Args, CommandFactory};

use super::{
    arguments::Cli,
    exit::Exit,
    output::Output,
    problem::{Outcome, Problem},
};
use crate::config::{Kind, SETTINGS, environment::OTHER_VARIABLES};

/// Arguments of `help`.
#[derive(Debug, Args)]
pub struct HelpArguments {
    /// A command, or environment, exit-codes, config
    pub words: Vec<String>,
}

/// Shows help.
///
/// # Errors
/// When there is no such command or topic.
pub fn run(arguments: &HelpArguments, output: &Output) -> Outcome {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["environment"] => output.line(environment().trim_end()),
        ["exit-codes"] => output.line(exit_codes().trim_end()),
        ["config"] => output.line(settings().trim_end()),
        words => output.line(command(words)?.trim_end()),
    }
    Ok(Exit::Done)
}

fn command(words: &[&str]) -> Result<String, Problem> {
    let mut command = Cli::command();
    command.build();
    let mut current = &mut command;
    for word in words {
        current = current.find_subcommand_mut(word).ok_or_else(|| {
            Problem::usage(format!("there is no command or help topic `{word}`"))
                .hint("espejo help; topics are environment, exit-codes and config")
        })?;
    }
    Ok(current.render_long_help().to_string())
}

fn environment() -> String {
    let mut text = String::from(
        "Every setting is also an environment variable; it beats the file and is beaten by a flag.\n\
         Variables marked * may instead name a file: NAME_FILE.\n\n",
    );
    for (name, about) in OTHER_VARIABLES {
        text.push_str(&format!("  {name:<34}   {about}\n"));
    }
    for setting in SETTINGS {
        let mark = if setting.secret { '*' } else { ' ' };
        text.push_str(&format!("  {:<34} {mark} {}\n", setting.variable(), setting.about));
    }
    text.push_str(
        "\nAlso obeyed: NO_COLOR, TERM=dumb, XDG_CONFIG_HOME, NOTIFY_SOCKET, and npm's own\n\
         npm_config_registry when no upstream is given.\n",
    );
    text
}

fn exit_codes() -> String {
    let mut text = String::from("How a command ended:\n\n");
    for (exit, meaning) in Exit::ALL {
        text.push_str(&format!("  {:>3}  {meaning}\n", exit.number()));
    }
    text.push_str("\nA reader that closes the pipe is not an error.\n");
    text
}

fn settings() -> String {
    let mut text = String::from(
        "Flag > environment > file > stored > discovered > default. The file is the first of\n\
         --config, ESPEJO_CONFIG, config.toml here, in the data folder, and espejo/config.toml in\n\
         the user's and the system's folder for settings. `espejo config init` writes one.\n\n",
    );
    for setting in SETTINGS {
        let default = match setting.default {
            "" => "(empty)",
            default => default,
        };
        text.push_str(&format!("  {:<24} {default:<16} {}\n", setting.key, setting.about));
        if let Kind::Choice(words) = setting.kind
            && !setting.about.contains(" | ")
        {
            text.push_str(&format!("  {:<24} {:<16} one of {}\n", "", "", words.join(", ")));
        }
    }
    text
}
