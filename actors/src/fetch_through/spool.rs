//! One large tarball on its way in, followed by any number of readers.
//!
//! The newest megabyte stays in memory; readers who keep up are served from it. Who falls
//! behind stalls nobody: it goes on from the stored blob as soon as that is there. The last
//! 64 KiB reach no reader before the digest agrees, so a wrong tarball is never complete.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use npm::Sha512Digest;
use parking_lot::Mutex;
use store::Store;
use store::blobs::{BlobLocation, BlobReader};
use tokio::sync::watch;

use super::MissError;

/// Bytes of the newest chunks kept for readers.
const WINDOW_BYTES: u64 = 1 << 20;

/// Bytes held back until the digest agrees.
pub(super) const HELD_BACK_BYTES: u64 = 64 << 10;

/// Piece read at once from the stored blob by readers that fell behind.
const PIECE_BYTES: u64 = 256 << 10;

/// A tarball that is verified and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) digest: Sha512Digest,
    pub(super) location: BlobLocation,
}

/// See the module.
pub(super) struct Spool {
    length: u64,
    store: Store,
    window: Mutex<Window>,
    changed: watch::Sender<()>,
}

struct Window {
    /// Chunks with the offset of their first byte, without gaps.
    chunks: VecDeque<(u64, Bytes)>,
    end: u64,
    /// The digest agrees: the held-back bytes may go.
    is_verified: bool,
    outcome: Option<Result<Stored, MissError>>,
}

/// What a reader at some offset does next.
enum Step {
    Give(Bytes),
    ReadBlob(Stored),
    End,
    Fail(MissError),
    Wait,
}

impl Spool {
    /// A spool for a tarball of exactly `length` bytes.
    pub(super) fn new(length: u64, store: Store) -> Arc<Self> {
        let window = Window { chunks: VecDeque::new(), end: 0, is_verified: false, outcome: None };
        let (changed, _) = watch::channel(());
        Arc::new(Self { length, store, window: Mutex::new(window), changed })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether a reader that starts now finds the first byte in memory.
    pub(super) fn has_beginning(&self) -> bool {
        self.window.lock().chunks.front().is_none_or(|(offset, _)| *offset == 0)
    }

    /// Shows the next bytes to the readers. Never waits for them.
    pub(super) fn push(&self, chunk: Bytes) {
        let mut window = self.window.lock();
        let offset = window.end;
        window.end += chunk.len() as u64;
        window.chunks.push_back((offset, chunk));
        let keep_from = window.end.saturating_sub(WINDOW_BYTES);
        while let Some((offset, chunk)) = window.chunks.front() {
            if offset + chunk.len() as u64 > keep_from {
                break;
            }
            window.chunks.pop_front();
        }
        drop(window);
        self.changed.send_replace(());
    }

    /// The digest agrees.
    pub(super) fn verified(&self) {
        self.window.lock().is_verified = true;
        self.changed.send_replace(());
    }

    /// The end, good or bad.
    pub(super) fn settle(&self, outcome: Result<Stored, MissError>) {
        let mut window = self.window.lock();
        window.is_verified |= outcome.is_ok();
        window.outcome = Some(outcome);
        drop(window);
        self.changed.send_replace(());
    }

    /// Waits for the end.
    pub(super) async fn outcome(&self) -> Result<Stored, MissError> {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(outcome) = self.window.lock().outcome.clone() {
                return outcome;
            }
            if changed.changed().await.is_err() {
                return Err(lost());
            }
        }
    }

    /// A reader from the first byte.
    pub(super) fn read(self: &Arc<Self>) -> BoxStream<'static, Result<Bytes, MissError>> {
        let follower = Follower {
            changed: self.changed.subscribe(),
            spool: Arc::clone(self),
            offset: 0,
            blob: None,
        };
        let follower = stream::unfold(Some(follower), |follower| async {
            let mut follower = follower?;
            match follower.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(follower))),
                Ok(None) => None,
                Err(failure) => Some((Err(failure), None)),
            }
        });
        follower.boxed()
    }

    fn step(&self, offset: u64) -> Step {
        let window = self.window.lock();
        if offset >= self.length && window.is_verified {
            return Step::End;
        }
        let shown = match window.is_verified {
            true => window.end,
            false => window.end.min(self.length.saturating_sub(HELD_BACK_BYTES)),
        };
        let found = (offset < shown).then(|| window.chunk_at(offset)).flatten();
        match (found, &window.outcome) {
            (Some((start, chunk)), _) => {
                let from = usize::try_from(offset - start).unwrap_or(chunk.len());
                let to = usize::try_from(shown - start).unwrap_or(usize::MAX).min(chunk.len());
                Step::Give(chunk.slice(from.min(to)..to))
            }
            (None, Some(Ok(stored))) => Step::ReadBlob(*stored),
            (None, Some(Err(failure))) => Step::Fail(failure.clone()),
            (None, None) => Step::Wait,
        }
    }
}

impl Window {
    fn chunk_at(&self, offset: u64) -> Option<(u64, &Bytes)> {
        let behind = self.chunks.partition_point(|(start, _)| *start <= offset);
        let (start, chunk) = self.chunks.get(behind.checked_sub(1)?)?;
        Some((*start, chunk))
    }
}

fn lost() -> MissError {
    MissError::unavailable("the download ended without a result")
}

struct Follower {
    spool: Arc<Spool>,
    changed: watch::Receiver<()>,
    offset: u64,
    blob: Option<BlobReader>,
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Bytes>, MissError> {
        loop {
            if self.blob.is_some() {
                return self.next_of_blob().await;
            }
            match self.spool.step(self.offset) {
                Step::Give(chunk) => {
                    self.offset += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Step::End => return Ok(None),
                Step::Fail(failure) => return Err(failure),
                Step::ReadBlob(stored) => {
                    let blobs = self.spool.store.blobs();
                    self.blob = Some(blobs.reader(&stored.digest, stored.location).await?);
                }
                // the spool lives in this reader, so its sender does too; when the download
                // is dropped without a word its guard settles it
                Step::Wait => self.changed.changed().await.map_err(|_| lost())?,
            }
        }
    }

    async fn next_of_blob(&mut self) -> Result<Option<Bytes>, MissError> {
        let left = self.spool.length.saturating_sub(self.offset).min(PIECE_BYTES);
        let (Some(blob), true) = (&self.blob, left > 0) else { return Ok(None) };
        let length = usize::try_from(left).unwrap_or(usize::MAX);
        let piece = blob.read(self.offset, length).await?;
        if piece.is_empty() {
            return Err(MissError::Store(format!(
                "the stored tarball ends at {} of {} bytes",
                self.offset, self.spool.length
            )));
        }
        self.offset += piece.len() as u64;
        Ok(Some(piece))
    }
}

/// Settles a spool whose download goes away without saying how it ended.
pub(super) struct SettleGuard(pub(super) Arc<Spool>);

impl Drop for SettleGuard {
    fn drop(&mut self) {
        if self.0.window.lock().outcome.is_none() {
            self.0.settle(Err(lost()));
        }
    }
}
