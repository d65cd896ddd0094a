//! What a block names: a package, or one version of it.

use std::{fmt, str::FromStr};

use npm::{NameError, PackageName};
use store::blocks::WHOLE_PACKAGE;

/// `NAME` or `NAME@VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTarget {
    /// The package.
    pub name: PackageName,
    /// The version, [`WHOLE_PACKAGE`] for all.
    pub version: String,
}

/// A text that names nothing that can be blocked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    /// No package name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A tag or range: what it means changes with every publish.
    #[error("{0:?} is no version; blocks name a package or an exact version")]
    Version(String),
}

impl FromStr for BlockTarget {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = text.rfind('@').filter(|at| *at > 0);
        let (name, version) = at.map_or((text, None), |at| {
            let (name, version) = text.split_at(at);
            (name, Some(version.trim_start_matches('@')))
        });
        let version = match version {
            None => WHOLE_PACKAGE.to_owned(),
            Some(version) if npm::version::is_version(version) => version.to_owned(),
            Some(other) => return Err(NoTarget::Version(other.to_owned())),
        };
        Ok(Self { name: PackageName::parse(name)?, version })
    }
}

impl fmt::Display for BlockTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version.as_str() {
            WHOLE_PACKAGE => self.name.fmt(formatter),
            version => write!(formatter, "{}@{version}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_or_an_exact_version_is_named() {
        for text in ["lamp", "@s/n", "lamp@1.0.0", "@s/n@1.0.0-rc.1"] {
            let target: BlockTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
        }
        for text in ["lamp@latest", "lamp@^1", "lamp@", "", "..", "@s/n@*"] {
            assert!(text.parse::<BlockTarget>().is_err(), "{text}");
        }
    }
}
