//! What kind of document an upstream sent.

use crate::json;

use super::PackumentScan;

/// What kind of document it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackumentShape {
    /// Has versions.
    Normal,
    /// A packument without versions that does not say it was unpublished.
    Emptied,
    /// No versions and a `time.unpublished`.
    Unpublished,
    /// Every version was replaced by npm's security placeholder.
    SecurityHolding,
    /// Something else: an error body, one version, another service's answer.
    NotAPackument,
}

impl PackumentShape {
    pub(super) fn of(scan: &PackumentScan<'_>) -> Self {
        if !scan.versions.is_empty() {
            let all_held = scan.versions.iter().all(|entry| is_security_holding(&entry.key));
            return if all_held { Self::SecurityHolding } else { Self::Normal };
        }
        if scan.unpublished {
            return Self::Unpublished;
        }
        let has = |key| scan.member(key).is_some_and(json::is_object);
        // an error body, a lone manifest or versions we cannot read must never pass for an
        // emptied package: that would take everything away
        let describes_a_package =
            scan.skipped.is_empty() && (has("versions") || (scan.name.is_some() && has("time")));
        if describes_a_package { Self::Emptied } else { Self::NotAPackument }
    }
}

/// `0.0.1-security`, `0.0.1-security.2`: what npm puts in place of malware.
fn is_security_holding(version: &str) -> bool {
    version
        .split_once("-security")
        .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('.'))
}
