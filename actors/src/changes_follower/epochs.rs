//! The numbers of a feed: where to begin in them, and what to do when they are others.

use npm::{ChangesPage, Seq};
use store::feeds::{self, NewEpoch, Takes};
use tokio::time::Instant;

use super::job::{Failure, Step, StepResult, event_of};
use super::machine::Event;
use super::settings::FeedStart;
use crate::clock::now_ms;
use crate::upstream::{FeedAddress, UpstreamError};

/// A row may become visible a little after the head that counts it; the reference starts so far
/// behind as well.
const HEAD_MARGIN: i64 = 10;
/// A feed of so few numbers is read anew from its start when its numbering changes: no row of it
/// can be missed then.
const SHORT_FEED: i64 = 100_000;

impl Step<'_> {
    /// Looks whether the feed is one, and stores a first place in it.
    pub(super) async fn discover(&mut self) -> StepResult {
        let (upstream, address) = (self.upstream()?, self.address()?);
        let head = match upstream.feed_head(&address).await {
            Err(error) if self.is_none(&error) => None,
            head => head?,
        };
        let since = head.unwrap_or(Seq::START);
        let page = match upstream.changes(&address, since, 1).await {
            Err(error) if self.is_none(&error) => return Ok(Event::NoFeed),
            page => page?,
        };
        let head = head.or_else(|| page.by_time.then(|| Seq::new(now_ms())));
        let at_head = head.map_or(Seq::START, |head| head.back(HEAD_MARGIN));
        let seq = match self.deps.settings.start {
            FeedStart::At(seq) => Seq::new(seq),
            FeedStart::Auto if self.deps.takes == Takes::All => Seq::START,
            FeedStart::Auto | FeedStart::Head => at_head,
        };
        self.start_epoch(address, seq, head, None).await?;
        tracing::info!(registry = %self.deps.registry, seq = seq.number(), "following the feed");
        Ok(Event::Found)
    }

    /// "Not there" of an upstream that never said it has a feed.
    fn is_none(&self, error: &UpstreamError) -> bool {
        self.place.looked_for && event_of(error) == Event::Refused
    }

    pub(super) async fn start_epoch(
        &mut self,
        address: FeedAddress,
        seq: Seq,
        head: Option<Seq>,
        alarm: Option<String>,
    ) -> Result<(), Failure> {
        let mover = self.mover()?;
        let new = NewEpoch {
            url: address.url().to_string(),
            seq: seq.number(),
            head: head.map(Seq::number),
            // what changed before this place is told by no row behind it
            recheck: seq > Seq::START,
            alarm,
        };
        let row = self
            .write(move |connection| match feeds::start_epoch(connection, &mover, &new)? {
                true => feeds::find(connection, &mover.registry),
                false => Ok(None),
            })
            .await?;
        self.place.row = Some(row.ok_or(Failure::Event(Event::Moved))?);
        self.place.head_asked = Some(Instant::now());
        self.place.trust();
        Ok(())
    }

    /// Looks for the row at our place. In one numbering it is there, or its name has a higher
    /// number by now: either way something answers. Nothing at all means other numbers.
    pub(super) async fn probe(&mut self) -> StepResult {
        let (upstream, address) = (self.upstream()?, self.address()?);
        let seq = self.place.seq();
        let page: ChangesPage = upstream.changes(&address, seq.back(1), 1).await?;
        if seq == Seq::START || page.reaches(seq) {
            self.place.trust();
            return Ok(Event::SameNumbers);
        }
        let proven = self.place.doubt(self.deps.settings.confirm_for);
        Ok(if proven { Event::Proven } else { Event::OtherNumbers })
    }

    /// Another numbering: go on at its head, and ask for everything that is here again.
    pub(super) async fn renumber(&mut self) -> StepResult {
        let (upstream, address) = (self.upstream()?, self.address()?);
        let before = self.place.seq();
        let head = upstream.feed_head(&address).await?;
        let seq = match head {
            Some(head) if head.number() > SHORT_FEED => head.back(HEAD_MARGIN),
            _ => Seq::START,
        };
        let now = head.map_or_else(|| "unknown".to_owned(), |head| head.to_string());
        let why = format!(
            "the numbers of the feed fell back: it was read to {before}, its head is {now}; \
             a new epoch starts at {seq}"
        );
        tracing::warn!(registry = %self.deps.registry, "{why}");
        self.start_epoch(address, seq, head, Some(why)).await?;
        Ok(Event::Renumbered)
    }
}
