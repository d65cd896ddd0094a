//! The engine that does the syncing: the running server's, or one of our own in this process.

use actors::{Engine, EngineEvent, EngineHandle, upstream::UpstreamSettings};
use store::{
    Store, TaskId,
    tasks::{self, TaskOptions},
};
use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use crate::{
    cli::{
        control::{ControlClient, Lines},
        exit::Exit,
        open::{DataFolder, STOP_GRACE, engine_settings},
        problem::Problem,
        task_table::TaskTable,
    },
    config::Config,
    control::messages::{EventLine, SyncOptions, SyncRequest, TaskAnswer, TasksAnswer, TasksQuery},
    wanted::Wanted,
};

/// Tries of a task when somebody waits for it in a terminal.
const ATTEMPTS: i32 = 2;
/// Rows of the task list read at once.
const PAGE: i64 = 1_000;

/// Where the work is done.
pub enum Mirror {
    /// The running server.
    Remote(Remote),
    /// An engine in this process, under the folder lock.
    Local(Box<Local>),
}

/// A running server and its events.
pub struct Remote {
    client: ControlClient,
    events: Lines<EventLine>,
}

/// An engine of our own.
pub struct Local {
    engine: Engine,
    handle: EngineHandle,
    events: Receiver<EngineEvent>,
    /// Held until the engine has ended.
    _folder: DataFolder,
}

/// What was heard.
#[derive(Debug)]
pub enum Heard {
    /// A fact.
    Event(EngineEvent),
    /// Some facts were missed: the table has to be read.
    Missed,
}

impl Mirror {
    /// Listens to the running server.
    ///
    /// # Errors
    /// When it goes away.
    pub async fn remote(client: ControlClient) -> Result<Self, Problem> {
        let mut events: Lines<EventLine> = client.lines("events").await?;
        events.next().await?; // `Listening`: from here on nothing is missed
        Ok(Self::Remote(Remote { client, events }))
    }

    /// Starts an engine in this process.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn local(
        config: &Config,
        upstream: UpstreamSettings,
        store: Store,
        folder: DataFolder,
    ) -> Result<Self, Problem> {
        let mut settings = engine_settings(config, Some(upstream));
        settings.max_attempts = ATTEMPTS;
        let engine = Engine::start(settings, store)
            .await
            .map_err(|error| Problem::failed("the engine cannot start").why(error))?;
        let handle = engine.handle();
        let events = handle.events();
        Ok(Self::Local(Box::new(Local { engine, handle, events, _folder: folder })))
    }

    /// Asks for packages; each answer is the task that stands for one of them.
    ///
    /// # Errors
    /// When the tasks cannot be written.
    pub async fn enqueue(
        &self,
        wanted: Vec<Wanted>,
        options: SyncOptions,
    ) -> Result<Vec<TaskAnswer>, Problem> {
        match self {
            Self::Remote(remote) => {
                let names = wanted.iter().flat_map(Wanted::words).collect();
                let request = SyncRequest { names, options };
                Ok(remote.client.post::<_, TasksAnswer>("sync", &request).await?.tasks)
            }
            Self::Local(local) => {
                let options = TaskOptions::from(options);
                let tasks = wanted.into_iter().map(|one| one.into_task(options.clone()));
                let rows = local.handle.enqueue(tasks.collect()).await;
                let rows = rows.map_err(|error| {
                    Problem::failed("the packages could not be queued").why(error)
                })?;
                Ok(rows.into_iter().map(TaskAnswer::from).collect())
            }
        }
    }

    /// The table of its tasks.
    #[must_use]
    pub fn tasks(&self) -> TaskTable {
        match self {
            Self::Remote(remote) => TaskTable::Remote(remote.client.clone()),
            Self::Local(local) => TaskTable::Local(local.handle.store().clone()),
        }
    }

    /// The next fact.
    ///
    /// # Errors
    /// When the engine went away.
    pub async fn heard(&mut self) -> Result<Heard, Problem> {
        match self {
            Self::Remote(remote) => loop {
                match remote.events.next().await? {
                    Some(EventLine::Event { event }) => return Ok(Heard::Event(event)),
                    Some(EventLine::Lagged { .. }) => return Ok(Heard::Missed),
                    Some(EventLine::Listening) => {}
                    None => return Err(stopped()),
                }
            },
            Self::Local(local) => match local.events.recv().await {
                Ok(event) => Ok(Heard::Event(event)),
                Err(RecvError::Lagged(_)) => Ok(Heard::Missed),
                Err(RecvError::Closed) => Err(stopped()),
            },
        }
    }

    /// Tasks made for dependencies since a moment.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn dependencies_since(&self, since_ms: i64) -> Result<Vec<TaskAnswer>, Problem> {
        let table = self.tasks();
        let mut found = Vec::new();
        let mut before: Option<TaskId> = None;
        loop {
            let before_text = before.map(|id| id.to_string());
            let query =
                TasksQuery { limit: Some(PAGE), before: before_text, ..TasksQuery::default() };
            let page = table.list(&query).await?;
            let full = i64::try_from(page.len()).is_ok_and(|rows| rows >= PAGE);
            let last = page.last().map(|task| (task.id, task.created_at_ms));
            let ours = |task: &TaskAnswer| {
                task.priority == tasks::PRIORITY_DEPENDENCY && task.created_at_ms >= since_ms
            };
            found.extend(page.into_iter().filter(ours));
            match last {
                Some((id, created_at_ms)) if full && created_at_ms >= since_ms => before = Some(id),
                _ => return Ok(found),
            }
        }
    }

    /// Whether the work goes on when this command ends.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// Ends an engine of our own; running packages finish or are handed back.
    ///
    /// Answers the facts nobody had heard yet, among them those of the end itself.
    pub async fn stop(self) -> Vec<EngineEvent> {
        let Self::Local(local) = self else { return Vec::new() };
        let Local { engine, handle, mut events, _folder } = *local;
        engine.shutdown(STOP_GRACE).await;
        drop(handle);
        let mut unheard = Vec::new();
        loop {
            match events.try_recv() {
                Ok(event) => unheard.push(event),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return unheard,
            }
        }
    }
}

fn stopped() -> Problem {
    Problem::new(
        Exit::Unreachable,
        "UNREACHABLE",
        "the mirror stopped before everything was synced",
    )
    .hint("start it again; the queue is kept: espejo task list")
}
