//! The engine that does the syncing: the running server's, or one of our own in this process.

use actors::{DEFAULT_REGISTRY, Engine, EngineEvent, EngineHandle, upstream::UpstreamSettings};
use store::{
    Store, TaskId, TaskState,
    tasks::{self, NewTask, TaskFilter, TaskOptions, TaskRow},
};
use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};
use uuid::Uuid;

use super::names::Wanted;
use crate::{
    cli::{
        control::{ControlClient, Lines},
        exit::Exit,
        open::{DataFolder, STOP_GRACE, engine_settings, task_state},
        problem::Problem,
        task::task_id,
    },
    config::Config,
    control::messages::{EventLine, SyncOptions, SyncRequest, TaskAnswer, TasksAnswer, TasksQuery},
};

/// Tries of a task when somebody waits for it in a terminal.
const ATTEMPTS: i32 = 2;
/// Rows of the task list read at once.
const PAGE: i64 = 1_000;

/// A task as the table has it.
#[derive(Debug, Clone)]
pub struct TaskLine {
    /// Its id.
    pub id: TaskId,
    /// Its package.
    pub name: String,
    /// Its state.
    pub state: TaskState,
    /// Why it failed or waits.
    pub error: Option<String>,
    /// 20 for dependencies.
    pub priority: i32,
    /// When it was made.
    pub created_at_ms: i64,
}

/// How packages are to be fetched.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Dependencies too.
    pub dependencies: bool,
    /// Without validators.
    pub force: bool,
}

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
    pub async fn enqueue(&self, wanted: &[Wanted], how: How) -> Result<Vec<TaskLine>, Problem> {
        match self {
            Self::Remote(remote) => remote.enqueue(wanted, how).await,
            Self::Local(local) => {
                let tasks = wanted.iter().map(|one| new_task(one, how)).collect();
                let rows = local.handle.enqueue(tasks).await;
                let rows = rows.map_err(|error| {
                    Problem::failed("the packages could not be queued").why(error)
                })?;
                Ok(rows.into_iter().map(TaskLine::from).collect())
            }
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

    /// One task as the table has it.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn find(&self, id: TaskId) -> Result<Option<TaskLine>, Problem> {
        match self {
            Self::Remote(remote) => {
                let path = format!("tasks/{}", id.0);
                match remote.client.get::<TaskAnswer>(&path).await {
                    Ok(answer) => answer.try_into().map(Some),
                    Err(problem) if problem.exit == Exit::NotFound => Ok(None),
                    Err(problem) => Err(problem),
                }
            }
            Self::Local(local) => {
                let found = local.handle.store().read(move |conn| tasks::find(conn, id)).await;
                Ok(found.map_err(Problem::from)?.map(TaskLine::from))
            }
        }
    }

    /// Tasks made for dependencies since a moment.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn dependencies_since(&self, since_ms: i64) -> Result<Vec<TaskLine>, Problem> {
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let page = self.page(before).await?;
            let full = i64::try_from(page.len()).is_ok_and(|rows| rows >= PAGE);
            let last = page.last().map(|task| (task.id, task.created_at_ms));
            let ours = |task: &TaskLine| {
                task.priority == tasks::PRIORITY_DEPENDENCY && task.created_at_ms >= since_ms
            };
            found.extend(page.into_iter().filter(ours));
            match last {
                Some((id, created_at_ms)) if full && created_at_ms >= since_ms => before = Some(id),
                _ => return Ok(found),
            }
        }
    }

    async fn page(&self, before: Option<TaskId>) -> Result<Vec<TaskLine>, Problem> {
        match self {
            Self::Remote(remote) => {
                let before = before.map(|id| id.0.to_string());
                let query = TasksQuery { limit: Some(PAGE), before, ..TasksQuery::default() };
                let answer: TasksAnswer = remote.client.find("tasks", &query).await?;
                answer.tasks.into_iter().map(TryInto::try_into).collect()
            }
            Self::Local(local) => {
                let filter = TaskFilter { limit: PAGE, before, ..TaskFilter::default() };
                let rows = local.handle.store().read(move |conn| tasks::list(conn, &filter)).await;
                Ok(rows.map_err(Problem::from)?.into_iter().map(TaskLine::from).collect())
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

impl Remote {
    async fn enqueue(&self, wanted: &[Wanted], how: How) -> Result<Vec<TaskLine>, Problem> {
        let (whole, parts): (Vec<&Wanted>, Vec<&Wanted>) =
            wanted.iter().partition(|one| one.versions.is_none());
        let mut requests: Vec<SyncRequest> = Vec::with_capacity(parts.len() + 1);
        if !whole.is_empty() {
            requests.push(SyncRequest {
                names: whole.iter().map(|one| one.name.to_string()).collect(),
                options: options(how, None),
            });
        }
        requests.extend(parts.iter().map(|one| SyncRequest {
            names: vec![one.name.to_string()],
            options: options(how, one.versions.clone()),
        }));
        let mut tasks = Vec::with_capacity(wanted.len());
        for request in requests {
            let answer: TasksAnswer = self.client.post("sync", &request).await?;
            for task in answer.tasks {
                tasks.push(task.try_into()?);
            }
        }
        Ok(tasks)
    }
}

fn options(how: How, specific_versions: Option<Vec<String>>) -> SyncOptions {
    SyncOptions { dependencies: how.dependencies, force: how.force, specific_versions, tips: None }
}

fn new_task(wanted: &Wanted, how: How) -> NewTask {
    NewTask {
        id: TaskId(Uuid::now_v7()),
        name: wanted.name.clone(),
        registry: DEFAULT_REGISTRY.to_owned(),
        priority: tasks::PRIORITY_PEOPLE,
        options: TaskOptions {
            skip_dependencies: !how.dependencies,
            force: how.force,
            specific_versions: wanted.versions.clone(),
            keep: wanted.keep,
            ..TaskOptions::default()
        },
        author: None,
        author_ip: None,
    }
}

impl From<TaskRow> for TaskLine {
    fn from(row: TaskRow) -> Self {
        Self {
            id: row.id,
            name: row.name.to_string(),
            state: row.state,
            error: row.error,
            priority: row.priority,
            created_at_ms: row.created_at_ms,
        }
    }
}

impl TryFrom<TaskAnswer> for TaskLine {
    type Error = Problem;

    fn try_from(answer: TaskAnswer) -> Result<Self, Problem> {
        Ok(Self {
            id: task_id(&answer.id)?,
            name: answer.name,
            state: task_state(&answer.state)?,
            error: answer.error,
            priority: answer.priority,
            created_at_ms: answer.created_at_ms,
        })
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
