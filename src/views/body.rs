//! Bodies that leave in slices.
//!
//! actix-http copies each piece a body yields into the connection's write buffer; one piece
//! of 40 MB would be copied whole for every reader. So bodies above [`SLICE_BYTES`] yield
//! slices of one shared allocation, or read their blob piece by piece.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody, SizedStream};
use bytes::Bytes;
use futures_util::stream;
use store::blobs::{BlobError, BlobReader};
use tokio::sync::OwnedSemaphorePermit;

/// Bytes in one piece of a body.
pub const SLICE_BYTES: usize = 64 << 10;

/// Pieces after which a body lets others have the thread. A fast reader takes whatever it is
/// given, and 20 of them would keep every small request of the worker waiting.
const PIECES_IN_A_ROW: u32 = 2;

/// Bytes in memory: at once when few, else in slices. `held` goes back when all are sent.
#[must_use]
pub fn memory_body(bytes: Bytes, held: Option<OwnedSemaphorePermit>) -> BoxBody {
    let length = bytes.len();
    if length <= SLICE_BYTES {
        return BoxBody::new(bytes);
    }
    let slices = stream::unfold((bytes, Turn::default(), held), |state| async move {
        let (mut left, mut turn, held) = state;
        if left.is_empty() {
            return None;
        }
        turn.take().await;
        let slice = left.split_to(left.len().min(SLICE_BYTES));
        Some((Ok::<_, Infallible>(slice), (left, turn, held)))
    });
    BoxBody::new(SizedStream::new(length as u64, slices))
}

/// Counts the pieces a body has sent in a row.
#[derive(Debug, Default)]
struct Turn(u32);

impl Turn {
    /// Waits until the sockets of others have been looked at, when it is their turn.
    async fn take(&mut self) {
        if self.0 == PIECES_IN_A_ROW {
            self.0 = 0;
            tokio::task::yield_now().await;
        }
        self.0 += 1;
    }
}

/// The answer to HEAD: the length of a body, and no byte of it.
#[must_use]
pub fn head_body(length: u64) -> BoxBody {
    BoxBody::new(HeadBody(length))
}

struct HeadBody(u64);

impl MessageBody for HeadBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// `length` bytes of a blob from `start`, read as the client takes them. When a read fails the
/// connection is cut: the client sees too few bytes, never wrong ones.
#[must_use]
pub fn blob_body(
    reader: BlobReader,
    start: u64,
    length: u64,
    failed: impl Fn(&BlobError) + 'static,
) -> BoxBody {
    let first = (reader, start, length, Turn::default(), failed);
    let pieces = stream::try_unfold(first, |state| async move {
        let (reader, at, left, mut turn, failed) = state;
        if left == 0 {
            return Ok(None);
        }
        turn.take().await;
        let wanted = usize::try_from(left).map_or(SLICE_BYTES, |left| left.min(SLICE_BYTES));
        match reader.read(at, wanted).await {
            Ok(piece) if piece.len() == wanted => {
                let read = wanted as u64;
                Ok(Some((piece, (reader, at + read, left - read, turn, failed))))
            }
            Ok(piece) => Err(BlobError::Failed(format!(
                "a blob ended after {} bytes instead of {}",
                at + piece.len() as u64,
                at + left,
            ))),
            Err(error) => {
                failed(&error);
                Err(error)
            }
        }
    });
    BoxBody::new(SizedStream::new(length, pieces))
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[actix_web::test]
    async fn a_large_body_leaves_in_slices_and_whole() {
        let bytes = Bytes::from(vec![7; SLICE_BYTES * 2 + 5]);
        let mut body = memory_body(bytes.clone(), None);
        assert_eq!(body.size(), BodySize::Sized(bytes.len() as u64));
        let mut lengths = Vec::new();
        while let Some(piece) =
            std::future::poll_fn(|context| Pin::new(&mut body).poll_next(context)).await
        {
            lengths.push(piece.unwrap().len());
        }
        assert_eq!(lengths, [SLICE_BYTES, SLICE_BYTES, 5]);
        assert_eq!(to_bytes(memory_body(bytes.clone(), None)).await.unwrap(), bytes);
    }

    #[actix_web::test]
    async fn head_has_a_length_and_no_bytes() {
        let body = head_body(123);
        assert_eq!(body.size(), BodySize::Sized(123));
        assert!(to_bytes(body).await.unwrap().is_empty());
    }
}
