//! How long a client may keep us waiting.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes a second below which a client that makes us wait is sent away, once its grace is over.
pub const LEAST_PACE: u64 = 1024;

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the whole of a request's head, from its first byte on.
    pub head: Duration,
    /// For any byte to be taken.
    pub stall: Duration,
}

/// What a connection waits for at the moment, and since when.
#[derive(Debug)]
pub struct Waiting {
    limits: Limits,
    /// The rest of a head.
    head_since: Option<Instant>,
    /// Room for what is to be written.
    room: Option<Room>,
    /// Rings not later than the first limit; early is harmless.
    timer: Option<Pin<Box<Sleep>>>,
}

/// A client that has not taken all of it.
#[derive(Debug)]
struct Room {
    since: Instant,
    last: Instant,
    taken: u64,
}

impl Room {
    /// When its patience ends: nothing taken for too long, or too little of it.
    fn until(&self, stall: Duration) -> Instant {
        let pace = Duration::from_secs(self.taken / LEAST_PACE);
        (self.last + stall).min(self.since + stall + pace)
    }
}

impl Waiting {
    /// Waits for nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, head_since: None, room: None, timer: None }
    }

    /// Some bytes were taken.
    pub fn taken(&mut self, bytes: usize) {
        if let Some(room) = &mut self.room {
            room.last = Instant::now();
            room.taken = room.taken.saturating_add(bytes as u64);
        }
    }

    /// There is no room: pending, or the end of our patience.
    pub fn blocked(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.room.is_none() {
            let now = Instant::now();
            self.room = Some(Room { since: now, last: now, taken: 0 });
        }
        self.wait(context)
    }

    /// All was taken; `head_begun` when part of a request's head is here.
    pub fn flushed(&mut self, context: &mut Context<'_>, head_begun: bool) -> Poll<io::Result<()>> {
        self.room = None;
        if !head_begun {
            self.head_since = None;
            return Poll::Ready(Ok(()));
        }
        self.head_since.get_or_insert_with(Instant::now);
        match self.wait(context) {
            Poll::Ready(Err(late)) => Poll::Ready(Err(late)),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Nothing came: pending, or the end of our patience.
    pub fn look(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.timer {
            Some(_) => self.wait(context),
            None => Poll::Pending,
        }
    }

    fn until(&self) -> Option<Instant> {
        let head = self.head_since.map(|since| since + self.limits.head);
        let room = self.room.as_ref().map(|room| room.until(self.limits.stall));
        head.into_iter().chain(room).min()
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(until) = self.until() else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if Instant::now() >= until {
                let why = "the client kept the connection waiting";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
            }
            // rang for what is over by now
            timer.as_mut().reset(until);
        }
    }
}
