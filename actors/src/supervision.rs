//! What every supervised actor shares: panics become restarts, restarts wait a little longer
//! each time.
//!
//! A panic in an actix handler ends the actor and closes its mailbox for good; a supervisor
//! restarts only actors that *stopped*. So every handler body runs in [`guarded`], and every
//! actor keeps a [`RestartBackoff`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, AsyncContext, Context, WrapFuture};

/// Runs a handler body; a panic becomes `ctx.stop()`, the one failure a supervisor restarts.
pub fn guarded<A, R>(
    actor: &mut A,
    ctx: &mut A::Context,
    body: impl FnOnce(&mut A, &mut A::Context) -> R,
) -> Option<R>
where
    A: Actor,
    A::Context: ActorContext,
{
    let outcome = catch_unwind(AssertUnwindSafe(|| body(actor, ctx)));
    match outcome {
        Ok(value) => Some(value),
        Err(panic) => {
            tracing::error!(panic = panic_text(&*panic), "an actor panicked and is restarted");
            ctx.stop();
            None
        }
    }
}

/// The text of a caught panic, for logs.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without text")
}

/// Longest wait before an actor that keeps failing is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// An actor that ran this long is healthy again and starts counting anew.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// Counts restarts of one actor and makes each following one wait twice as long.
#[derive(Debug, Default)]
pub struct RestartBackoff {
    restarts: u32,
    in_a_row: u32,
    last: Option<Instant>,
}

impl RestartBackoff {
    /// Notes one restart; called from `Supervised::restarting`.
    pub fn note_restart(&mut self) {
        self.restarts = self.restarts.saturating_add(1);
        let healthy = self.last.is_some_and(|last| last.elapsed() > HEALTHY_AFTER);
        self.in_a_row = if healthy { 1 } else { self.in_a_row.saturating_add(1) };
        self.last = Some(Instant::now());
    }

    /// How often the actor was restarted since the engine started.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Closes the mailbox for the wait that is due; called from `Actor::started`.
    pub fn wait<A: Actor<Context = Context<A>>>(&self, actor: &A, ctx: &mut Context<A>) {
        let wait = self.due();
        if !wait.is_zero() {
            ctx.wait(actix::clock::sleep(wait).into_actor(actor));
        }
    }

    fn due(&self) -> Duration {
        match self.in_a_row {
            0 | 1 => Duration::ZERO,
            n => Duration::from_millis(50)
                .saturating_mul(1_u32.checked_shl(n.min(16)).unwrap_or(u32::MAX))
                .min(LONGEST_WAIT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_immediate_and_later_ones_wait_longer() {
        let mut backoff = RestartBackoff::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            backoff.note_restart();
            waits.push(backoff.due());
        }
        assert_eq!(waits[0], Duration::ZERO);
        assert!(waits[1] > Duration::ZERO && waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits[11], LONGEST_WAIT);
        assert_eq!(backoff.restarts(), 12);
    }
}
