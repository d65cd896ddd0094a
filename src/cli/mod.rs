//! The command line: one file per command, one way to fail, one way to end.

mod accounts;
mod advisories;
pub mod arguments;
mod audit;
mod backup;
pub mod bench;
mod block;
mod completions;
mod config;
pub mod control;
mod doctor;
pub mod exit;
mod gc;
mod help;
mod hook;
mod log_stream;
mod long;
mod man;
mod missing;
mod open;
pub mod output;
mod place;
mod ports;
pub mod problem;
mod registry;
mod runtime;
mod scope;
mod serve;
mod signals;
mod status;
pub mod sync;
mod task;
mod task_table;
mod text;
mod token;
mod upstream;
mod user;
mod verify;
mod version;

use std::{process::ExitCode, time::Instant};

use clap::{Parser, error::ErrorKind};

use self::{
    arguments::{Cli, Command},
    exit::Exit,
    output::{ColourChoice, Output, ProgressChoice},
    problem::{Outcome, Problem},
};

/// Reads the command line, does what it says, and tells how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let started = Instant::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let output = cli.global.output();
    let exit = match run(&cli, &output, started) {
        Ok(exit) => exit,
        Err(problem) => {
            say(&problem, &output);
            problem.exit
        }
    };
    exit.into()
}

fn run(cli: &Cli, output: &Output, started: Instant) -> Outcome {
    let global = &cli.global;
    if global.server.is_some() && cli.command.is_for_this_machine() {
        return Err(Problem::usage("this command works on this machine only")
            .why("--server, or ESPEJO_SERVER, names a mirror elsewhere")
            .hint("leave it out"));
    }
    match &cli.command {
        Command::Serve(arguments) => serve::run(arguments, global, output, started),
        Command::Sync(arguments) => sync::run(arguments, global, output),
        Command::Status => status::run(global, output),
        Command::Missing(arguments) => missing::run(arguments, global, output),
        Command::Task(command) => task::run(command, global, output),
        Command::Block(command) => block::run(command, global, output),
        Command::Hook(command) => hook::run(command, global, output),
        Command::Verify(arguments) => verify::run(arguments, global, output),
        Command::Gc(arguments) => gc::run(arguments, global, output),
        Command::Bench(arguments) => bench::run(arguments, output),
        Command::Config(command) => config::run(command, global, output),
        Command::Doctor(arguments) => doctor::run(arguments, global, output),
        Command::Backup(arguments) => backup::backup(arguments, global, output),
        Command::Restore(arguments) => backup::restore(arguments, global, output),
        Command::Registry(command) => registry::run(command, global, output),
        Command::Scope(command) => scope::run(command, global, output),
        Command::User(command) => user::run(command, global, output),
        Command::Advisories(command) => advisories::run(command, global, output),
        Command::Audit(arguments) => audit::run(arguments, global, output),
        Command::Token(command) => token::run(command, global, output),
        Command::Completions(arguments) => completions::run(arguments, output),
        Command::Man(arguments) => man::run(arguments, output),
        Command::Version => version::run(output),
        Command::Help(arguments) => help::run(arguments, output),
    }
}

fn say(problem: &Problem, output: &Output) {
    if output.json {
        output.error(problem.to_json());
    } else if output.colour_on_stderr() {
        let text = problem.to_string();
        output.error(text.replacen("error:", "\x1b[31merror:\x1b[0m", 1));
    } else {
        output.error(problem);
    }
}

/// Help and version are no failures; everything else clap says is a wrong command line.
fn refuse(error: &clap::Error) -> ExitCode {
    let shown = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let json = std::env::args_os().any(|word| word == "--json");
    if json && !shown {
        let output = Output::new(true, false, 0, ColourChoice::Never, ProgressChoice::Never);
        let text = error.render().to_string();
        let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        output.error(Problem::usage(what).hint("espejo help").to_json());
    } else {
        // A reader that went away is no error.
        let _ = error.print();
    }
    if shown { Exit::Done.into() } else { Exit::Usage.into() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn exit_codes_are_those_of_the_guide() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| exit.number()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 10, 130]);
    }

    #[test]
    fn a_problem_is_three_lines_or_one_object() {
        let problem = Problem::new(Exit::DataInUse, "DATA_IN_USE", "cannot open ./data")
            .why("another espejo (process 640) holds its lock")
            .hint("use that one, or choose `--data`");
        assert_eq!(
            problem.to_string(),
            "error: cannot open ./data\n  why: another espejo (process 640) holds its lock\n  try: \
             use that one, or choose `--data`"
        );
        let json = problem.to_json();
        assert_eq!((json["code"].as_str(), json["exit"].as_u64()), (Some("DATA_IN_USE"), Some(10)));
    }

    #[test]
    fn the_commands_and_flags_of_the_guide_are_understood() {
        for line in [
            "espejo serve --listen 127.0.0.1:1 --data d --upstream http://127.0.0.1:2 --config c",
            "espejo sync lamp @garden/ui@2.0.0 --deps --json",
            "espejo sync --from-lockfile package-lock.json --progress plain",
            "espejo sync -",
            "espejo task list --state error",
            "espejo task log --follow 0199c5d2-7b1e-7c44-9f0a-000000000000",
            "espejo missing --why never-fetched --limit 5 --after 0||",
            "espejo verify --sample 5%",
            "espejo verify --repair lamp@0.3.1 @garden/ui@2.0.0",
            "espejo verify --repair",
            "espejo gc --dry-run --yes",
            "espejo block add ghost@1.0.2 --reason x",
            "espejo block rm ghost",
            "espejo block list --limit 5",
            "espejo hook add lamp https://hooks.example/in --secret-file -",
            "espejo hook set lamp --pause x",
            "espejo hook deliveries @garden --limit 5",
            "espejo bench --duration 10s --fail-if p99>5ms",
            "espejo bench sync --packages 10 --fail-if versions<1/s",
            "espejo config show upstream --changed",
            "espejo doctor --bundle",
            "espejo backup /tmp/x",
            "espejo token create admin",
            "espejo token create ada --read --expires 90d --name ci --package lamp --scope @garden",
            "espejo token list ada --json",
            "espejo token revoke 0123456789ab",
            "espejo token link",
            "espejo user add ada --admin --email ada@garden.test --password-file -",
            "espejo user passwd ada --end-tokens",
            "espejo user admin ada --undo",
            "espejo user disable ada",
            "espejo user list --after ada",
            "espejo registry add inner --url http://127.0.0.1:3/ --type cnpm --rate 20",
            "espejo registry set default --url http://127.0.0.1:3/",
            "espejo registry list --json",
            "espejo registry set default --token-from-npmrc",
            "espejo registry test inner --package lamp",
            "espejo registry pause inner",
            "espejo registry resume inner --since 7",
            "espejo advisories load records.jsonl folder",
            "espejo audit --who ada --action registry --since 7d --json",
            "espejo scope add @garden --registry self",
            "espejo scope remove @garden",
            "espejo man --dir x",
            "espejo help exit-codes",
            "espejo status --color never -v",
        ] {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
        for line in ["espejo", "espejo snyc", "espejo sync", "espejo task list --state done"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
        let unknown = Cli::try_parse_from(["espejo", "snyc", "lamp"]).unwrap_err().to_string();
        assert!(unknown.contains("sync"), "{unknown}");
    }
}
