//! What an operator can say about the engine.

use std::path::PathBuf;
use std::time::Duration;

use crate::audit::AuditSettings;
use crate::changes_follower::FollowSettings;
use crate::hook_dispatcher::HookSettings;
use crate::policy::SyncPolicy;
use crate::upstream::{MAX_TARBALL_BYTES, UpstreamSettings};

/// Settings of one engine.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The upstream of registry `default`, if one is known already.
    pub upstream: Option<UpstreamSettings>,
    /// What registries of the table are asked like; name, address, token, rate and feed are
    /// their own. `None`: like `upstream`.
    pub registry_defaults: Option<UpstreamSettings>,
    /// Scopes published here (`publish.scopes`): no upstream is ever asked for them.
    pub private_scopes: Vec<String>,
    /// Packages synced at once (`sync.workers`).
    pub workers: usize,
    /// Tarballs fetched at once from one registry.
    pub tarball_concurrency: usize,
    /// Memory for collected tarballs of all jobs together, in bytes.
    pub tarball_memory_bytes: u64,
    /// Tries of one task before it fails for good.
    pub max_attempts: i32,
    /// How long an answer "not there" of the upstream is believed.
    pub negative_for: Duration,
    /// Below this much free space fetching parks, in bytes; 0 = never.
    pub keep_free_bytes: u64,
    /// How long rows of the audit log are kept (`security.keep_audit_log`); `None` = for good.
    pub keep_audit_log: Option<Duration>,
    /// The data folder; `None` where nothing is kept on a local disk.
    pub data_folder: Option<PathBuf>,
    /// With so many tasks waiting no dependency adds one (`sync.high_water`); 0 = no limit.
    pub high_water: i64,
    /// Tarballs above this are skipped, in bytes (`sync.max_tarball`).
    pub max_tarball_bytes: u64,
    /// What becomes of wrong signatures and of what upstream takes away.
    pub policy: SyncPolicy,
    /// Whether what arrives by a miss is mirrored in full afterwards (`sync.mode = all`).
    pub mirror_misses: bool,
    /// Whether and how changes feeds are followed.
    pub follow: FollowSettings,
    /// How is looked for what is missing.
    pub audit: AuditSettings,
    /// Whether tasks of the queue are worked on; a process that only serves does not.
    pub work_on_tasks: bool,
    /// How hooks are told of what happened.
    pub hooks: Box<HookSettings>,
    /// Name of this process in leases, unique in a cluster.
    pub worker_name: String,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            upstream: None,
            registry_defaults: None,
            private_scopes: Vec::new(),
            workers: 48,
            tarball_concurrency: 32,
            tarball_memory_bytes: 24 << 20,
            max_attempts: 3,
            high_water: 50_000,
            negative_for: Duration::from_secs(10),
            keep_free_bytes: 0,
            keep_audit_log: None,
            data_folder: None,
            max_tarball_bytes: MAX_TARBALL_BYTES,
            policy: SyncPolicy::default(),
            mirror_misses: false,
            follow: FollowSettings::default(),
            audit: AuditSettings::default(),
            work_on_tasks: true,
            hooks: Box::default(),
            worker_name: format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple()),
        }
    }
}
