//! `espejo hook list | add | set | test | deliveries | redeliver | remove`: hooks of everybody, through
//! the running server or on the rows alone.

mod place;

use std::path::{Path, PathBuf};

use actors::clock::now_ms;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::json;

use self::place::Place;
use super::{
    accounts::secret_from,
    arguments::GlobalArguments,
    exit::Exit,
    output::Output,
    problem::{Outcome, Problem},
    runtime, text,
};
use crate::{
    control::hooks::{DeliveriesQuery, HookChangeRequest, HookInfo, HookRequest, HooksQuery},
    views::hook::DeliveryAnswer,
};

/// Commands of `hook`.
#[derive(Debug, Subcommand)]
pub enum HookCommand {
    /// All hooks in the order they were made
    List(ListArguments),
    /// Call an address when something happens to a package, a scope or what a user maintains
    Add(AddArguments),
    /// Change where a hook goes, or pause and resume it
    Set(SetArguments),
    /// Call a hook now and show what it answers
    Test(HookArgument),
    /// What became of the deliveries of a hook
    Deliveries(DeliveriesArguments),
    /// Send a delivery again
    Redeliver(DeliveryArgument),
    /// End a hook
    #[command(visible_alias = "rm")]
    Remove(HookArgument),
}

/// Arguments of `hook list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Only those of this user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

/// Arguments of `hook add`.
#[derive(Debug, Args)]
pub struct AddArguments {
    /// NAME of a package, @SCOPE, or ~USER
    pub target: String,
    /// Where deliveries go
    #[arg(value_name = "URL")]
    pub endpoint: String,
    /// File with the secret that deliveries are signed with, `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub secret_file: PathBuf,
    /// Whose hook it is
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub user: String,
}

/// Arguments of `hook set`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct SetArguments {
    /// Id or target of the hook
    pub hook: String,
    /// Where deliveries go from now on
    #[arg(long, value_name = "URL", group = "what")]
    pub endpoint: Option<String>,
    /// File with the new secret, `-` for standard input
    #[arg(long, value_name = "FILE", group = "what")]
    pub secret_file: Option<PathBuf>,
    /// Deliver nothing, and say why
    #[arg(long, value_name = "REASON", group = "what", conflicts_with_all = ["endpoint", "secret_file"])]
    pub pause: Option<String>,
    /// Deliver again, beginning with what waited
    #[arg(long, group = "what", conflicts_with = "pause")]
    pub resume: bool,
}

/// Which hook.
#[derive(Debug, Args)]
pub struct HookArgument {
    /// Id or target of the hook
    pub hook: String,
}

/// Arguments of `hook deliveries`.
#[derive(Debug, Args)]
pub struct DeliveriesArguments {
    /// Id or target of the hook
    pub hook: String,
    /// At most this many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub limit: i64,
    /// Only those before this one: the next page
    #[arg(long, value_name = "DELIVERY")]
    pub before: Option<String>,
}

/// Which delivery.
#[derive(Debug, Args)]
pub struct DeliveryArgument {
    /// Its id, as `hook deliveries` shows it
    pub delivery: String,
}

/// Runs a `hook` command.
///
/// # Errors
/// When the mirror cannot be reached or refuses.
pub fn run(command: &HookCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    let hooks = Hooks { place: Place::open(&global.settings()?)?, output };
    runtime::small()?.block_on(async {
        match command {
            HookCommand::List(arguments) => hooks.list(arguments).await,
            HookCommand::Add(arguments) => hooks.add(arguments).await,
            HookCommand::Set(arguments) => hooks.set(arguments).await,
            HookCommand::Test(arguments) => hooks.test(arguments).await,
            HookCommand::Deliveries(arguments) => hooks.deliveries(arguments).await,
            HookCommand::Redeliver(arguments) => hooks.redeliver(arguments).await,
            HookCommand::Remove(arguments) => hooks.remove(arguments).await,
        }
    })
}

struct Hooks<'a> {
    place: Place,
    output: &'a Output,
}

impl Hooks<'_> {
    async fn all(&self, user: Option<String>) -> Result<Vec<HookInfo>, Problem> {
        let mut all: Vec<HookInfo> = Vec::new();
        loop {
            let after = all.last().map(|hook| hook.id.clone());
            let query = HooksQuery { user: user.clone(), after, limit: Some(1_000) };
            let page = self.place.list(query).await?;
            let more = page.hooks.len() == 1_000 && user.is_none();
            all.extend(page.hooks);
            if !more {
                return Ok(all);
            }
        }
    }

    /// A hook by its id, the beginning of it, or what it is about.
    async fn find(&self, named: &str) -> Result<HookInfo, Problem> {
        let all = self.all(None).await?;
        let is = |hook: &&HookInfo| {
            hook.id == named
                || hook.target() == named
                || (named.len() >= 8 && hook.id.starts_with(named))
        };
        let found: Vec<&HookInfo> = all.iter().filter(is).collect();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(Problem::new(Exit::NotFound, "NOT_FOUND", format!("no hook {named}"))
                .hint("espejo hook list")),
            several => Err(Problem::usage(format!("{} hooks are called {named}", several.len()))
                .why("name one by its id")
                .hint("espejo hook list")),
        }
    }

    async fn list(&self, arguments: &ListArguments) -> Outcome {
        let found = self.all(arguments.user.clone()).await?;
        if self.output.json {
            self.output.json(&json!({ "hooks": found }));
            return Ok(Exit::Done);
        }
        if found.is_empty() {
            self.output.line("No hooks yet. Make one: espejo hook add NAME URL --secret-file FILE");
            return Ok(Exit::Done);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["ID", "ABOUT", "USER", "STATE", "LAST", "ENDPOINT"]);
        for hook in &found {
            table.add_row([
                &hook.id,
                &format!("{} {}", hook.kind, hook.target()),
                &hook.user,
                &state(hook),
                &last(hook),
                &hook.endpoint,
            ]);
        }
        self.output.line(table);
        Ok(Exit::Done)
    }

    async fn add(&self, arguments: &AddArguments) -> Outcome {
        let request = HookRequest {
            user: arguments.user.clone(),
            target: arguments.target.clone(),
            endpoint: arguments.endpoint.clone(),
            secret: secret(&arguments.secret_file)?,
        };
        let hook = self.place.add(request).await?;
        let what = match self.place.is_running() {
            true => "is called from now on. Try it: espejo hook test",
            false => "is called as soon as the mirror runs. Try it: espejo hook test",
        };
        self.told(&hook, what)
    }

    async fn set(&self, arguments: &SetArguments) -> Outcome {
        let hook = self.find(&arguments.hook).await?;
        let request = HookChangeRequest {
            endpoint: arguments.endpoint.clone(),
            secret: arguments.secret_file.as_deref().map(secret).transpose()?,
            pause: arguments.pause.clone(),
        };
        let hook = self.place.change(&hook.id, request).await?;
        let what = match &hook.paused {
            Some(_) => "is paused. Undo: espejo hook set --resume",
            None if !self.place.is_running() => {
                "is called as soon as the mirror runs. Try it: espejo hook test"
            }
            None => "is called from now on. Try it: espejo hook test",
        };
        self.told(&hook, what)
    }

    async fn remove(&self, arguments: &HookArgument) -> Outcome {
        let hook = self.find(&arguments.hook).await?;
        let hook = self.place.remove(&hook.id).await?;
        if self.output.json {
            self.output.json(&json!({ "removed": hook }));
        } else {
            self.output.line(format_args!("{} is not called any more.", hook.endpoint));
        }
        Ok(Exit::Done)
    }

    fn told(&self, hook: &HookInfo, what: &str) -> Outcome {
        if self.output.json {
            self.output.json(&json!({ "hook": hook }));
        } else {
            self.output.line(format_args!("{} {what} {}", hook.endpoint, hook.id));
        }
        Ok(Exit::Done)
    }

    async fn test(&self, arguments: &HookArgument) -> Outcome {
        let hook = self.find(&arguments.hook).await?;
        let tried = self.place.test(&hook.id).await?;
        let exit = if tried.delivered { Exit::Done } else { Exit::CheckFailed };
        if self.output.json {
            self.output.json(&json!({ "test": tried }));
            return Ok(exit);
        }
        let took = tried.attempt.duration_ms;
        match &tried.attempt.error {
            None => self.output.line(format_args!(
                "{} answered {} in {took} ms.",
                hook.endpoint, tried.attempt.response_code
            )),
            Some(error) => self.output.line(format_args!("{}: {error} ({took} ms)", hook.endpoint)),
        }
        if let Some(answer) = tried.attempt.answer.as_deref().and_then(|text| text.lines().next()) {
            self.output.line(format_args!("  {answer}"));
        }
        Ok(exit)
    }

    async fn deliveries(&self, arguments: &DeliveriesArguments) -> Outcome {
        let hook = self.find(&arguments.hook).await?;
        let query =
            DeliveriesQuery { before: arguments.before.clone(), limit: Some(arguments.limit) };
        let list = self.place.deliveries(&hook.id, query).await?;
        if self.output.json {
            self.output.json(&json!({ "deliveries": list.objects, "next": list.next }));
            return Ok(Exit::Done);
        }
        if list.objects.is_empty() {
            self.output.line("Nothing was to be delivered yet.");
            return Ok(Exit::Done);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["WHEN", "EVENT", "PACKAGE", "ANSWER", "TIME", "TRY", "DELIVERY"]);
        for delivery in &list.objects {
            table.add_row(row(delivery));
        }
        self.output.line(table);
        if let Some(next) = &list.next {
            self.output
                .line(format_args!("More: espejo hook deliveries {} --before {next}", hook.id));
        }
        Ok(Exit::Done)
    }

    async fn redeliver(&self, arguments: &DeliveryArgument) -> Outcome {
        let delivery = &arguments.delivery;
        if !self.place.redeliver(delivery).await? {
            let what = format!("no delivery {delivery}");
            return Err(Problem::new(Exit::NotFound, "NOT_FOUND", what)
                .why("ended ones are forgotten after a while (hooks.keep_history)"));
        }
        if self.output.json {
            self.output.json(&json!({ "redelivered": delivery }));
        } else {
            let when = if self.place.is_running() { "" } else { " as soon as the mirror runs" };
            self.output.line(format_args!("{delivery} is sent again{when}."));
        }
        Ok(Exit::Done)
    }
}

fn secret(file: &Path) -> Result<String, Problem> {
    secret_from(file, "secret")
}

fn state(hook: &HookInfo) -> String {
    let wait_ms = hook.not_before_ms.saturating_sub(now_ms());
    let dropped = match hook.dropped {
        0 => String::new(),
        dropped => format!(" ({} dropped)", text::count(dropped.unsigned_abs())),
    };
    match (&hook.paused, hook.failures) {
        (Some(reason), _) => format!("paused: {reason}{dropped}"),
        (None, 0) => format!("ok{dropped}"),
        (None, failures) if wait_ms > 0 => {
            format!("failing ({failures}), next in {}", text::age(wait_ms.unsigned_abs()))
        }
        (None, failures) => format!("failing ({failures})"),
    }
}

fn last(hook: &HookInfo) -> String {
    let Some(at_ms) = hook.last_delivery_ms else { return "never".to_owned() };
    let age = text::age(now_ms().saturating_sub(at_ms).max(0).unsigned_abs());
    match hook.last_code {
        Some(code) => format!("{code}, {age} ago"),
        None => format!("no answer, {age} ago"),
    }
}

fn row(delivery: &DeliveryAnswer) -> [String; 7] {
    let last = delivery.last.as_ref();
    let answer = match last {
        None => "-".to_owned(),
        Some(last) if last.response_code == 0 => "none".to_owned(),
        Some(last) => last.response_code.to_string(),
    };
    let number = delivery.attempts - delivery.earlier_attempts;
    let tries = match (delivery.state.as_str(), &delivery.next_attempt) {
        ("waiting", Some(next)) => format!("{number}, next at {next}"),
        ("waiting", None) => "waits".to_owned(),
        ("skipped", _) => match &delivery.reason {
            Some(reason) => format!("skipped: {reason}"),
            None => "skipped".to_owned(),
        },
        (state, _) => format!("{number}, {state}"),
    };
    [
        delivery.time.clone(),
        delivery.event.clone(),
        delivery.package.clone(),
        answer,
        last.map_or_else(|| "-".to_owned(), |last| format!("{} ms", last.duration_ms)),
        tries,
        delivery.id.clone(),
    ]
}
