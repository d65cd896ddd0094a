//! What travels over the owner-only control socket, read and written by both ends.
//!
//! Every route lies under [`PREFIX`] and exists on the socket only. Short questions answer
//! with one JSON document. `verify`, `gc` and `backup` take minutes, so they answer with
//! JSON lines of [`OperationLine`], the last of which is a report or a failure; `events`
//! answers with JSON lines of [`EventLine`] until the server stops, and the log of a task is
//! followed as on the registry itself, as Server-Sent Events. Failures before the first line
//! are the common error envelope, [`ErrorBody`].

use actors::EngineEvent;
use actors::upstream::check::Finding;
use serde::{Deserialize, Serialize};
use store::completeness::{Gap, Why};
use store::{TaskFailure, TaskId, TaskState};

/// Path under which the control socket answers.
pub const PREFIX: &str = "/-/espejo/v1";

/// The same below `/-`, where the registry's own port has it for admins.
pub const BELOW_DASH: &str = "/espejo/v1";

/// `GET status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// Version of the running program.
    pub version: String,
    /// Process id of the server.
    pub pid: u32,
    /// Address of the registry, as bound (the port is the real one).
    pub listen: String,
    /// Address of `/livez`, `/readyz` and `/metrics`, when they are on.
    pub ops_listen: Option<String>,
    /// `public_url`, when set.
    pub public_url: Option<String>,
    /// Whether packages can be served; false while stopping.
    pub ready: bool,
    /// Time since start.
    pub uptime_ms: u64,
    /// What the store holds.
    pub store: StoreCounts,
    /// The engine's own description, `actors::EngineStatus`; read leniently by an older client.
    pub engine: serde_json::Value,
    /// Requests answered and bytes kept in memory since start.
    pub serving: ServingCounts,
}

/// Totals of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCounts {
    /// Packages held in any form.
    pub packages: u64,
    /// Versions known.
    pub versions: u64,
    /// Versions whose tarball is here.
    pub held: u64,
    /// Bytes of those tarballs.
    pub bytes: u64,
    /// Newest row of our own change log.
    pub last_seq: i64,
}

/// Counters of the HTTP side since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingCounts {
    /// Requests answered.
    pub requests: u64,
    /// Answers with a status of 500 and above.
    pub server_errors: u64,
    /// Packuments rendered (once per revision, form, encoding and base address).
    pub renders: u64,
    /// Bytes of rendered documents kept in memory.
    pub cached_bytes: u64,
}

/// `POST sync`: fetch these packages now; those named without a version become mirrored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// What [`WantedPackages::add`](crate::wanted::WantedPackages::add) reads: `lamp`,
    /// `lamp@1.0.0`, `@garden/ui@next`, `lamp@^1.0.0`.
    pub names: Vec<String>,
    /// How to fetch; the same for all names of one request.
    #[serde(default)]
    pub options: SyncOptions,
}

/// How a sync is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncOptions {
    /// Also bring in what the packages depend on.
    pub dependencies: bool,
    /// Ask upstream without validators, as if nothing were held.
    pub force: bool,
    /// A note that ends up in the task's log.
    pub tips: Option<String>,
}

/// A task as shown to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAnswer {
    /// Its id, UUIDv7.
    pub id: TaskId,
    /// Package the task is for.
    pub name: String,
    /// Upstream registry it is taken from.
    pub registry: String,
    /// Where it is in its life.
    pub state: TaskState,
    /// 0 people, 10 feed, 20 dependency, 30 sweep; lower goes first.
    pub priority: i32,
    /// How often it was started.
    pub attempts: i32,
    /// Why it failed, or why it waits for another try.
    pub error: Option<String>,
    /// What kind of failure ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<TaskFailure>,
    /// Who asked for it.
    pub author: Option<String>,
    /// When it was created, unix milliseconds.
    pub created_at_ms: i64,
    /// When it last changed, unix milliseconds.
    pub updated_at_ms: i64,
    /// Earliest next try, unix milliseconds.
    pub not_before_ms: i64,
    /// Place in the queue, 1 is next; only in the answer for a single waiting task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<i64>,
}

/// `POST sync` and `GET tasks?state=&name=&limit=&before=`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TasksAnswer {
    /// The rows: for a sync in the order of package names, for a list newest first.
    pub tasks: Vec<TaskAnswer>,
}

/// Query of `GET tasks`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TasksQuery {
    /// Only tasks in this state.
    pub state: Option<String>,
    /// Only tasks of this registry.
    pub registry: Option<String>,
    /// Only tasks of this package.
    pub name: Option<String>,
    /// Only tasks that this user asked for.
    pub author: Option<String>,
    /// Only tasks queued since then: unix milliseconds or ISO-8601 in UTC.
    pub since: Option<String>,
    /// At most this many rows, 1 to 1,000; 100 when left out.
    pub limit: Option<i64>,
    /// Only tasks older than this id: the next page.
    pub before: Option<String>,
}

/// `GET tasks/:id/log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLogAnswer {
    /// The lines written so far.
    pub log: String,
}

/// `POST registries/test`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryTest {
    /// Name of the registry.
    pub name: String,
    /// A package it should have.
    pub package: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryTested {
    /// One for each question.
    pub findings: Vec<Finding>,
}

/// Query of `GET /-/audit`, and what `espejo audit` asks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// Only what this person did.
    pub who: Option<String>,
    /// Only this: `registry.add`, or all of `registry`.
    pub action: Option<String>,
    /// Only what was done to this.
    pub subject: Option<String>,
    /// Only what was done since then: unix milliseconds or ISO-8601 in UTC.
    pub since: Option<String>,
    /// Only rows older than this id: the next page.
    pub before: Option<String>,
    /// At most this many rows, 1 to 1,000; 100 when left out.
    pub limit: Option<i64>,
}

/// Query of `GET blocks`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlocksQuery {
    /// Only blocks behind this `NAME[@VERSION]`: the next page.
    pub after: Option<String>,
    /// At most this many rows, 1 to 1,000; 100 when left out.
    pub limit: Option<i64>,
}

/// Body of `POST blocks` and, without a reason, of `POST blocks/remove`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockRequest {
    /// `NAME` or `NAME@VERSION`.
    pub target: String,
    /// Why; clients are told.
    #[serde(default)]
    pub reason: String,
}

/// Query of `GET holds`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldsQuery {
    /// As if `security.hold` were this long, in milliseconds; as it is when left out.
    pub hold_ms: Option<i64>,
    /// From this `NAME` on, or behind this `NAME@VERSION`: the next page.
    pub after: Option<String>,
    /// At most this many rows, 1 to 1,000; 100 when left out.
    pub limit: Option<usize>,
}

/// Answer of `GET holds`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HoldsAnswer {
    /// The versions, by name.
    pub held: Vec<HeldAnswer>,
    /// Where the list goes on, also behind a page without rows; none at its end.
    #[serde(default)]
    pub next: Option<String>,
}

/// Body of `POST denials`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenialsQuery {
    /// Rules to try in place of those of the settings.
    pub tried: Option<TriedRules>,
    /// From this `NAME` on, or behind this `NAME@VERSION`: the next page.
    pub after: Option<String>,
    /// At most this many rows, 1 to 1,000; 100 when left out.
    pub limit: Option<usize>,
}

/// Rules that are not set yet; the names are those of `security.deny_…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TriedRules {
    /// Names and patterns.
    pub names: Vec<String>,
    /// Licences and patterns.
    pub licences: Vec<String>,
    /// Tarballs of more bytes; 0: none.
    pub larger_than_bytes: u64,
    /// Versions that run something when they are installed.
    pub install_scripts: bool,
    /// Exceptions; those of the settings when there are none.
    pub except: Vec<String>,
}

/// Answer of `POST denials`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DenialsAnswer {
    /// The versions, by name.
    pub denied: Vec<DeniedAnswer>,
    /// Where the list goes on, also behind a page without rows; none at its end.
    pub next: Option<String>,
}

/// A version that a rule denies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeniedAnswer {
    /// `NAME@VERSION`.
    pub target: String,
    /// The setting: `security.deny_names`.
    pub rule: String,
    /// What it found.
    pub found: String,
}

/// A version that is too young to be given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAnswer {
    /// `NAME@VERSION`.
    pub target: String,
    /// When it was published, unix milliseconds.
    pub published_at_ms: i64,
    /// When it is old enough.
    pub until_ms: i64,
}

/// Answer of `GET blocks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlocksAnswer {
    /// The blocks, by name.
    pub blocks: Vec<BlockAnswer>,
}

/// One block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlockAnswer {
    /// `NAME` or `NAME@VERSION`.
    pub target: String,
    /// Its id.
    pub id: String,
    /// `admin`, or `removed` where upstream took it away.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// Who withholds it, `name/id`; none where no person does.
    pub operator: Option<String>,
    /// Since when, unix milliseconds.
    pub created_at_ms: i64,
    /// When the reason changed last.
    pub updated_at_ms: i64,
}

/// `POST tasks/:id/retry`, `POST tasks/:id/cancel`, `POST stop`, `POST blocks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneAnswer {
    /// Whether something changed: false when the task was in no state for it.
    pub ok: bool,
}

/// Query of `GET missing`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MissingQuery {
    /// Only what is missing for this reason.
    pub why: Option<Why>,
    /// At most this many rows, 1 to 1,000; 100 when left out.
    pub limit: Option<i64>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// `GET missing?why=&limit=&after=`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingAnswer {
    /// What is not here, or not upstream.
    pub missing: Vec<Gap>,
    /// Where the next page begins; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One line of `GET events`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventLine {
    /// First line: from here on nothing is missed.
    Listening,
    /// What the engine told, in its own words.
    Event {
        /// The fact.
        event: EngineEvent,
    },
    /// The reader was too slow and lost this many events.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// `POST verify`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyRequest {
    /// Share of the blobs to check, above 0 up to 1; all when left out.
    pub sample: Option<f64>,
    /// Fetch what is damaged again: only these packages or versions (`lamp`, `lamp@0.3.1`), all
    /// when empty; nothing when left out.
    pub repair: Option<Vec<String>>,
}

/// `POST gc`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GcRequest {
    /// Only say what would be deleted.
    pub dry_run: bool,
}

/// `POST backup`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// Folder to write to; absolute, because the server has another working folder.
    pub dir: String,
}

/// One line of a long operation's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OperationLine {
    /// How far it is.
    Progress {
        /// Things done.
        done: u64,
        /// Things to do; 0 when not known.
        total: u64,
    },
    /// Last line when done: the report in the operation's own shape ([`VerifyAnswer`],
    /// [`GcAnswer`], [`BackupAnswer`]).
    Report {
        /// The report.
        report: serde_json::Value,
    },
    /// Last line when failed.
    Failed {
        /// What happened and why.
        error: String,
    },
}

/// Report of `POST verify`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyAnswer {
    /// Blobs read.
    pub checked: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong.
    pub damaged: Vec<DamageAnswer>,
    /// Tasks that fetch the damaged ones again; empty without `repair`.
    #[serde(default)]
    pub repairing: Vec<TaskAnswer>,
}

/// One damaged blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamageAnswer {
    /// Package.
    pub name: String,
    /// Version; none when the package's document is meant.
    pub version: Option<String>,
    /// File, for people.
    pub file: String,
    /// What is wrong: `missing`, `sha512 differs`, …
    pub kind: String,
}

/// Report of `POST gc`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcAnswer {
    /// Unreferenced blobs deleted, or to be deleted with `dry_run`.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Old finished tasks deleted.
    pub tasks: u64,
    /// Bytes that rewriting mostly dead segments gave back.
    pub freed_bytes: u64,
}

/// Report of `POST backup`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupAnswer {
    /// Folder written.
    pub dir: String,
}

/// The error envelope of our own API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// `[CODE] message`.
    pub error: String,
    /// The message alone.
    pub reason: String,
    /// The code alone; only on our own API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What to do next; only on our own API, elsewhere it is the header `npm-notice`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Id of the request; only on our own API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
