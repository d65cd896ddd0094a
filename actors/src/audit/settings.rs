//! How thoroughly and how often is looked for what is missing.

use std::time::Duration;

/// Settings of all audits of an engine.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// Every name of the upstream is wanted (`sync.mode = all`).
    pub wants_all: bool,
    /// How often the upstream's list of names is compared (`sync.compare_names`); zero = never.
    pub names_every: Duration,
    /// Where not every name is wanted the list is read when so many packages are here; fewer are
    /// asked for one by one in less time and bytes than the list takes.
    pub names_worth_packages: i64,
    /// Time in which every package here is asked for anew (`sync.sweep`); zero = never.
    pub sweep: Duration,
    /// The same for packages that are read here, as a part of `sweep`.
    pub read_share: u32,
    /// Time in which every package is checked while no feed is followed
    /// (`sync.sweep_without_feed`); zero = never.
    pub sweep_without_feed: Duration,
    /// Wait between two looks at what is due.
    pub look_every: Duration,
    /// With so many tasks waiting no more are made.
    pub queue_limit: i64,
    /// Most tasks made by one look.
    pub tasks_at_once: i64,
    /// Shortest time between two counts of what is missing; longer where counting takes long.
    pub count_every: Duration,
}

impl Default for AuditSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            wants_all: false,
            names_every: 7 * DAY,
            names_worth_packages: 50_000,
            sweep: 30 * DAY,
            read_share: 4,
            sweep_without_feed: DAY,
            look_every: Duration::from_secs(5),
            queue_limit: 10_000,
            tasks_at_once: 500,
            count_every: Duration::from_secs(30),
        }
    }
}
