//! Whether a registry is what an operator takes it for: reached, answering with documents, with a
//! feed, and content with its token.

use npm::{PackageName, PackumentScan};
use serde::{Deserialize, Serialize};
use store::Validators;
use tokio::time::Instant;

use super::{FeedAddress, FeedChoice, PackumentAnswer, Upstream, UpstreamError, Urgency};

/// Address that says whose token was sent.
const WHOAMI: &str = "/-/whoami";

/// What came of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Nothing is wrong, nothing was found out either.
    Unknown,
    /// Not as it should be.
    Failed,
}

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `host`, `packument`, `feed` or `token`.
    pub what: String,
    /// What came of it.
    pub verdict: Verdict,
    /// In words.
    pub text: String,
    /// How long the answer took.
    pub took_ms: u64,
}

/// Asks a registry, with the rank of a person; `package` is one that it should have.
pub async fn check(upstream: &Upstream, package: Option<&PackageName>) -> Vec<Finding> {
    let host = timed("host", host(upstream)).await;
    if host.verdict == Verdict::Failed {
        return vec![host];
    }
    let packument = timed("packument", packument(upstream, package)).await;
    let feed = timed("feed", feed(upstream)).await;
    let token = timed("token", token(upstream)).await;
    vec![host, packument, feed, token]
}

async fn timed(what: &str, asking: impl Future<Output = (Verdict, String)>) -> Finding {
    let asked = Instant::now();
    let (verdict, text) = asking.await;
    let took_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
    Finding { what: what.to_owned(), verdict, text, took_ms }
}

fn failed(error: &UpstreamError) -> (Verdict, String) {
    (Verdict::Failed, error.to_string())
}

async fn host(upstream: &Upstream) -> (Verdict, String) {
    if upstream.settings().offline {
        return (Verdict::Failed, "nobody is asked: upstream.offline is set".to_owned());
    }
    match upstream.probe().await {
        Ok(probe) if probe.status >= 500 => {
            (Verdict::Failed, format!("{} answers {}", upstream.base_url(), probe.status))
        }
        Ok(probe) => (Verdict::Ok, format!("{} answers {}", upstream.base_url(), probe.status)),
        Err(error) => failed(&error),
    }
}

async fn packument(upstream: &Upstream, package: Option<&PackageName>) -> (Verdict, String) {
    let Some(name) = package else {
        return (Verdict::Unknown, "no package of it is known: name one with --package".to_owned());
    };
    let found = upstream.packument(name, &Validators::default(), Urgency::Person).await;
    let body = match found {
        Ok(PackumentAnswer::Found(found)) => found.body,
        Ok(PackumentAnswer::NotModified { .. }) => {
            return (Verdict::Failed, format!("304 for {name}, which nobody asked for"));
        }
        Err(UpstreamError::NotFound) => {
            return (Verdict::Unknown, format!("it has no {name}: name another with --package"));
        }
        Err(error) => return failed(&error),
    };
    match PackumentScan::parse(&body) {
        Ok(scan) if scan.name.as_deref() == Some(name.as_str()) => {
            let versions = scan.versions.len();
            (Verdict::Ok, format!("{name} with {versions} versions, {} bytes", body.len()))
        }
        Ok(_) => (Verdict::Failed, format!("the document of {name} does not name it")),
        Err(error) => (Verdict::Failed, format!("the document of {name}: {error}")),
    }
}

async fn feed(upstream: &Upstream) -> (Verdict, String) {
    let settings = upstream.settings();
    let (address, looked_for) = match &settings.feed {
        FeedChoice::Off => return (Verdict::Unknown, "no feed is to be followed".to_owned()),
        FeedChoice::Auto => (FeedAddress::at(&settings.url), true),
        FeedChoice::At(url) => (FeedAddress::at(url), false),
    };
    let Some(address) = address else {
        return (Verdict::Failed, "the address of its feed is none".to_owned());
    };
    let head = match upstream.feed_head(&address).await {
        Ok(head) => head,
        Err(error) if looked_for => return (Verdict::Unknown, format!("none found: {error}")),
        Err(error) => return failed(&error),
    };
    match (upstream.changes(&address, head.unwrap_or(npm::Seq::START), 1).await, head) {
        (Ok(_), Some(head)) => (Verdict::Ok, format!("{} at {head}", address.url())),
        (Ok(_), None) => (Verdict::Ok, address.url().to_string()),
        (Err(error), _) if looked_for => (Verdict::Unknown, format!("none found: {error}")),
        (Err(error), _) => failed(&error),
    }
}

async fn token(upstream: &Upstream) -> (Verdict, String) {
    if upstream.settings().token.is_none() {
        return (Verdict::Unknown, "none is sent".to_owned());
    }
    match upstream.answer(WHOAMI, Urgency::Person).await {
        Ok(Some(_)) => (Verdict::Ok, "accepted".to_owned()),
        Ok(None) => (Verdict::Unknown, format!("it does not tell at {WHOAMI}")),
        Err(error) => failed(&error),
    }
}
