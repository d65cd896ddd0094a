//! Versions that are too young to be given out (`security.hold`).

use std::time::{Duration, UNIX_EPOCH};

use npm::PackageName;
use store::registries::SELF;

use crate::deny::pattern::covers;

/// What an operator decided about young versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldPolicy {
    /// `security.hold`: younger versions are held back; zero: none.
    pub time: Duration,
    /// `security.hold_except`: names, `@scope/*` and patterns with `*` that are never held back.
    pub except: Vec<String>,
    /// `security.hold_published`: what is published here is held back, too.
    pub published: bool,
}

impl HoldPolicy {
    /// Whether versions of this package, which a registry owns, are held back at all.
    #[must_use]
    pub fn concerns(&self, name: &PackageName, owner: &str) -> bool {
        !self.time.is_zero()
            && (self.published || owner != SELF)
            && !self.except.iter().any(|rule| covers(rule, name.as_str()))
    }

    /// What was published after this moment is too young at `now_ms`.
    #[must_use]
    pub fn youngest_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(self.time_ms())
    }

    /// When a version that was published then is old enough.
    #[must_use]
    pub fn until_ms(&self, published_at_ms: i64) -> i64 {
        published_at_ms.saturating_add(self.time_ms())
    }

    /// The rule and its end, for people.
    #[must_use]
    pub fn text(&self, until_ms: i64) -> String {
        let since = Duration::from_millis(u64::try_from(until_ms).unwrap_or(0));
        let end = humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string();
        let minute = end.get(..16).unwrap_or(&end).replace('T', " ");
        let rule = humantime::format_duration(self.time);
        format!("younger than {rule}; quarantine ends {minute} UTC")
    }

    fn time_ms(&self) -> i64 {
        i64::try_from(self.time.as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use store::registries::DEFAULT;

    use super::*;

    fn hold(except: &[&str]) -> HoldPolicy {
        let except = except.iter().map(|rule| (*rule).to_owned()).collect();
        HoldPolicy { time: Duration::from_secs(3 * 24 * 3600), except, published: false }
    }

    #[test]
    fn names_and_scopes_are_let_through() {
        let name = |text: &str| PackageName::parse(text).unwrap();
        let hold = hold(&["lamp", "@garden/*"]);
        for (text, held) in [
            ("lamp", false),
            ("lamps", true),
            ("@garden/ui", false),
            ("@garden2/ui", true),
            ("garden", true),
        ] {
            assert_eq!(hold.concerns(&name(text), DEFAULT), held, "{text}");
            assert!(!hold.concerns(&name(text), SELF), "{text}");
            let all = HoldPolicy { published: true, ..hold.clone() };
            assert_eq!(all.concerns(&name(text), SELF), held, "{text}");
        }
        let none = HoldPolicy::default();
        assert!(!none.concerns(&name("lamps"), DEFAULT), "nothing is held by default");
    }

    #[test]
    fn the_end_is_told_to_the_minute() {
        let text = hold(&[]).text(1_764_057_600_000);
        assert_eq!(text, "younger than 3days; quarantine ends 2025-11-25 08:00 UTC");
    }
}
