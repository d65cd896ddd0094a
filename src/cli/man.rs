//! `espejo man [--dir DIR]`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::{arguments::Cli, exit::Exit, output::Output, problem::Outcome};

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// Write one page per command into this folder, instead of the main page to standard output
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// Writes manual pages.
///
/// # Errors
/// When the folder cannot be written.
pub fn run(arguments: &ManArguments, output: &Output) -> Outcome {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = &arguments.dir else {
        output.raw(&page(&command).context("could not write the manual page")?);
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not make the folder {}", folder.display()))?;
    let mut pages = Vec::new();
    collect(&command, "espejo", &mut pages);
    for (name, command) in &pages {
        let path = folder.join(format!("{name}.1"));
        let bytes = page(command).context("could not write a manual page")?;
        std::fs::write(&path, bytes)
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    output.note(format_args!("Wrote {} manual pages to {}", pages.len(), folder.display()));
    Ok(Exit::Done)
}

fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let source = concat!("espejo ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).render(&mut bytes)?;
    Ok(bytes)
}

fn collect(command: &Command, name: &str, pages: &mut Vec<(String, Command)>) {
    // Built above, so each command knows its whole name for the heading.
    pages.push((name.to_owned(), command.clone()));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        collect(inner, &format!("{name}-{}", inner.get_name()), pages);
    }
}
