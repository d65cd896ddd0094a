//! Reading a body piece by piece: stall timeout, cap, and the truth about its length.

use bytes::Bytes;
use reqwest::Response;

use super::UpstreamError;
use super::client::{Client, Kind, chain};

/// What is left of one response.
pub(super) struct Body {
    response: Response,
    what: &'static str,
    limit: u64,
    received: u64,
    /// From `Content-Length`.
    pub(super) announced: Option<u64>,
    stall: std::time::Duration,
}

impl Body {
    /// Refuses a body that is announced larger than its cap before reading any of it.
    pub(super) fn new(
        client: &Client,
        kind: Kind,
        response: Response,
    ) -> Result<Self, UpstreamError> {
        let (what, limit) = match kind {
            Kind::Document => ("document", client.settings.max_document_bytes),
            Kind::Tarball => ("tarball", client.settings.max_tarball_bytes),
        };
        let announced = response.content_length();
        if announced.is_some_and(|bytes| bytes > limit) {
            return Err(UpstreamError::TooLarge { what, limit, announced });
        }
        let stall = client.settings.stall_timeout;
        Ok(Self { response, what, limit, received: 0, announced, stall })
    }

    /// The next piece, `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let piece = match tokio::time::timeout(self.stall, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|error| self.truncated(&chain(&error)))?,
            Err(_) => {
                return Err(UpstreamError::Stalled { what: "the body", waited: self.stall });
            }
        };
        let Some(piece) = piece else { return self.ended().map(|()| None) };
        self.received += piece.len() as u64;
        if self.received > self.limit {
            let (what, limit) = (self.what, self.limit);
            return Err(UpstreamError::TooLarge { what, limit, announced: None });
        }
        Ok(Some(piece))
    }

    /// The HTTP client checks lengths too; a body with fewer bytes must never pass as whole.
    fn ended(&self) -> Result<(), UpstreamError> {
        match self.announced {
            Some(announced) if announced != self.received => Err(self.truncated("early end")),
            _ => Ok(()),
        }
    }

    fn truncated(&self, why: &str) -> UpstreamError {
        let of = self.announced.map_or_else(String::new, |bytes| format!(" of {bytes}"));
        UpstreamError::Truncated(format!("after {}{of} bytes: {why}", self.received))
    }
}
