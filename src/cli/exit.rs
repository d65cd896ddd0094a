//! Exit codes: what a script can tell from how a command ended.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// The command line was wrong.
    Usage,
    /// Some of it was done.
    Partly,
    /// Not authorised.
    NotAuthorised,
    /// Not found.
    NotFound,
    /// A check failed: damage, a limit missed.
    CheckFailed,
    /// Server or upstream cannot be reached.
    Unreachable,
    /// Another process uses the data folder.
    DataInUse,
    /// Interrupted.
    Interrupted,
}

impl Exit {
    /// All of them with their meaning, for `espejo help exit-codes`.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Usage, "the command line was wrong"),
        (Self::Partly, "partly done"),
        (Self::NotAuthorised, "not authorised"),
        (Self::NotFound, "not found"),
        (Self::CheckFailed, "a check failed: damage was found or a limit missed"),
        (Self::Unreachable, "server or upstream cannot be reached"),
        (Self::DataInUse, "another process uses the data folder"),
        (Self::Interrupted, "interrupted"),
    ];

    /// The number the shell sees.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partly => 3,
            Self::NotAuthorised => 4,
            Self::NotFound => 5,
            Self::CheckFailed => 6,
            Self::Unreachable => 7,
            Self::DataInUse => 10,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}
