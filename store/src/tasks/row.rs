//! A task as it is asked for and as it is stored.

use std::collections::HashSet;

use npm::PackageName;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::change::TaskId;
use crate::packages::package_name;
use crate::schema::tasks;
use crate::states::{Keeping, TaskFailure, TaskState};

/// A task to be queued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTask {
    /// Its id, unless it merges into a waiting one.
    pub id: TaskId,
    /// The package.
    pub name: PackageName,
    /// Name of the registry to ask.
    pub registry: String,
    /// Who waits; see the constants of [`super`].
    pub priority: i32,
    /// What to do.
    pub options: TaskOptions,
    /// User who asked.
    pub author: Option<String>,
    /// Address the user asked from.
    pub author_ip: Option<String>,
}

/// What a task is to do; stored as JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskOptions {
    /// Leave the dependencies alone.
    pub skip_dependencies: bool,
    /// Fetch again what is here.
    pub force: bool,
    /// Look at every version again.
    pub force_sync_history: bool,
    /// Fetch download counts too.
    pub sync_download_data: bool,
    /// A remark for the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tips: Option<String>,
    /// Only these, as versions, dist-tags, ranges; `None` = all that `keep` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specific_versions: Option<Vec<String>>,
    /// Beside `specific_versions` also those that the package is kept with: a refresh and a wish
    /// for some versions became one task.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refresh: bool,
    /// How much of the package to keep; says nothing where `specific_versions` does.
    pub keep: Keeping,
    /// The row of the upstream's feed that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<FeedTarget>,
}

/// What a row of an upstream's feed said of a package: a document older than this is not the last
/// word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FeedTarget {
    /// Which numbering the number belongs to.
    pub epoch: i64,
    /// Number of the row.
    pub seq: i64,
    /// Number of the document's revision, where the row said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The package is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// When the row was read, unix milliseconds.
    #[serde(default)]
    pub read_at_ms: i64,
}

impl FeedTarget {
    /// The newer of two; numbers are compared only within an epoch.
    #[must_use]
    pub fn newer(self, other: Self) -> Self {
        if (other.epoch, other.seq) >= (self.epoch, self.seq) { other } else { self }
    }
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            skip_dependencies: false,
            force: false,
            force_sync_history: false,
            sync_download_data: false,
            tips: None,
            specific_versions: None,
            refresh: false,
            keep: Keeping::Mirrored,
            target: None,
        }
    }
}

impl TaskOptions {
    /// Takes a later wish in: the result does all that either asked for.
    pub fn merge(&mut self, other: &Self) {
        self.skip_dependencies &= other.skip_dependencies;
        self.force |= other.force;
        self.force_sync_history |= other.force_sync_history;
        self.sync_download_data |= other.sync_download_data;
        self.tips = merge_tips(self.tips.take(), other.tips.as_deref());
        self.merge_versions(other);
        self.keep = self.keep.raised_by(other.keep);
        self.target = match (self.target, other.target) {
            (Some(mine), Some(theirs)) => Some(mine.newer(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }

    /// A wish for every version swallows the others; a refresh and a list stand side by side.
    fn merge_versions(&mut self, other: &Self) {
        let everything = self.wants_everything() || other.wants_everything();
        let lists = self.specific_versions.is_some() || other.specific_versions.is_some();
        let refresh = self.wants_refresh() || other.wants_refresh();
        let mine = self.specific_versions.take();
        if !everything && lists {
            self.specific_versions = Some(union(mine, other.specific_versions.as_deref()));
        }
        self.refresh = !everything && lists && refresh;
    }

    fn wants_everything(&self) -> bool {
        self.specific_versions.is_none() && self.keep == Keeping::Mirrored
    }

    fn wants_refresh(&self) -> bool {
        self.refresh || (self.specific_versions.is_none() && self.keep == Keeping::Cached)
    }

    pub(super) fn to_json(&self) -> Result<String, StoreError> {
        serde_json::to_string(self)
            .map_err(|error| StoreError::Invalid(format!("options of a task: {error}")))
    }
}

/// Remarks of one task beyond this many bytes are left out: whoever asks again and again would
/// make the row grow.
const LONGEST_TIPS: usize = 4096;

/// Both remarks are kept, one a line.
fn merge_tips(mine: Option<String>, other: Option<&str>) -> Option<String> {
    match (mine, other) {
        (Some(mine), Some(other)) => {
            let fits = mine.len() + other.len() < LONGEST_TIPS;
            let new = fits && !mine.lines().any(|line| line == other);
            Some(if new { format!("{mine}\n{other}") } else { mine })
        }
        (mine, other) => mine.or_else(|| other.map(str::to_owned)),
    }
}

/// Every version of either list once, in the order they were asked for.
fn union(mine: Option<Vec<String>>, other: Option<&[String]>) -> Vec<String> {
    let mut versions = mine.unwrap_or_default();
    let known: HashSet<&str> = versions.iter().map(String::as_str).collect();
    let new = other.unwrap_or_default().iter().filter(|version| !known.contains(version.as_str()));
    let new: Vec<String> = new.cloned().collect();
    versions.extend(new);
    versions
}

/// A stored task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskRow {
    /// Its id.
    pub id: TaskId,
    /// The package.
    pub name: PackageName,
    /// Name of the registry to ask.
    pub registry: String,
    /// Where it is in its life.
    pub state: TaskState,
    /// Who waits; lower goes first.
    pub priority: i32,
    /// What to do.
    pub options: TaskOptions,
    /// How often it was claimed.
    pub attempts: i32,
    /// Why it failed, or failed last.
    pub error: Option<String>,
    /// What kind of failure ended it; none while it may still succeed.
    pub failure: Option<TaskFailure>,
    /// User who asked.
    pub author: Option<String>,
    /// Address the user asked from.
    pub author_ip: Option<String>,
    /// When it was queued.
    pub created_at_ms: i64,
    /// When its state changed last.
    pub updated_at_ms: i64,
    /// Not claimed before this time.
    pub not_before_ms: i64,
}

/// All columns of the table.
pub(super) type SqlColumns = tasks::SqlType;

#[derive(diesel::Queryable)]
pub(super) struct RawTask {
    id: String,
    name: String,
    registry: String,
    state: String,
    priority: i32,
    options: String,
    attempts: i32,
    error: Option<String>,
    author: Option<String>,
    author_ip: Option<String>,
    created_at_ms: i64,
    updated_at_ms: i64,
    not_before_ms: i64,
    _leased_by: Option<String>,
    _lease_until_ms: Option<i64>,
    failure: Option<String>,
}

pub(super) fn row(raw: RawTask) -> Result<TaskRow, StoreError> {
    let options = serde_json::from_str(&raw.options).map_err(|error| {
        StoreError::damaged(format!("the options {:?} of task {}: {error}", raw.options, raw.id))
    })?;
    Ok(TaskRow {
        id: stored_id(&raw.id)?,
        name: package_name(&raw.name)?,
        registry: raw.registry,
        state: TaskState::from_text(&raw.state)?,
        priority: raw.priority,
        options,
        attempts: raw.attempts,
        error: raw.error,
        failure: raw.failure.as_deref().map(TaskFailure::from_text).transpose()?,
        author: raw.author,
        author_ip: raw.author_ip,
        created_at_ms: raw.created_at_ms,
        updated_at_ms: raw.updated_at_ms,
        not_before_ms: raw.not_before_ms,
    })
}

pub(super) fn rows(raw: Vec<RawTask>) -> Result<Vec<TaskRow>, StoreError> {
    raw.into_iter().map(row).collect()
}

/// Reads an id column.
pub(super) fn stored_id(text: &str) -> Result<TaskId, StoreError> {
    TaskId::parse(text).map_err(|error| StoreError::damaged(error.to_string()))
}

/// Logs and errors quote upstream; NUL, which PostgreSQL cannot store, becomes visible.
pub(super) fn without_nul(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{2400}").into() } else { text.into() }
}
