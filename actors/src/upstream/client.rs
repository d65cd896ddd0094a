//! One request: limits, breaker, redirects, credentials, and the meaning of status codes.
//!
//! Two HTTP clients per scheme: documents may use HTTP/2, tarballs use HTTP/1.1 on many
//! connections. Neither decompresses, because bytes are stored as they came.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use npm::PackageName;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
    RANGE, RETRY_AFTER,
};
use reqwest::{Method, Request, Response};
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;
use url::Url;

use super::address::{self, AddressGuard, Forbidden, shown};
use super::breaker::{Breaker, Pass};
use super::budget::RequestBudget;
use super::lane::{LargeLane, in_place};
use super::limiter::Limiter;
use super::resolver::{GuardedResolver, Lookup, system_lookup};
use super::status::{Good, Recent};
use super::via::{self, LOOP_HEADER, names_instance};
use super::{
    FeedChoice, Kind, UpstreamError, UpstreamSettings, UpstreamStatus, Urgency, redirect, retry,
    tls,
};

/// Idle connections kept per host; more than the tarballs fetched at once.
const IDLE_CONNECTIONS: usize = 64;

/// Shorter than what common servers keep, so that we close first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

const USER_AGENT: &str = concat!("espejo/", env!("CARGO_PKG_VERSION"));

pub(super) struct Client {
    pub(super) settings: UpstreamSettings,
    pub(super) lane: LargeLane,
    pub(super) breaker: Arc<Breaker>,
    pub(super) recent: Recent,
    base: String,
    authorization: Option<HeaderValue>,
    via: HeaderValue,
    guard: Arc<AddressGuard>,
    limiter: Limiter,
    budget: Option<Arc<RequestBudget>>,
    ca: Vec<CertificateDer<'static>>,
    plain: Pair,
    secure: OnceLock<Result<Pair, UpstreamError>>,
}

/// What an upstream answered to a ping.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Any status; one that knows no ping answers 404.
    pub status: u16,
    /// The upstream's clock.
    pub date: Option<SystemTime>,
    /// Time to the response head.
    pub took: Duration,
}

struct Pair {
    documents: reqwest::Client,
    tarballs: reqwest::Client,
}

impl Client {
    pub(super) fn new(
        settings: UpstreamSettings,
        budget: Option<Arc<RequestBudget>>,
    ) -> Result<Self, UpstreamError> {
        Self::with_lookup(settings, budget, system_lookup())
    }

    pub(super) fn with_lookup(
        settings: UpstreamSettings,
        budget: Option<Arc<RequestBudget>>,
        lookup: Lookup,
    ) -> Result<Self, UpstreamError> {
        let guard = guard(&settings, lookup)?;
        let ca = settings.ca_pem.as_deref().map(tls::read_ca).transpose()?.unwrap_or_default();
        Ok(Self {
            lane: LargeLane::new(),
            breaker: Arc::new(Breaker::new(settings.breaker)),
            recent: Recent::new(),
            base: settings.url.as_str().trim_end_matches('/').to_owned(),
            authorization: authorization(settings.token.as_deref())?,
            via: via::own(&settings.instance_id)?,
            limiter: Limiter::new(settings.rate_per_second, settings.background_rate_per_second),
            budget,
            plain: Pair::new(&tls::none()?, &guard, &settings)?,
            secure: OnceLock::new(),
            ca,
            guard,
            settings,
        })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The address of a package's document.
    pub(super) fn document_url(&self, name: &PackageName) -> Result<Url, UpstreamError> {
        let url = format!("{}/{}", self.base, name.url_path());
        Url::parse(&url).map_err(|error| UpstreamError::BadAddress(format!("{url}: {error}")))
    }

    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.settings.url.origin()
    }

    /// Sends a GET and follows redirects until there is an answer: 200, or 304 or 206 if asked
    /// so.
    pub(super) async fn get(
        &self,
        kind: Kind,
        url: &Url,
        headers: &HeaderMap,
        urgency: Urgency,
    ) -> Result<Response, UpstreamError> {
        if self.settings.offline {
            return Err(UpstreamError::Offline);
        }
        let answer = self.follow(kind, url, headers, urgency).await;
        if let Err(failure) = &answer {
            self.recent.failed(failure);
        }
        answer
    }

    /// One request for the ping address, not judged and not repeated.
    pub(super) async fn probe(&self) -> Result<Probe, UpstreamError> {
        let url = format!("{}/-/ping", self.base);
        let url = Url::parse(&url)
            .map_err(|error| UpstreamError::BadAddress(format!("{url}: {error}")))?;
        let started = Instant::now();
        let response = self.send(Kind::Document, Request::new(Method::GET, url)).await?;
        let date = response.headers().get(DATE).and_then(|value| value.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        Ok(Probe { status: response.status().as_u16(), date, took: started.elapsed() })
    }

    /// Sends a POST with a JSON body, once; a redirect is a failure.
    pub(super) async fn post(
        &self,
        url: &Url,
        body: Bytes,
        urgency: Urgency,
    ) -> Result<Response, UpstreamError> {
        if self.settings.offline {
            return Err(UpstreamError::Offline);
        }
        let mut request = Request::new(Method::POST, url.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.into());
        let answer = async {
            self.guard.check(url).await?;
            self.limiter.admitted(Kind::Document, urgency).await;
            let response = self.send_judged(Kind::Document, request, urgency).await?;
            match redirect::target(url, &response)? {
                Some(_) => Err(redirect::too_many(url)),
                None => Ok(response),
            }
        };
        let answer = answer.await;
        if let Err(failure) = &answer {
            self.recent.failed(failure);
        }
        answer
    }

    async fn follow(
        &self,
        kind: Kind,
        url: &Url,
        headers: &HeaderMap,
        urgency: Urgency,
    ) -> Result<Response, UpstreamError> {
        let mut asked = url.clone();
        for _ in 0..=redirect::MAX_HOPS {
            self.guard.check(&asked).await?;
            self.limiter.admitted(kind, urgency).await;
            let mut request = Request::new(Method::GET, asked.clone());
            *request.headers_mut() = headers.clone();
            let response = self.send_judged(kind, request, urgency).await?;
            match redirect::target(&asked, &response)? {
                Some(next) => asked = next,
                None => return Ok(response),
            }
        }
        Err(redirect::too_many(url))
    }

    /// One exchange and its verdict for the breaker. Other hosts have no say in it: a dead
    /// address in one document does not make the registry rest.
    async fn send_judged(
        &self,
        kind: Kind,
        request: Request,
        urgency: Urgency,
    ) -> Result<Response, UpstreamError> {
        let (url, is_part) = (request.url().clone(), request.headers().contains_key(RANGE));
        let pass = match self.is_own(&url) {
            true => Some(self.breaker.admit()),
            false => None,
        };
        let pass =
            pass.transpose().map_err(|retry_after| UpstreamError::Resting { retry_after })?;
        // last of all: what is taken is asked
        if let Some(budget) = &self.budget {
            budget.take(urgency, self.settings.requests_per_month).await?;
        }
        let answer = match self.send(kind, request).await {
            Ok(response) => self.judge(&url, response, is_part),
            Err(failure) => Err(failure),
        };
        tell(pass, &answer);
        answer
    }

    async fn send(&self, kind: Kind, mut request: Request) -> Result<Response, UpstreamError> {
        let url = request.url().clone();
        let chain = via::chain(&self.via);
        request.headers_mut().insert(HeaderName::from_static(LOOP_HEADER), chain);
        if let Some(token) = self.authorization.as_ref().filter(|_| self.is_own(&url)) {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let pair = self.pair(&url)?;
        let client = if kind == Kind::Document { &pair.documents } else { &pair.tarballs };
        let started = Instant::now();
        self.recent.sent(started);
        let longest = self.settings.connect_timeout + self.settings.first_byte_timeout;
        let response = match tokio::time::timeout(longest, client.execute(request)).await {
            Ok(answer) => answer.map_err(|error| sending_failed(&url, &error))?,
            Err(_) => {
                let waited = longest;
                return Err(UpstreamError::Stalled { what: "the response head", waited });
            }
        };
        let good = match response.status().as_u16() {
            304 => Good::NotModified,
            200 | 206 => Good::Found,
            300..=399 => Good::Redirected,
            _ => return Ok(response), // counted as a failure by its meaning
        };
        self.recent.answered(good, started.elapsed());
        Ok(response)
    }

    /// What a response head means: 200, 304, redirects and a part that was asked for pass,
    /// everything else is an error.
    fn judge(
        &self,
        url: &Url,
        response: Response,
        is_part: bool,
    ) -> Result<Response, UpstreamError> {
        let id = &self.settings.instance_id;
        let mut mirrors = response.headers().get_all(LOOP_HEADER).iter();
        if mirrors.any(|value| names_instance(value.as_bytes(), id)) {
            return Err(UpstreamError::Loop { url: shown(url), instance_id: id.clone() });
        }
        let retry_after = || self.retry_after(&response);
        Err(match response.status().as_u16() {
            200 | 304 | 301 | 302 | 303 | 307 | 308 => return Ok(response),
            206 if is_part => return Ok(response),
            404 => UpstreamError::NotFound,
            508 if let Some(instance_id) = via::refused_by(response.headers()) => {
                UpstreamError::Loop { url: shown(url), instance_id }
            }
            status @ (410 | 451) => UpstreamError::Gone { status },
            429 => UpstreamError::RateLimited { retry_after: retry_after() },
            status @ (408 | 425 | 500..=599) => {
                UpstreamError::Status { status, retry_after: retry_after() }
            }
            status @ 400..=499 => UpstreamError::Refused { status },
            status => UpstreamError::BadBody(format!(
                "{} answered {status}, which is no answer to a GET",
                shown(url)
            )),
        })
    }

    fn retry_after(&self, response: &Response) -> Option<Duration> {
        let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
        retry::parse_retry_after(value, SystemTime::now(), self.settings.retry.retry_after_cap)
    }

    /// The clients for this address; the first https one reads the certificates.
    fn pair(&self, url: &Url) -> Result<&Pair, UpstreamError> {
        let through_tls = url.scheme() == "https"
            || self.settings.proxy.as_ref().is_some_and(|proxy| proxy.scheme() == "https");
        if !through_tls {
            return Ok(&self.plain);
        }
        let make = || Pair::new(&tls::system(self.ca.clone())?, &self.guard, &self.settings);
        self.secure.get_or_init(|| in_place(usize::MAX, make)).as_ref().map_err(Clone::clone)
    }

    pub(super) fn describe(&self) -> UpstreamStatus {
        let (breaker, opens_in) = self.breaker.state();
        let (answers, requests_last_second, p95_ms) = self.recent.read();
        UpstreamStatus {
            name: self.settings.name.clone(),
            url: shown(&self.settings.url),
            offline: self.settings.offline,
            breaker,
            breaker_opens_in_ms: opens_in
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            requests_last_second,
            rate_per_second: self.settings.rate_per_second,
            background_rate_per_second: self.settings.background_rate_per_second,
            p95_ms,
            budget: self
                .budget
                .as_ref()
                .and_then(|budget| budget.describe(self.settings.requests_per_month)),
            large_lane_free: self.lane.free(),
            answers,
        }
    }
}

impl Pair {
    fn new(
        tls: &rustls::ClientConfig,
        guard: &Arc<AddressGuard>,
        settings: &UpstreamSettings,
    ) -> Result<Self, UpstreamError> {
        let build = |protocols: &[&[u8]]| {
            let mut tls = tls.clone();
            tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            let builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .user_agent(USER_AGENT)
                .dns_resolver(GuardedResolver(Arc::clone(guard)))
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(settings.connect_timeout)
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_max_idle_per_host(IDLE_CONNECTIONS)
                .no_proxy(); // the environment has no say, upstream.proxy has
            let builder = match &settings.proxy {
                Some(proxy) => builder.proxy(
                    reqwest::Proxy::all(proxy.clone())
                        .map_err(|error| misconfigured("upstream.proxy", &error))?,
                ),
                None => builder,
            };
            let builder = if protocols.len() == 1 { builder.http1_only() } else { builder };
            builder.build().map_err(|error| misconfigured("HTTP client", &error))
        };
        Ok(Self { documents: build(&[b"h2", b"http/1.1"])?, tarballs: build(&[b"http/1.1"])? })
    }
}

fn tell(pass: Option<Pass>, answer: &Result<Response, UpstreamError>) {
    let Some(pass) = pass else { return };
    match answer {
        Err(failure) if failure.counts_against_breaker() => pass.failed(),
        // neither health nor trouble: the next one may probe
        Err(UpstreamError::RateLimited { .. }) => drop(pass),
        _ => pass.succeeded(),
    }
}

fn guard(settings: &UpstreamSettings, lookup: Lookup) -> Result<Arc<AddressGuard>, UpstreamError> {
    let url = &settings.url;
    let refused =
        |why: &str| UpstreamError::Misconfigured(format!("upstream.url {}: {why}", shown(url)));
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("only http and https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("credentials belong into the token, not into the address"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("a base address has no query and no fragment"));
    }
    let host = url.host().ok_or_else(|| refused("it names no host"))?.to_owned();
    let literal = match host {
        url::Host::Ipv4(address) => Some(address.into()),
        url::Host::Ipv6(address) => Some(address.into()),
        url::Host::Domain(_) => None,
    };
    if literal.is_some_and(address::gives_credentials) {
        return Err(refused("a cloud gives out credentials there, no packages"));
    }
    let proxy = settings.proxy.as_ref().and_then(|proxy| proxy.host_str()).map(str::to_owned);
    let feed = match &settings.feed {
        FeedChoice::At(url) => url.host().map(|host| host.to_owned()),
        FeedChoice::Off | FeedChoice::Auto => None,
    };
    Ok(AddressGuard::new(host, proxy, feed, lookup))
}

fn authorization(token: Option<&str>) -> Result<Option<HeaderValue>, UpstreamError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        let why = "the upstream token holds characters no header may have";
        UpstreamError::Misconfigured(String::from(why))
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn misconfigured(what: &str, error: &reqwest::Error) -> UpstreamError {
    UpstreamError::Misconfigured(format!("{what}: {}", chain(error)))
}

/// A failure before the response head.
fn sending_failed(url: &Url, error: &reqwest::Error) -> UpstreamError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
            return UpstreamError::BadAddress(format!("{}: {forbidden}", shown(url)));
        }
        source = cause.source();
    }
    UpstreamError::Unreachable(format!("{}: {}", shown(url), chain(error)))
}

/// The causes of an error, without the address, which the caller shows its own way.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if text.is_empty() { String::from("request failed") } else { text }
}
