//! The command line: every command, flag and help text.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{
    advisories::AdvisoriesCommand,
    audit::AuditArguments,
    backup::{BackupArguments, RestoreArguments},
    bench::BenchArguments,
    block::BlockCommand,
    completions::CompletionsArguments,
    config::ConfigCommand,
    doctor::DoctorArguments,
    gc::GcArguments,
    help::HelpArguments,
    hook::HookCommand,
    man::ManArguments,
    missing::MissingArguments,
    output::{ColourChoice, Output, ProgressChoice},
    problem::Problem,
    registry::RegistryCommand,
    scope::ScopeCommand,
    serve::ServeArguments,
    sync::SyncArguments,
    task::TaskCommand,
    token::TokenCommand,
    user::UserCommand,
    verify::VerifyArguments,
};
use crate::config::{Config, LoadRequest, Remote, value};

/// A mirror of an npm registry: follows, verifies, stores and serves packages.
#[derive(Debug, Parser)]
#[command(
    name = "espejo",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "More: espejo help environment | exit-codes | config"
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: GlobalArguments,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct GlobalArguments {
    /// Configuration file, instead of looking for one
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data folder
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data: Option<String>,
    /// Address of a mirror elsewhere, instead of the one of the data folder
    #[arg(long, global = true, value_name = "URL", env = "ESPEJO_SERVER", hide_env_values = true)]
    pub server: Option<String>,
    /// An admin's token for it; better in ESPEJO_TOKEN, which no list of processes shows
    #[arg(
        long = "token",
        global = true,
        value_name = "TOKEN",
        env = "ESPEJO_TOKEN",
        hide_env_values = true
    )]
    pub remote_token: Option<String>,
    /// File with a certificate authority for it, beside those of the system
    #[arg(long, global = true, value_name = "FILE", requires = "server")]
    pub ca: Option<PathBuf>,
    /// Results as JSON: one document, or lines with a "type"
    #[arg(long, global = true)]
    pub json: bool,
    /// Colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub color: ColourChoice,
    /// Progress: bars on a terminal, plain lines, or none
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        default_value = "auto",
        hide_default_value = true
    )]
    pub progress: ProgressChoice,
    /// Results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More of what happens inside; twice for more still
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Do not ask before deleting or overwriting
    #[arg(long, global = true)]
    pub yes: bool,
    /// Do not look for an upstream in npm's settings
    #[arg(long, global = true, hide = true)]
    pub no_discovery: bool,
}

impl GlobalArguments {
    /// Where and how to speak.
    #[must_use]
    pub fn output(&self) -> Output {
        Output::new(self.json, self.quiet, self.verbose, self.color, self.progress)
    }

    /// What settings are read from; `flags` are those of the command itself.
    #[must_use]
    pub fn load_request(
        &self,
        flags: &[(&'static str, &Option<String>, &'static str)],
    ) -> LoadRequest {
        let data = ("storage.path", &self.data, "--data");
        let given = flags.iter().chain([&data]);
        LoadRequest {
            config: self.config.clone(),
            flags: given
                .filter_map(|(key, value, flag)| (*value).clone().map(|value| (*key, value, *flag)))
                .collect(),
            variables: std::env::vars_os()
                .filter_map(|(key, value)| {
                    Some((key.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        }
    }

    /// The settings without any flag of the command itself, and the server that was named.
    ///
    /// # Errors
    /// When a layer holds an unknown key or a refused value, or the server's address is none.
    pub fn settings(&self) -> Result<Config, Problem> {
        self.settings_with(&[])
    }

    /// The same with flags of the command itself.
    ///
    /// # Errors
    /// As [`settings`](Self::settings).
    pub fn settings_with(
        &self,
        flags: &[(&'static str, &Option<String>, &'static str)],
    ) -> Result<Config, Problem> {
        let config = Config::load(&self.load_request(flags))?;
        Ok(Config { remote: self.remote()?, ..config })
    }

    fn remote(&self) -> Result<Option<Remote>, Problem> {
        let Some(address) = &self.server else { return Ok(None) };
        let url = value::parse_address(address)
            .map_err(|error| Problem::usage(format!("--server: {error}")))?;
        Ok(Some(Remote { url, token: self.remote_token.clone(), ca: self.ca.clone() }))
    }
}

impl Command {
    /// Whether it is about files and ports of this machine.
    #[must_use]
    pub fn is_for_this_machine(&self) -> bool {
        matches!(
            self,
            Self::Serve(_) | Self::Doctor(_) | Self::Backup(_) | Self::Restore(_) | Self::Bench(_)
        )
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the mirror
    Serve(ServeArguments),
    /// Fetch packages now and keep all their versions
    Sync(SyncArguments),
    /// What is here, what runs, what waits
    Status,
    /// What upstream has and this mirror does not, and why
    Missing(MissingArguments),
    /// Look at sync tasks, retry and cancel them
    #[command(subcommand)]
    Task(TaskCommand),
    /// Refuse packages or versions to readers
    #[command(subcommand)]
    Block(BlockCommand),
    /// Whom to call when something happens to packages
    #[command(subcommand)]
    Hook(HookCommand),
    /// Check stored files against their digests
    Verify(VerifyArguments),
    /// Delete what nothing refers to any more
    Gc(GcArguments),
    /// Measure this machine against a simulated upstream, without any network
    Bench(BenchArguments),
    /// Settings: what is in force, a file to start from, a check
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look for problems of this machine and this mirror
    Doctor(DoctorArguments),
    /// Copy everything to a folder; safe while the mirror runs
    Backup(BackupArguments),
    /// Put a backup into an empty data folder
    Restore(RestoreArguments),
    /// Upstream registries
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Scopes and the registries they belong to
    #[command(subcommand)]
    Scope(ScopeCommand),
    /// Security advisories that audits are answered from
    #[command(subcommand)]
    Advisories(AdvisoriesCommand),
    /// Who changed what, when, from where
    Audit(AuditArguments),
    /// Accounts: who may log in
    #[command(subcommand)]
    User(UserCommand),
    /// Access tokens and sign-in links
    #[command(subcommand)]
    Token(TokenCommand),
    /// Completions for a shell
    Completions(CompletionsArguments),
    /// Manual pages
    Man(ManArguments),
    /// Version of this program
    Version,
    /// Help for a command or a topic: environment, exit-codes, config
    Help(HelpArguments),
}
