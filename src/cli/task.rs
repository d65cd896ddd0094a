//! `espejo task list | show | log | retry | cancel`.

use actors::clock::now_ms;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::json;
use store::{TaskId, WriteFn, tasks};

use super::{
    arguments::GlobalArguments,
    control::ControlClient,
    exit::Exit,
    log_stream::{LogEnd, LogEvent, LogStream},
    open::{DataFolder, write_blocking},
    output::Output,
    problem::{Outcome, Problem},
    runtime,
    task_table::{TaskTable, found},
    text,
};
use crate::{
    config::Config,
    control::messages::{DoneAnswer, TaskLogAnswer, TasksQuery},
};

/// Commands of `task`.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Tasks, newest first
    List(ListArguments),
    /// One task
    Show(IdArgument),
    /// Its log
    Log(LogArguments),
    /// Put a failed task back into the queue
    Retry(IdArgument),
    /// End a waiting or running task
    Cancel(IdArgument),
}

/// Arguments of `task list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Only tasks in this state
    #[arg(long, value_parser = ["waiting", "processing", "success", "error"])]
    pub state: Option<String>,
    /// Only tasks of this package
    #[arg(long)]
    pub name: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub limit: i64,
    /// Only tasks older than this one: the next page
    #[arg(long, value_name = "ID")]
    pub before: Option<String>,
}

/// The id of a task.
#[derive(Debug, Args)]
pub struct IdArgument {
    /// The task's id
    pub id: String,
}

/// Arguments of `task log`.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// The task's id
    pub id: String,
    /// Go on with the lines to come until the task has ended
    #[arg(long, short)]
    pub follow: bool,
}

/// Reads the id of a task.
///
/// # Errors
/// When the text is none.
fn task_id(text: &str) -> Result<TaskId, Problem> {
    TaskId::parse(text).map_err(|error| Problem::usage(error.to_string()).hint("espejo task list"))
}

/// Runs a `task` command.
///
/// # Errors
/// When there is no such task, or the mirror cannot be reached.
pub fn run(command: &TaskCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let tasks = Tasks::open(&config)?;
    runtime::small()?.block_on(async {
        match command {
            TaskCommand::List(arguments) => list(&tasks, arguments, output).await,
            TaskCommand::Show(id) => show(&tasks, &id.id, output).await,
            TaskCommand::Log(arguments) => log(&tasks, arguments, output).await,
            TaskCommand::Retry(id) => change(&tasks, &id.id, Change::Retry, output).await,
            TaskCommand::Cancel(id) => change(&tasks, &id.id, Change::Cancel, output).await,
        }
    })
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Retry,
    Cancel,
}

impl Change {
    fn path(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Retry => "Put back into the queue",
            Self::Cancel => "Cancelled",
        }
    }

    fn refused(self) -> &'static str {
        match self {
            Self::Retry => "only failed tasks can be retried",
            Self::Cancel => "only waiting and running tasks can be cancelled",
        }
    }
}

/// The task table and what changes it: through the running server, else under the folder lock.
struct Tasks {
    table: TaskTable,
    /// Held where no server runs.
    _folder: Option<DataFolder>,
}

impl Tasks {
    fn open(config: &Config) -> Result<Self, Problem> {
        if let Some(client) = ControlClient::connect(config)? {
            return Ok(Self { table: TaskTable::Remote(client), _folder: None });
        }
        let folder = DataFolder::lock(config)?;
        let table = TaskTable::Local(folder.open_store(config)?);
        Ok(Self { table, _folder: Some(folder) })
    }

    async fn log(&self, id: TaskId) -> Result<Option<String>, Problem> {
        match &self.table {
            TaskTable::Remote(client) => {
                let answer = client.get::<TaskLogAnswer>(&format!("tasks/{id}/log")).await;
                Ok(found(answer)?.map(|answer| answer.log))
            }
            TaskTable::Local(store) => Ok(store.read(move |rows| tasks::log(rows, id)).await?),
        }
    }

    async fn change(&self, id: TaskId, change: Change) -> Result<bool, Problem> {
        match &self.table {
            TaskTable::Remote(client) => {
                let path = format!("tasks/{id}/{}", change.path());
                Ok(client.post::<_, DoneAnswer>(&path, &serde_json::json!({})).await?.ok)
            }
            TaskTable::Local(store) => {
                let (tell, told) = std::sync::mpsc::channel();
                let write: WriteFn = Box::new(move |connection| {
                    let done = match change {
                        Change::Retry => tasks::retry(connection, id)?,
                        Change::Cancel => tasks::cancel(connection, id)?,
                    };
                    // The receiver outlives the write below.
                    let _ = tell.send(done);
                    Ok(())
                });
                write_blocking(store, vec![write])?;
                Ok(told.try_iter().last().unwrap_or_default())
            }
        }
    }
}

fn not_found(id: &str) -> Problem {
    Problem::new(Exit::NotFound, "NOT_FOUND", format!("there is no task {id}"))
        .why("finished tasks are deleted after some days")
        .hint("espejo task list")
}

async fn list(tasks: &Tasks, arguments: &ListArguments, output: &Output) -> Outcome {
    let query = TasksQuery {
        state: arguments.state.clone(),
        name: arguments.name.clone(),
        limit: Some(arguments.limit),
        before: arguments.before.clone(),
        ..TasksQuery::default()
    };
    let rows = tasks.table.list(&query).await?;
    if output.json {
        output.json(&rows);
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        output.note("No such tasks.");
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["TASK", "PACKAGE", "STATE", "TRY", "AGE", "REASON"]);
    for row in &rows {
        table.add_row([
            row.id.to_string(),
            row.name.clone(),
            row.state.to_string(),
            row.attempts.to_string(),
            age(row.updated_at_ms),
            row.error.clone().unwrap_or_default(),
        ]);
    }
    for line in table.lines() {
        output.line(line.trim_end().strip_prefix(' ').unwrap_or_default());
    }
    Ok(Exit::Done)
}

fn age(since_ms: i64) -> String {
    text::age(u64::try_from(now_ms().saturating_sub(since_ms)).unwrap_or_default())
}

async fn show(tasks: &Tasks, id: &str, output: &Output) -> Outcome {
    let task = tasks.table.find(task_id(id)?).await?.ok_or_else(|| not_found(id))?;
    if output.json {
        output.json(&task);
        return Ok(Exit::Done);
    }
    let place = task.place.map(|place| format!(", {place} in the queue")).unwrap_or_default();
    output.line(format_args!("task       {}", task.id));
    output.line(format_args!("package    {}", task.name));
    output.line(format_args!("state      {}{place}", task.state));
    output.line(format_args!("from       {}", task.registry));
    output.line(format_args!(
        "asked      {} ago by {}",
        age(task.created_at_ms),
        task.author.as_deref().unwrap_or("nobody in particular")
    ));
    output.line(format_args!("changed    {} ago, try {}", age(task.updated_at_ms), task.attempts));
    if let Some(error) = &task.error {
        output.line(format_args!("reason     {error}"));
    }
    Ok(Exit::Done)
}

async fn log(tasks: &Tasks, arguments: &LogArguments, output: &Output) -> Outcome {
    let id = arguments.id.as_str();
    let id_read = task_id(id)?;
    // Where no server runs, nothing is being written.
    if let (true, TaskTable::Remote(client)) = (arguments.follow, &tasks.table) {
        return follow(LogStream::open(client, id_read).await?, output).await;
    }
    let log = match tasks.log(id_read).await? {
        Some(log) => log,
        None => {
            tasks.table.find(id_read).await?.ok_or_else(|| not_found(id))?;
            String::new()
        }
    };
    if output.json {
        output.json(&TaskLogAnswer { log });
    } else if log.is_empty() {
        output.note("No log yet.");
    } else {
        output.line(log.trim_end());
    }
    Ok(Exit::Done)
}

/// Shows lines as they are written. That the task failed is no failure of this command.
async fn follow(mut stream: LogStream, output: &Output) -> Outcome {
    loop {
        match (stream.next().await?, output.json) {
            (LogEvent::Line(text), true) => output.json(&json!({ "type": "line", "text": text })),
            (LogEvent::Line(text), false) => output.line(text),
            (LogEvent::Place(text), true) => {
                output.json(&json!({ "type": "place", "text": text }));
            }
            (LogEvent::Place(text), false) => output.note(text),
            (LogEvent::End(LogEnd { state, error }), json) => {
                if json {
                    output.json(&json!({ "type": "summary", "state": state, "error": error }));
                }
                return Ok(Exit::Done);
            }
        }
    }
}

async fn change(tasks: &Tasks, id: &str, change: Change, output: &Output) -> Outcome {
    let id_read = task_id(id)?;
    let done = tasks.change(id_read, change).await?;
    if !done {
        let task = tasks.table.find(id_read).await?.ok_or_else(|| not_found(id))?;
        return Err(
            Problem::failed(format!("task {id} is in state {}", task.state)).why(change.refused())
        );
    }
    if output.json {
        output.json(&DoneAnswer { ok: true });
    } else {
        output.line(format_args!("{} {id}", change.done()));
    }
    Ok(Exit::Done)
}
