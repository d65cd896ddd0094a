//! `espejo completions SHELL`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{arguments::Cli, exit::Exit, output::Output, problem::Outcome};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell
    pub shell: Shell,
}

/// Writes the completion script to standard output.
///
/// # Errors
/// Never; the shape is that of all commands.
pub fn run(arguments: &CompletionsArguments, output: &Output) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "espejo", &mut script);
    output.raw(&script);
    Ok(Exit::Done)
}
