//! What the audit is asked, and what it says of itself.

use actix::Message;
use serde::{Deserialize, Serialize};
use store::completeness::Gaps;

/// Looks now at what is due.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub struct LookNow;

/// Ends what runs and starts nothing new.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopAuditing;

/// Asks for [`AuditStatus`].
#[derive(Message)]
#[rtype(result = "AuditStatus")]
pub struct DescribeAudit;

/// What the audit of one registry found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditStatus {
    /// The registry.
    pub registry: String,
    /// What is missing, by reason; of all registries together.
    pub gaps: Gaps,
    /// When that was counted, unix milliseconds; 0 before the first time.
    pub counted_at_ms: i64,
    /// Comparing the upstream's list of names.
    pub names: NamesStatus,
    /// Tasks made for names that are missing, since the start.
    pub missing_queued: u64,
    /// Tasks made to ask for packages anew, since the start.
    pub swept: u64,
    /// Restarts of the actor.
    pub restarts: u32,
}

/// How far the upstream's list of names was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesStatus {
    /// Whether a round is under way.
    pub running: bool,
    /// Names in the newest round, so far.
    pub names: i64,
    /// Of those wanted and not here.
    pub missing: i64,
    /// Packages here that the list does not have.
    pub absent: i64,
    /// When a round ended last, unix milliseconds.
    pub ended_at_ms: Option<i64>,
    /// Why the last look at the list failed.
    pub problem: Option<String>,
}
