//! When what failed is tried again, and when a hook is left alone. Pure: no clock, no chance but
//! that of a number.

use std::time::Duration;

use store::hooks::HookHealth;

use super::settings::HookSettings;

/// The longest wait between two tries, unless the receiver asks for more.
const LONGEST: Duration = Duration::from_secs(3600);
/// So many failures without a success are no accident of single deliveries.
pub(super) const BREAKS_AT: i64 = 5;

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Wait before a delivery is tried again, `failed` times so far: three times as long each time, a
/// fifth more or less by `chance`, and never less than the receiver asked for.
pub(super) fn wait_ms(
    settings: &HookSettings,
    failed: i64,
    asked: Option<Duration>,
    chance: u64,
) -> i64 {
    let triplings = u32::try_from(failed.saturating_sub(1)).unwrap_or(0).min(16);
    let wait = settings.first_retry.saturating_mul(3_u32.saturating_pow(triplings)).min(LONGEST);
    spread(millis(wait), chance).max(asked.map_or(0, millis))
}

/// Four fifths of a time up to six fifths of it.
fn spread(time_ms: i64, chance: u64) -> i64 {
    let fifth = time_ms / 5;
    let part = i64::try_from(chance % 1_001).unwrap_or(0);
    time_ms - fifth + fifth.saturating_mul(2) / 1_000 * part
}

/// A number that differs from try to try.
pub(super) fn chance(seq: i64, number: i64) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (seq, number).hash(&mut hasher);
    hasher.finish()
}

/// What one try says about the receiver.
pub(super) fn note(health: &mut HookHealth, delivered: bool, at_ms: i64) {
    if delivered {
        *health = HookHealth::default();
    } else {
        health.failures = health.failures.saturating_add(1);
        health.failing_since_ms.get_or_insert(at_ms);
    }
}

/// Leaves a receiver alone that failed too often: as long as it has been failing so far.
pub(super) fn rest(
    health: &mut HookHealth,
    settings: &HookSettings,
    asked: Option<Duration>,
    now_ms: i64,
    chance: u64,
) {
    let failing_ms = now_ms.saturating_sub(health.failing_since_ms.unwrap_or(now_ms));
    let wait_ms = failing_ms.clamp(millis(settings.first_retry.min(LONGEST)), millis(LONGEST));
    let wait_ms = spread(wait_ms, chance).max(asked.map_or(0, millis));
    health.not_before_ms = now_ms.saturating_add(wait_ms);
}

/// Whether a hook has failed for so long that a person has to look.
pub(super) fn gives_up(health: &HookHealth, settings: &HookSettings, now_ms: i64) -> bool {
    let since = health.failing_since_ms;
    since.is_some_and(|since| now_ms.saturating_sub(since) >= millis(settings.pause_after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_an_hour_and_obey_the_receiver() {
        let settings = HookSettings::default();
        let waits: Vec<_> = (1..=8).map(|failed| wait_ms(&settings, failed, None, 500)).collect();
        let seconds: Vec<_> = waits.iter().map(|wait| wait / 1_000).collect();
        assert_eq!(seconds, [10, 30, 90, 270, 810, 2_430, 3_600, 3_600]);
        assert_eq!(wait_ms(&settings, 1, Some(Duration::from_secs(60)), 500), 60_000);
        assert_eq!(wait_ms(&settings, 3, Some(Duration::from_secs(60)), 500), 90_000);
        for chance in [0, 1, 999, 1_000, u64::MAX] {
            let wait = wait_ms(&settings, 1, None, chance);
            assert!((8_000..=12_000).contains(&wait), "{wait}");
        }
        assert_ne!(chance(1, 1), chance(1, 2));
    }

    #[test]
    fn a_receiver_is_left_alone_as_long_as_it_has_been_failing() {
        let settings = HookSettings::default();
        let mut health = HookHealth::default();
        note(&mut health, false, 1_000);
        note(&mut health, false, 5_000);
        assert_eq!((health.failures, health.failing_since_ms), (2, Some(1_000)));
        rest(&mut health, &settings, None, 2_000, 500);
        assert_eq!(health.not_before_ms, 12_000);
        rest(&mut health, &settings, None, 101_000, 500);
        assert_eq!(health.not_before_ms, 201_000);
        let day_ms = 24 * 3600 * 1000;
        assert!(!gives_up(&health, &settings, day_ms));
        assert!(gives_up(&health, &settings, day_ms + 1_000));
        note(&mut health, true, 6_000);
        assert_eq!(health, HookHealth::default());
        assert!(!gives_up(&health, &settings, i64::MAX));
    }
}
