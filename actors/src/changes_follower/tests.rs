//! What failures of a request mean: the other half of the state machine.

use std::time::Duration;

use super::job::event_of;
use super::machine::Event;
use crate::upstream::UpstreamError as E;

#[test]
fn every_failure_of_a_request_is_an_event() {
    let status = |status| E::Status { status, retry_after: None };
    let text = String::new;
    for (failure, event) in [
        (E::NotFound, Event::Refused),
        (E::Gone { status: 410 }, Event::Refused),
        (E::Gone { status: 451 }, Event::Refused),
        (E::Refused { status: 400 }, Event::Refused),
        (E::Refused { status: 401 }, Event::Refused),
        (E::Refused { status: 403 }, Event::Refused),
        (E::TooLarge { what: "document", limit: 1, announced: None }, Event::Refused),
        (E::BadBody(text()), Event::Refused),
        (E::BadRedirect(text()), Event::Refused),
        (E::BadAddress(text()), Event::Refused),
        (E::Loop { url: text(), instance_id: text() }, Event::Refused),
        (E::Misconfigured(text()), Event::Refused),
        (E::RateLimited { retry_after: None }, Event::Throttled),
        (E::RateLimited { retry_after: Some(Duration::ZERO) }, Event::Throttled),
        (E::Resting { retry_after: Duration::ZERO }, Event::Unavailable),
        (E::Unreachable(text()), Event::Unavailable),
        (status(408), Event::Unavailable),
        (status(500), Event::Unavailable),
        (status(502), Event::Unavailable),
        (status(503), Event::Unavailable),
        (status(504), Event::Unavailable),
        (E::Stalled { what: "the body", waited: Duration::ZERO }, Event::Unavailable),
        (E::Truncated(text()), Event::Unavailable),
        (E::Offline, Event::NotAsked),
    ] {
        assert_eq!(event_of(&failure), event, "{failure}");
    }
}
