//! What a follower writes down beside its place: silence, alarms, and that it is still there.

use std::time::Duration;

use store::feeds::{self, FeedRow, Seen};

use super::job::{Failure, Step, event_of};
use super::machine::Event;
use super::place::Place;
use crate::clock::now_ms;
use crate::upstream::UpstreamError;

impl Step<'_> {
    pub(super) fn alarm(&self) -> Option<String> {
        self.place.row.as_ref()?.alarm.clone()
    }

    pub(super) fn silence(&self) -> Duration {
        let last = self.place.row.as_ref().map_or(0, |row| row.row_at_ms);
        Duration::from_millis(now_ms().saturating_sub(last).try_into().unwrap_or(0))
    }

    /// The same text for as long as the silence lasts, so that it is one alarm.
    pub(super) fn silence_text(&self) -> String {
        let row = self.place.row.as_ref();
        let (seq, at_ms) = row.map_or((0, 0), |row| (self.place.seq().number(), row.row_at_ms));
        let at = std::time::UNIX_EPOCH + Duration::from_millis(at_ms.try_into().unwrap_or(0));
        let at = humantime::format_rfc3339_seconds(at);
        format!("the feed of {} told nothing since {at} (number {seq})", self.deps.registry)
    }

    /// Writes down what a look without rows showed, where that is new or the lease wants it.
    pub(super) async fn note(
        &mut self,
        alarm: Option<String>,
        caught_up: bool,
    ) -> Result<(), Failure> {
        let lease_is_due = Place::is_due(self.place.written, self.lease_time() / 3);
        let Some(row) = &mut self.place.row else { return Ok(()) };
        if caught_up {
            row.caught_up_at_ms = now_ms();
        }
        if row.alarm == alarm && !lease_is_due {
            return Ok(());
        }
        let seen = Seen { head: row.head, caught_up, alarm: alarm.clone() };
        let mover = self.mover()?;
        if !self.write(move |connection| feeds::note(connection, &mover, &seen)).await? {
            return Err(Failure::Event(Event::Moved));
        }
        if let Some(row) = &mut self.place.row {
            if let Some(alarm) = alarm.as_ref().filter(|_| row.alarm != alarm) {
                tracing::warn!(registry = %self.deps.registry, "{alarm}");
            }
            row.alarm = alarm;
        }
        Ok(())
    }

    pub(super) async fn keep_lease(&mut self) -> Result<(), Failure> {
        let alarm = self.alarm();
        self.note(alarm, false).await
    }

    /// A feed that answers no feed is an alarm at once, one that is out of reach after a while.
    pub(super) async fn alarm_about(&mut self, error: &UpstreamError) {
        let started = self.place.row.as_ref().is_some_and(|row: &FeedRow| row.seq.is_some());
        let alarm_after = self.deps.settings.alarm_after;
        let is_due = match event_of(error) {
            Event::Refused => true,
            Event::NotAsked => false,
            _ => !alarm_after.is_zero() && self.silence() >= alarm_after,
        };
        if started && is_due {
            let registry = &self.deps.registry;
            let text = format!("the feed of {registry} cannot be read: {error}");
            // if this cannot be written, the next failure tries again
            let _ = self.note(Some(text), false).await;
        }
    }
}
