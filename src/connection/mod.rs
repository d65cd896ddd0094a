//! Connections of clients: how long one may keep us waiting, and what the HTTP library says by
//! itself on one.
//!
//! The library limits the time of the first request's head and the silence between requests, and
//! nothing else. [`Patient`] stands between it and the socket and adds the rest: the head of every
//! further request, and a client that does not take what it asked for. Nothing is timed while a
//! client keeps up: a clock is looked at only when a write finds no room, or when bytes came that
//! were no whole request.

mod crowd;
mod limits;
mod open_files;
mod refusal;
pub mod serve;
pub mod streamed;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::crowd::Place;
pub use self::limits::LEAST_PACE;
use self::limits::{Limits, Waiting};
use crate::extract::request_id::RequestIds;

/// What the requests of a connection tell it.
#[derive(Debug)]
pub struct Heard {
    /// A handler is at work: what comes now is the body it asked for.
    busy: Cell<bool>,
    /// Bytes came of which no request has been made yet.
    begun: Cell<bool>,
    /// Bytes came since the last answer: what is written now is no part of a body.
    fresh: Cell<bool>,
    /// A body that comes piece by piece is on its way.
    streaming: Cell<bool>,
    /// Something is written that has not left.
    sending: Cell<bool>,
    /// It is to end, because others want its place.
    leaving: Cell<bool>,
    /// The moment, of its [crowd](crowd::Crowd), at which bytes came or went last.
    last: Cell<u64>,
    /// Wakes the connection; there is none before it was looked at.
    waker: RefCell<Option<Waker>>,
}

impl Default for Heard {
    /// Before the first request, only the library has anything to say.
    fn default() -> Self {
        Self {
            busy: Cell::new(false),
            begun: Cell::new(false),
            fresh: Cell::new(true),
            streaming: Cell::new(false),
            sending: Cell::new(false),
            leaving: Cell::new(false),
            last: Cell::new(0),
            waker: RefCell::new(None),
        }
    }
}

impl Heard {
    /// A request is whole and being answered.
    pub fn request(&self) {
        self.busy.set(true);
        self.begun.set(false);
    }

    /// Its answer has been decided.
    pub fn answer(&self) {
        self.busy.set(false);
    }

    fn bytes(&self) {
        self.fresh.set(true);
        if !self.busy.get() {
            self.begun.set(true);
        }
    }

    fn written(&self) {
        self.fresh.set(false);
        self.begun.set(false);
    }

    /// Whether nothing is under way, so that the connection may end.
    fn may_leave(&self) -> bool {
        let at_work = [&self.busy, &self.begun, &self.streaming, &self.sending, &self.leaving];
        !at_work.into_iter().any(Cell::get) && self.waker.borrow().is_some()
    }
}

/// A stream that ends with [`io::ErrorKind::TimedOut`] when its client keeps us waiting, and as if
/// the client had ended it when it is idle and others want its place.
pub struct Patient<S> {
    stream: S,
    heard: Rc<Heard>,
    place: Place,
    ids: Arc<RequestIds>,
    waiting: Waiting,
    /// Makes the end of the stream a hard one: nothing waits for the client any more.
    cut: fn(&S),
    /// What is said in place of so many bytes of the library.
    instead: Option<(Bytes, usize)>,
}

impl<S> Patient<S> {
    fn new(stream: S, place: Place, limits: Limits, ids: Arc<RequestIds>, cut: fn(&S)) -> Self {
        let (heard, waiting) = (Rc::clone(place.heard()), Waiting::new(limits));
        Self { stream, heard, place, ids, waiting, cut, instead: None }
    }

    /// Ends our patience where that is what came of waiting.
    fn patience<T>(&self, waited: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(&waited, Poll::Ready(Err(late)) if late.kind() == io::ErrorKind::TimedOut) {
            (self.cut)(&self.stream);
        }
        waited
    }

    fn heard(&self) -> Rc<Heard> {
        Rc::clone(&self.heard)
    }
}

impl<S: AsyncWrite + Unpin> Patient<S> {
    /// Writes, and takes note of how it went.
    fn write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.sending.set(true);
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(Ok(taken)) => {
                self.heard.written();
                self.place.moved();
                self.waiting.taken(taken);
                Poll::Ready(Ok(taken))
            }
            Poll::Pending => {
                let waited = self.waiting.blocked(context).map_ok(|()| 0);
                self.patience(waited)
            }
            failed => failed,
        }
    }

    /// Writes our own words to their end, then answers for those of the library.
    fn write_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some((mut words, stand_for)) = self.instead.take() {
            match self.write(context, &words) {
                Poll::Ready(Ok(taken)) if taken >= words.len() => {
                    return Poll::Ready(Ok(stand_for));
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(taken)) => {
                    drop(words.split_to(taken));
                    self.instead = Some((words, stand_for));
                }
                other => {
                    self.instead = Some((words, stand_for));
                    return other;
                }
            }
        }
        Poll::Ready(Ok(0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                if buffer.filled().len() > before {
                    this.heard.bytes();
                    this.place.has_read();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending if this.place.leaves(context) => Poll::Ready(Ok(())),
            Poll::Pending => {
                let waited = this.waiting.look(context);
                this.patience(waited)
            }
            failed => failed,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.instead.is_none() && this.heard.fresh.get() {
            let words = refusal::instead_of(bytes, &this.ids);
            this.instead = words.map(|words| (words, bytes.len()));
        }
        match this.instead {
            Some(_) => this.write_instead(context),
            None => this.write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let waited = match Pin::new(&mut this.stream).poll_flush(context) {
            Poll::Ready(Ok(())) => {
                this.heard.sending.set(false);
                this.place.settled();
                this.waiting.flushed(context, this.heard.begun.get())
            }
            Poll::Pending => this.waiting.blocked(context),
            failed => return failed,
        };
        this.patience(waited)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_shutdown(context) {
            Poll::Pending => {
                let waited = this.waiting.blocked(context);
                this.patience(waited)
            }
            ended => ended,
        }
    }
}
