//! The chain of mirrors that a request came through, so that a circle of them is found at once.
//!
//! Each mirror names itself in [`LOOP_HEADER`] of what it asks, behind those that asked it; who
//! finds its own name there refuses. The chain belongs to the request of a reader and follows
//! its work as a task-local value, because everything between reader and upstream is shared.

use std::future::Future;

use reqwest::header::{HeaderMap, HeaderValue};

use super::UpstreamError;

/// Names the mirrors a request has passed, the nearest last. Not `Via`: servers such as nginx send
/// nothing compressed to a client that sends that, which cost twice the bytes and a compression of
/// our own for every document.
pub const LOOP_HEADER: &str = "espejo-via";

/// Mirrors in a row at most; a longer chain is taken for a circle.
const MOST_MIRRORS: usize = 16;

tokio::task_local! {
    static CHAIN: String;
}

/// Whether a value of [`LOOP_HEADER`] names the mirror with this instance id.
#[must_use]
pub(super) fn names_instance(value: &[u8], instance_id: &str) -> bool {
    mirrors(value).any(|mirror| mirror == instance_id.as_bytes())
}

/// Whether a request with this chain has been here, or would never end.
#[must_use]
pub fn is_circle(value: &[u8], instance_id: &str) -> bool {
    names_instance(value, instance_id) || mirrors(value).count() >= MOST_MIRRORS
}

fn mirrors(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Does work for a reader whose request came through other mirrors.
pub async fn behind<Work: Future>(chain: Option<String>, work: Work) -> Work::Output {
    match chain {
        Some(chain) => CHAIN.scope(chain, work).await,
        None => work.await,
    }
}

/// Gives work that gets a task of its own the chain of whoever asked for it.
pub(crate) fn carry<Work: Future>(work: Work) -> impl Future<Output = Work::Output> {
    behind(CHAIN.try_with(String::clone).ok(), work)
}

/// Whether the work at hand is done for another mirror.
pub(crate) fn is_behind() -> bool {
    CHAIN.try_with(|_| ()).is_ok()
}

/// The header of a request that this mirror sends now.
pub(super) fn chain(own: &HeaderValue) -> HeaderValue {
    let extended = CHAIN.try_with(|chain| {
        let joined = [chain.as_bytes(), b", ", own.as_bytes()].concat();
        HeaderValue::from_bytes(&joined).ok()
    });
    extended.ok().flatten().unwrap_or_else(|| own.clone())
}

/// The mirror that refused a request because it had been there before.
pub(super) fn refused_by(headers: &HeaderMap) -> Option<String> {
    headers.get(LOOP_HEADER)?.to_str().ok().map(str::to_owned)
}

/// The name of this mirror as a header.
pub(super) fn own(instance_id: &str) -> Result<HeaderValue, UpstreamError> {
    let is_token = !instance_id.is_empty()
        && instance_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let value = HeaderValue::try_from(instance_id);
    value.ok().filter(|_| is_token).ok_or_else(|| {
        UpstreamError::Misconfigured(format!(
            "instance id {instance_id:?}: only letters, digits, '-', '_' and '.'"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_found_by_its_whole_name_only() {
        assert!(names_instance(b"fred, a", "a"));
        assert!(!names_instance(b"ab, b", "a"));
    }

    #[test]
    fn a_chain_without_end_is_a_circle() {
        let chain = vec!["m"; MOST_MIRRORS].join(", ");
        assert!(is_circle(chain.as_bytes(), "a"));
        assert!(!is_circle(b"m, n", "a"));
        assert!(is_circle(b"m, a", "a"));
    }

    #[tokio::test]
    async fn work_of_its_own_task_keeps_the_chain() {
        let own = HeaderValue::from_static("b");
        assert_eq!(chain(&own), "b");
        let asked = "a".to_owned();
        let sent = behind(Some(asked), async move {
            let carried = carry(async move { chain(&own) });
            tokio::spawn(carried).await.unwrap()
        });
        assert_eq!(sent.await, "a, b");
    }
}
