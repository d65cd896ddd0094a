//! What the follower does next: a pure function of where it is and what just happened.
//!
//! Everything that can happen has an answer in every state; what cannot happen (a late answer)
//! is taken like the same thing in time. Starting over from the database ([`Ask::Lease`]) is
//! always safe, because the place moves only with the tasks of the rows before it.

use serde::{Deserialize, Serialize};

/// Where a follower is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowState {
    /// It reads its place and looks for the feed.
    #[default]
    Starting,
    /// Another node follows.
    Standby,
    /// There is no feed, or none is to be followed.
    Off,
    /// A person wants it left alone.
    Paused,
    /// More rows are there right now.
    CatchingUp,
    /// Nothing newer was there at the last look.
    Following,
    /// So many tasks wait that no page is asked for.
    Holding,
    /// The feed's head is behind our place: its numbers may be others by now.
    Doubting,
    /// No row came for so long that somebody should look.
    Stalled,
    /// The feed cannot be had at the moment.
    Retrying,
    /// The feed answers, but not as a feed.
    Refused,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event {
    /// The lease is ours and the place is known.
    Leased,
    /// The lease is ours; there is no place in this feed yet.
    LeasedNew,
    /// Another node has the lease.
    Taken,
    /// The feed was found and a place in it is stored.
    Found,
    /// The upstream has no feed.
    NoFeed,
    /// Nobody is to be asked: no upstream, no feed wanted, offline.
    NotAsked,
    /// A person wants the feed left alone.
    Paused,
    /// A page, and there is more.
    FullPage,
    /// A page that ends at the head.
    PartPage,
    /// No rows, and the head is where we are.
    EmptyPage,
    /// No rows, and the head is behind our place.
    Below,
    /// No rows for as long as is worth an alarm.
    Silent,
    /// Rows, but none that leads on.
    NoProgress,
    /// The row at our place is still there: the numbers are the same.
    SameNumbers,
    /// Nothing at and behind our place, not for long enough to be sure.
    OtherNumbers,
    /// Nothing at and behind our place, time and again: another numbering.
    Proven,
    /// A new epoch is stored.
    Renumbered,
    /// Too many tasks wait.
    QueueFull,
    /// 429.
    Throttled,
    /// No connection, silence, a cut body, 5xx, an open breaker.
    Unavailable,
    /// An answer that will be the same next time: 400, 403, 404, 410, 451, a web page, a loop.
    Refused,
    /// Somebody else moved the place or has the lease.
    Moved,
    /// The database could not be read or written.
    NotWritten,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ask {
    /// Take the lease and read the place.
    Lease,
    /// Find the feed and store a first place in it.
    Discover,
    /// Ask for a page, if the queue has room.
    Page,
    /// See whether the row at our place is still there.
    Probe,
    /// Store a new epoch, starting where the feed is now.
    Renumber,
}

/// When to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pause {
    /// At once.
    None,
    /// After the poll interval.
    Poll,
    /// When tasks may have become fewer.
    Room,
    /// After a while that grows with each failure in a row, or as long as the upstream said.
    Failure,
    /// When another node's lease may have run out.
    Lease,
    /// Much later; a person may change something meanwhile, and wakes us then.
    Long,
}

/// The step after an event: where the follower is then, what it does, and when.
pub(super) fn step(state: FollowState, event: Event) -> (FollowState, Ask, Pause) {
    use Event as E;
    use FollowState as S;
    match event {
        // Failures start over here; they stay what they are until a page has come.
        E::Leased => match state {
            S::Retrying | S::Refused | S::Stalled => (state, Ask::Page, Pause::None),
            _ => (S::CatchingUp, Ask::Page, Pause::None),
        },
        E::LeasedNew => match state {
            S::Retrying | S::Refused => (state, Ask::Discover, Pause::None),
            _ => (S::Starting, Ask::Discover, Pause::None),
        },
        E::Taken | E::Moved => (S::Standby, Ask::Lease, Pause::Lease),
        E::Found | E::Renumbered => (S::CatchingUp, Ask::Page, Pause::None),
        E::NoFeed | E::NotAsked => (S::Off, Ask::Lease, Pause::Long),
        E::Paused => (S::Paused, Ask::Lease, Pause::Lease),
        E::FullPage => (S::CatchingUp, Ask::Page, Pause::None),
        E::PartPage => (S::Following, Ask::Page, Pause::Poll),
        E::EmptyPage => match state {
            S::Stalled => (S::Stalled, Ask::Page, Pause::Poll),
            // Where nobody tells the head, an empty page alone settles no doubt.
            S::Doubting => (S::Doubting, Ask::Probe, Pause::None),
            _ => (S::Following, Ask::Page, Pause::Poll),
        },
        E::Below => (S::Doubting, Ask::Probe, Pause::None),
        E::Silent => (S::Stalled, Ask::Probe, Pause::None),
        E::NoProgress => (S::Stalled, Ask::Page, Pause::Failure),
        E::SameNumbers => match state {
            S::Stalled => (S::Stalled, Ask::Page, Pause::Poll),
            _ => (S::Following, Ask::Page, Pause::Poll),
        },
        E::OtherNumbers => (S::Doubting, Ask::Page, Pause::Poll),
        E::Proven => (S::Doubting, Ask::Renumber, Pause::None),
        E::QueueFull => (S::Holding, Ask::Page, Pause::Room),
        E::Throttled | E::Unavailable | E::NotWritten => (S::Retrying, Ask::Lease, Pause::Failure),
        E::Refused => (S::Refused, Ask::Lease, Pause::Long),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [FollowState; 11] = [
        FollowState::Starting,
        FollowState::Standby,
        FollowState::Off,
        FollowState::Paused,
        FollowState::CatchingUp,
        FollowState::Following,
        FollowState::Holding,
        FollowState::Doubting,
        FollowState::Stalled,
        FollowState::Retrying,
        FollowState::Refused,
    ];

    /// What a row of the table expects: the same from every state, or with exceptions.
    struct Row {
        event: Event,
        usual: (FollowState, Ask, Pause),
        except: &'static [(FollowState, (FollowState, Ask, Pause))],
    }

    const fn row(event: Event, state: FollowState, ask: Ask, pause: Pause) -> Row {
        Row { event, usual: (state, ask, pause), except: &[] }
    }

    const TABLE: [Row; 23] = {
        use Event as E;
        use FollowState as S;
        [
            Row {
                event: E::Leased,
                usual: (S::CatchingUp, Ask::Page, Pause::None),
                except: &[
                    (S::Stalled, (S::Stalled, Ask::Page, Pause::None)),
                    (S::Retrying, (S::Retrying, Ask::Page, Pause::None)),
                    (S::Refused, (S::Refused, Ask::Page, Pause::None)),
                ],
            },
            Row {
                event: E::LeasedNew,
                usual: (S::Starting, Ask::Discover, Pause::None),
                except: &[
                    (S::Retrying, (S::Retrying, Ask::Discover, Pause::None)),
                    (S::Refused, (S::Refused, Ask::Discover, Pause::None)),
                ],
            },
            row(E::Taken, S::Standby, Ask::Lease, Pause::Lease),
            row(E::Found, S::CatchingUp, Ask::Page, Pause::None),
            row(E::NoFeed, S::Off, Ask::Lease, Pause::Long),
            row(E::NotAsked, S::Off, Ask::Lease, Pause::Long),
            row(E::Paused, S::Paused, Ask::Lease, Pause::Lease),
            row(E::FullPage, S::CatchingUp, Ask::Page, Pause::None),
            row(E::PartPage, S::Following, Ask::Page, Pause::Poll),
            Row {
                event: E::EmptyPage,
                usual: (S::Following, Ask::Page, Pause::Poll),
                except: &[
                    (S::Doubting, (S::Doubting, Ask::Probe, Pause::None)),
                    (S::Stalled, (S::Stalled, Ask::Page, Pause::Poll)),
                ],
            },
            row(E::Below, S::Doubting, Ask::Probe, Pause::None),
            row(E::Silent, S::Stalled, Ask::Probe, Pause::None),
            row(E::NoProgress, S::Stalled, Ask::Page, Pause::Failure),
            Row {
                event: E::SameNumbers,
                usual: (S::Following, Ask::Page, Pause::Poll),
                except: &[(S::Stalled, (S::Stalled, Ask::Page, Pause::Poll))],
            },
            row(E::OtherNumbers, S::Doubting, Ask::Page, Pause::Poll),
            row(E::Proven, S::Doubting, Ask::Renumber, Pause::None),
            row(E::Renumbered, S::CatchingUp, Ask::Page, Pause::None),
            row(E::QueueFull, S::Holding, Ask::Page, Pause::Room),
            row(E::Throttled, S::Retrying, Ask::Lease, Pause::Failure),
            row(E::Unavailable, S::Retrying, Ask::Lease, Pause::Failure),
            row(E::Refused, S::Refused, Ask::Lease, Pause::Long),
            row(E::Moved, S::Standby, Ask::Lease, Pause::Lease),
            row(E::NotWritten, S::Retrying, Ask::Lease, Pause::Failure),
        ]
    };

    #[test]
    fn every_event_has_its_answer_in_every_state() {
        for row in TABLE {
            for state in STATES {
                let except = row.except.iter().find(|(from, _)| *from == state);
                let expected = except.map_or(row.usual, |(_, expected)| *expected);
                assert_eq!(step(state, row.event), expected, "{state:?} and {:?}", row.event);
            }
        }
    }

    #[test]
    fn the_table_of_the_test_is_whole() {
        let number = |event: Event| event as usize;
        let mut events: Vec<_> = TABLE.iter().map(|row| number(row.event)).collect();
        events.sort_unstable();
        assert_eq!(events, (0..=number(Event::NotWritten)).collect::<Vec<_>>());
        assert_eq!(STATES.len(), FollowState::Refused as usize + 1);
    }

    /// From every state, a feed that is well again is followed again within a few steps.
    #[test]
    fn a_healthy_feed_is_followed_again_from_every_state() {
        for start in STATES {
            let (mut state, mut ask) = (start, Ask::Lease);
            for _ in 0..6 {
                let event = match ask {
                    Ask::Lease => Event::Leased,
                    Ask::Discover => Event::Found,
                    Ask::Page => Event::PartPage,
                    Ask::Probe => Event::SameNumbers,
                    Ask::Renumber => Event::Renumbered,
                };
                (state, ask, _) = step(state, event);
            }
            assert_eq!((state, ask), (FollowState::Following, Ask::Page), "from {start:?}");
        }
    }
}
