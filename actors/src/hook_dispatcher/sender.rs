//! One try of one delivery: sign, send, read the beginning of the answer.

use std::convert::Infallible;
use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream;
use npm::hook::sign;
use npm::{HookBody, HookEventKind};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response};
use store::hooks::lease::Attempt;
use store::hooks::{HookRow, shown_endpoint};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::guard::{HookGuard, RefusedEndpoint};
use super::payload::Payload;
use super::settings::HookSettings;
use crate::clock::now_ms;
use crate::upstream::resolver::{GuardedResolver, system_lookup};
use crate::upstream::{in_place, parse_retry_after, tls};

/// Bodies up to this size are sent in one piece; larger ones share the document's bytes.
const COPIED_BYTES: usize = 64 << 10;
/// This much of an answer is read, so that its connection can be used again.
const READ_BYTES: usize = 64 << 10;
/// This much of an answer is kept.
const KEPT_CHARS: usize = 1_000;
/// A longer wish of a receiver is taken as this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Idle connections kept per receiver.
const IDLE_CONNECTIONS: usize = 32;
/// Idle connections are closed before common servers do.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

const USER_AGENT: &str = concat!("espejo/", env!("CARGO_PKG_VERSION"));

/// Carries the id of a delivery, the same with every try.
pub const DELIVERY_HEADER: &str = "x-espejo-delivery";

/// What is to be sent.
pub(super) struct Sending<'a> {
    pub(super) hook: &'a HookRow,
    pub(super) event: HookEventKind,
    pub(super) change_json: &'a str,
    pub(super) package: &'a str,
    pub(super) at_ms: i64,
    pub(super) delivery: String,
    pub(super) payload: &'a Payload,
}

/// How it went.
#[derive(Clone, Debug)]
pub struct Sent {
    /// For the history.
    pub attempt: Attempt,
    /// The receiver took it: it answered 2xx.
    pub delivered: bool,
    /// How long the receiver wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Sends deliveries; shared by all who do.
pub struct Sender {
    guard: Arc<HookGuard>,
    timeout: Duration,
    ca_pem: Option<Vec<u8>>,
    plain: Client,
    /// The first https endpoint reads the system's certificates.
    secure: OnceLock<Result<Client, String>>,
}

impl Sender {
    /// A sender for one engine.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub(crate) fn new(settings: &HookSettings) -> Result<Self, String> {
        let allowed = settings.allow_private.clone();
        let guard = Arc::new(HookGuard::new(allowed, system_lookup()));
        let tls = tls::none().map_err(|error| error.to_string())?;
        Ok(Self {
            plain: client(&guard, tls, settings.timeout)?,
            guard,
            timeout: settings.timeout,
            ca_pem: settings.ca_pem.clone(),
            secure: OnceLock::new(),
        })
    }

    /// Whether an endpoint may be used, as far as the address itself tells.
    ///
    /// # Errors
    /// [`RefusedEndpoint`] says why not.
    pub fn check(&self, endpoint: &str) -> Result<(), RefusedEndpoint> {
        check(&self.guard, endpoint)
    }

    /// One try. Whatever happens is an answer.
    pub(super) async fn send(&self, sending: Sending<'_>) -> Sent {
        let (at_ms, started) = (now_ms(), Instant::now());
        let mut sent = Sent {
            attempt: Attempt {
                at_ms,
                duration_ms: 0,
                endpoint: shown_endpoint(&sending.hook.endpoint).to_owned(),
                request_bytes: 0,
                code: None,
                answer: None,
                error: None,
            },
            delivered: false,
            retry_after: None,
        };
        if let Err(error) = self.exchange(&sending, started, &mut sent).await {
            sent.attempt.error = Some(storable(&error));
        }
        let took = started.elapsed().as_millis();
        sent.attempt.duration_ms = i64::try_from(took).unwrap_or(i64::MAX);
        sent
    }

    async fn exchange(
        &self,
        sending: &Sending<'_>,
        started: Instant,
        sent: &mut Sent,
    ) -> Result<(), String> {
        let url = Url::parse(&sending.hook.endpoint).map_err(|error| error.to_string())?;
        self.guard.check(&url).map_err(|error| error.to_string())?;
        let pieces = pieces(sending);
        let length: usize = pieces.iter().map(Bytes::len).sum();
        sent.attempt.request_bytes = i64::try_from(length).unwrap_or(i64::MAX);
        let secret = &sending.hook.secret.0;
        let signature = in_place(length, || {
            let [front, document, back] = &pieces;
            sign(secret, &[front, document, back])
        });
        let request = self
            .client(&url)?
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, length)
            .header("x-npm-signature", signature)
            .header(DELIVERY_HEADER, &sending.delivery)
            .body(body(pieces, length));
        let deadline = started + self.timeout;
        let in_time = timeout_at(deadline, request.send()).await;
        let silent = || format!("no answer within {} ms", self.timeout.as_millis());
        let mut response = in_time.map_err(|_| silent())?.map_err(|error| failed(&error))?;
        let status = response.status();
        sent.attempt.code = Some(i64::from(status.as_u16()));
        sent.delivered = status.is_success();
        sent.retry_after = retry_after(&response);
        let answer = timeout_at(deadline, beginning(&mut response)).await.unwrap_or_default();
        sent.attempt.answer = Some(answer).filter(|answer| !answer.is_empty());
        match status.as_u16() {
            200..=299 => Ok(()),
            code @ 300..=399 => Err(format!("answered {code}; redirects are not followed")),
            code => Err(format!("answered {code}")),
        }
    }

    fn client(&self, url: &Url) -> Result<&Client, String> {
        if url.scheme() != "https" {
            return Ok(&self.plain);
        }
        let make = || {
            let ca = self.ca_pem.as_deref().map(tls::read_ca).transpose();
            let tls = ca.and_then(|ca| tls::system(ca.unwrap_or_default()));
            client(&self.guard, tls.map_err(|error| error.to_string())?, self.timeout)
        };
        self.secure.get_or_init(|| in_place(usize::MAX, make)).as_ref().map_err(Clone::clone)
    }
}

/// The same where no engine runs.
///
/// # Errors
/// [`RefusedEndpoint`] says why not.
pub fn check_endpoint(settings: &HookSettings, endpoint: &str) -> Result<(), RefusedEndpoint> {
    let allowed = settings.allow_private.clone();
    check(&HookGuard::new(allowed, system_lookup()), endpoint)
}

fn check(guard: &HookGuard, endpoint: &str) -> Result<(), RefusedEndpoint> {
    let malformed = |_| RefusedEndpoint::Malformed("it is no web address");
    guard.check(&Url::parse(endpoint).map_err(malformed)?)
}

fn client(
    guard: &Arc<HookGuard>,
    tls: rustls::ClientConfig,
    timeout: Duration,
) -> Result<Client, String> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .dns_resolver(GuardedResolver(Arc::clone(guard)))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(timeout)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_only()
        .no_proxy() // a proxy would resolve names where nobody guards
        .build()
        .map_err(|error| failed(&error))
}

/// What stands before the document, the document, and what stands behind it.
fn pieces(sending: &Sending<'_>) -> [Bytes; 3] {
    let text = HookBody {
        event: sending.event,
        change_json: sending.change_json,
        name: sending.package,
        owner: &sending.hook.owner,
        at_ms: sending.at_ms,
        delivery: &sending.delivery,
    };
    let (front, back) = text.around();
    [front.into(), sending.payload.json(), back.into()]
}

fn body(pieces: [Bytes; 3], length: usize) -> reqwest::Body {
    if length <= COPIED_BYTES {
        return pieces.concat().into();
    }
    reqwest::Body::wrap_stream(stream::iter(pieces.map(Ok::<Bytes, Infallible>)))
}

fn retry_after(response: &Response) -> Option<Duration> {
    if !matches!(response.status().as_u16(), 429 | 500..=599) {
        return None;
    }
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    parse_retry_after(value, SystemTime::now(), LONGEST_RETRY_AFTER)
}

/// The beginning of an answer. One that breaks off has said what counts in its first line.
async fn beginning(response: &mut Response) -> String {
    let (mut kept, mut read) = (Vec::new(), 0);
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        let room = (KEPT_CHARS * 4).saturating_sub(kept.len()).min(chunk.len());
        kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
        if read > READ_BYTES {
            break;
        }
    }
    storable(&String::from_utf8_lossy(&kept))
}

/// What came from outside, as it may be stored and shown: of bounded length, without controls.
fn storable(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' | '\t' => character,
        control if control.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    text.chars().take(KEPT_CHARS).map(shown).collect()
}

/// Why there was no answer, without the address, which may hold a secret.
fn failed(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<RefusedEndpoint>() {
            return refused.to_string();
        }
        causes.push(cause.to_string());
        source = cause.source();
    }
    if causes.is_empty() { String::from("the request failed") } else { causes.join(": ") }
}
