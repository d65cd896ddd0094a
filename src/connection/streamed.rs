//! Bodies of answers that come piece by piece: their connection is not idle before their end.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;

use super::Heard;

/// A body that says when it is over.
struct Streamed {
    body: BoxBody,
    heard: Rc<Heard>,
}

/// The same body; one that does not lie in memory is known to the connection until its end.
pub fn known(body: BoxBody, heard: &Rc<Heard>) -> BoxBody {
    if matches!(body.size(), BodySize::None) {
        return body;
    }
    match body.try_into_bytes() {
        Ok(bytes) => BoxBody::new(bytes),
        Err(body) => {
            heard.streaming.set(true);
            BoxBody::new(Streamed { body, heard: Rc::clone(heard) })
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.heard.streaming.set(false);
    }
}

impl MessageBody for Streamed {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(context)
    }
}
