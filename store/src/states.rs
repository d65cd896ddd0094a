//! The few closed sets of words that rows hold, stored as text.
//!
//! A word that is not in the set means that the database was written by something else; it is
//! reported as damage and never guessed at.

use serde::{Deserialize, Serialize};

use crate::StoreError;

macro_rules! text_states {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $name {
            /// The word that stands in the database.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads the word back.
            ///
            /// # Errors
            /// [`StoreError::Damaged`] for a word outside the set.
            pub fn from_text(text: &str) -> Result<Self, StoreError> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(StoreError::damaged(format!(
                        concat!("{:?} is no ", stringify!($name), "; known are: ", $($text, " "),+), other,
                    ))),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

text_states! {
    /// How much of a package is kept here.
    Keeping {
        /// Every version's tarball is fetched.
        Mirrored = "mirrored",
        /// Arrived by a miss: tarballs are fetched when first asked for.
        Cached = "cached",
    }
}

impl Keeping {
    /// The stronger of two wishes: what is mirrored once stays mirrored.
    #[must_use]
    pub fn raised_by(self, other: Self) -> Self {
        if self == Self::Mirrored || other == Self::Mirrored {
            Self::Mirrored
        } else {
            Self::Cached
        }
    }
}

text_states! {
    /// What the last document said about the package as a whole.
    PackageStatus {
        /// An ordinary document with versions.
        Live = "live",
        /// Upstream says that it was unpublished.
        Unpublished = "unpublished",
        /// The document is there but lists no versions.
        Emptied = "emptied",
        /// Upstream replaced the package by a security placeholder.
        SecurityHolding = "security_holding",
        /// Upstream says, and said again later, that there is no such package.
        Missing = "missing",
        /// Upstream withholds it for legal reasons, and said so twice.
        Legal = "legal",
    }
}

text_states! {
    /// Who withholds.
    BlockKind {
        /// A person.
        Admin = "admin",
        /// `sync.removed = block`: upstream took it away. Ends when it is back there.
        Removed = "removed",
    }
}

impl PackageStatus {
    /// Followers are told that it is gone: there is no document with versions any more.
    #[must_use]
    pub fn is_gone(self) -> bool {
        self == Self::Unpublished || self == Self::Emptied || self.is_absent()
    }

    /// Upstream says that there is no such package: readers are told the same.
    #[must_use]
    pub fn is_absent(self) -> bool {
        matches!(self, Self::Missing | Self::Legal)
    }
}

text_states! {
    /// Where the tarball of one version is.
    VersionState {
        /// Known from the document; the bytes are upstream.
        Remote = "remote",
        /// The bytes are here and were verified.
        Held = "held",
        /// Fetching or verifying failed for good; the reason column says why.
        Failed = "failed",
        /// Deliberately not fetched; the reason column says why.
        Skipped = "skipped",
    }
}

text_states! {
    /// Which of npm's two kinds of tokens one is.
    TokenKind {
        /// Made by a login or `npm token create`.
        Classic = "classic",
        /// Made with a name, an end and limits.
        Granular = "granular",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro writes the enum")]
impl Default for TokenKind {
    fn default() -> Self {
        Self::Classic
    }
}

text_states! {
    /// What a member of an org may do there.
    OrgRole {
        /// Everything.
        Owner = "owner",
        /// Everything but making and unmaking owners and admins.
        Admin = "admin",
        /// What the member's teams may do.
        Member = "member",
    }
}

impl OrgRole {
    /// Whether teams, members and what belongs to the scope are this member's business.
    #[must_use]
    pub fn manages(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

text_states! {
    /// What a member of a team may do there.
    TeamRole {
        /// Changes the team.
        Owner = "owner",
        /// Has what the team has.
        Member = "member",
    }
}

text_states! {
    /// What a team may do with a package.
    Permission {
        /// Read it.
        Read = "read",
        /// Read it and publish versions of it.
        Write = "write",
    }
}

text_states! {
    /// Who may read a package, said in so many words.
    Visibility {
        /// Everybody, whatever teams are granted.
        Public = "public",
        /// Maintainers, members of granted teams, owners of the org.
        Restricted = "restricted",
    }
}

text_states! {
    /// Where a sync task is in its life.
    TaskState {
        /// Not started, or to be started again.
        Waiting = "waiting",
        /// Leased to a worker.
        Processing = "processing",
        /// Ended well.
        Success = "success",
        /// Ended badly; the error column says why.
        Error = "error",
    }
}

text_states! {
    /// What kind of failure ended a task: what a person can do about it.
    TaskFailure {
        /// Upstream does not have the package, or took it away: check the name.
        NotFound = "not_found",
        /// Upstream could not be asked: try again, or look at the network.
        Unreachable = "unreachable",
        /// Everything else; the text says what.
        Other = "other",
    }
}

text_states! {
    /// How the bytes of a stored document are compressed.
    DocumentEncoding {
        /// Not at all.
        Identity = "identity",
        /// gzip, as upstream sent it.
        Gzip = "gzip",
        /// zstd.
        Zstd = "zstd",
    }
}
