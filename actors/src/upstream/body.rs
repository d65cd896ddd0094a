//! Reading a body piece by piece: stall timeout, pace, cap, and the truth about its length.

use std::time::Duration;

use bytes::{Buf, Bytes};
use reqwest::Response;
use tokio::time::Instant;

use super::client::{Client, chain};
use super::resume::Rest;
use super::settings::MinimumPace;
use super::{Kind, UpstreamError};

/// What is left of one body; it may come in several responses.
pub(super) struct Body {
    response: Response,
    what: &'static str,
    limit: u64,
    /// Bytes handed out.
    pub(super) received: u64,
    /// Bytes of this response that were handed out before, from an earlier one.
    skip: u64,
    /// Length of the whole.
    pub(super) announced: Option<u64>,
    stall: Duration,
    pace: Pace,
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
        let pace = Pace::new(client.settings.slowest);
        Ok(Self { response, what, limit, received: 0, skip: 0, announced, stall, pace })
    }

    /// Goes on with another response after this one broke off.
    pub(super) fn go_on(&mut self, response: Response, rest: &Rest) {
        match rest {
            Rest::Part { total } => {
                self.skip = 0;
                self.announced = self.announced.or(*total);
            }
            Rest::Whole => self.skip = self.received,
        }
        self.response = response;
        self.pace = Pace::new(self.pace.slowest);
    }

    /// The next piece, `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let Some(mut piece) = self.receive().await? else {
                return self.ended().map(|()| None);
            };
            let again = usize::try_from(self.skip).unwrap_or(usize::MAX).min(piece.len());
            self.skip -= again as u64;
            piece.advance(again);
            if piece.is_empty() {
                continue;
            }
            self.received += piece.len() as u64;
            if self.received > self.limit {
                let (what, limit) = (self.what, self.limit);
                return Err(UpstreamError::TooLarge { what, limit, announced: None });
            }
            return Ok(Some(piece));
        }
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let asked = Instant::now();
        let piece = match tokio::time::timeout(self.stall, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|error| self.truncated(&chain(&error)))?,
            Err(_) => {
                return Err(UpstreamError::Stalled { what: "the body", waited: self.stall });
            }
        };
        if let Some(piece) = &piece {
            self.pace.came(piece.len() as u64, asked.elapsed())?;
        }
        Ok(piece)
    }

    /// The HTTP client checks lengths too; a body with fewer bytes must never pass as whole.
    fn ended(&self) -> Result<(), UpstreamError> {
        let is_short = self.announced.is_some_and(|announced| announced != self.received);
        if is_short || self.skip > 0 { Err(self.truncated("early end")) } else { Ok(()) }
    }

    /// The body broke off here for this reason.
    pub(super) fn truncated(&self, why: &str) -> UpstreamError {
        let of = self.announced.map_or_else(String::new, |bytes| format!(" of {bytes}"));
        UpstreamError::Truncated(format!("after {}{of} bytes: {why}", self.received))
    }
}

/// Bytes against the time spent waiting for them. Time in which nobody asked does not count:
/// a slow disk of ours is no fault of the upstream.
struct Pace {
    slowest: MinimumPace,
    bytes: u64,
    waited: Duration,
}

impl Pace {
    fn new(slowest: MinimumPace) -> Self {
        Self { slowest, bytes: 0, waited: Duration::ZERO }
    }

    fn came(&mut self, bytes: u64, waited: Duration) -> Result<(), UpstreamError> {
        self.bytes += bytes;
        self.waited += waited;
        if self.waited < self.slowest.within {
            return Ok(());
        }
        let (bytes, waited) = (self.bytes, self.waited);
        (self.bytes, self.waited) = (0, Duration::ZERO);
        // in proportion: the last wait may have gone far beyond the window
        let windows = waited.as_secs_f64() / self.slowest.within.as_secs_f64().max(f64::EPSILON);
        if bytes as f64 >= self.slowest.bytes as f64 * windows {
            return Ok(());
        }
        Err(UpstreamError::TooSlow { bytes, waited })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_too_slow_by_the_average_of_a_window_of_waiting() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(MinimumPace::default());
        for _ in 0..180 {
            pace.came(1_024, second).unwrap();
        }
        // a pause is made up for within its window
        pace.came(60 << 10, second).unwrap();
        pace.came(1, second * 59).unwrap();
        for _ in 0..59 {
            pace.came(1_000, second).unwrap();
        }
        let failure = pace.came(1_000, second).unwrap_err();
        let waited = second * 60;
        assert_eq!(failure, UpstreamError::TooSlow { bytes: 60_000, waited });
    }

    #[test]
    fn a_wait_of_several_windows_is_judged_by_all_of_them() {
        let mut pace = Pace::new(MinimumPace { bytes: 100, within: Duration::from_secs(1) });
        pace.came(400, Duration::from_secs(4)).unwrap();
        assert!(pace.came(399, Duration::from_secs(4)).is_err());
    }
}
