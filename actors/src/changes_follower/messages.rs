//! Messages of the changes follower.

use actix::Message;
use serde::{Deserialize, Serialize};

use super::machine::FollowState;

/// Stop following and let others have the lease.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopFollowing;

/// Asks for [`FollowerStatus`].
#[derive(Message)]
#[rtype(result = "FollowerStatus")]
pub struct DescribeFollower;

/// What a follower says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FollowerStatus {
    /// Name of the registry.
    pub registry: String,
    /// Address of the feed, once one is known.
    pub url: Option<String>,
    /// What it does.
    pub state: FollowState,
    /// Which numbering the feed is in; the first is 1.
    pub epoch: i64,
    /// The last number read.
    pub seq: Option<i64>,
    /// The feed's newest number.
    pub head: Option<i64>,
    /// Numbers up to the head. Not changes: numbers have gaps.
    pub behind: Option<i64>,
    /// How long ago nothing newer was there; 0 while following.
    pub behind_ms: Option<i64>,
    /// When the last row came, unix milliseconds.
    pub last_row_at_ms: Option<i64>,
    /// Who wants the feed left alone.
    pub paused_by: Option<String>,
    /// Since when, unix milliseconds.
    pub paused_at_ms: Option<i64>,
    /// Everything here is being asked again, because the numbers changed their meaning.
    pub rechecking: bool,
    /// What an operator should know now.
    pub alarm: Option<String>,
    /// The last failure, until something goes well.
    pub problem: Option<String>,
    /// Pages with rows since start.
    pub pages: u64,
    /// Rows since start.
    pub rows: u64,
    /// Rows that could not be read, since start.
    pub unreadable: u64,
    /// Tasks made or merged since start.
    pub tasks: u64,
    /// Failures since start.
    pub failures: u64,
    /// Restarts of the actor.
    pub restarts: u32,
}
