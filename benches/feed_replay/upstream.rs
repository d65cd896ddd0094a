//! A registry of 4.6 million names with a changes feed, made up as it is asked.
//!
//! Nothing is kept but which names changed: a document follows from its name and how often the
//! name changed, a tarball is one of a few beginnings and its own name.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::OnceLock;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use espejo::simulated::random::Random;
use parking_lot::Mutex;
use sha2::{Digest, Sha512};

/// Names of the upstream, as npm has in late 2026.
const NAMES: u64 = 4_600_000;
/// Names that publish all day; measured: four of five numbers are theirs.
const BUSY: u64 = 3_000;
/// Numbers that fall on any other name, of a hundred.
const ANY_PERCENT: u64 = 20;
/// One row in this many says that a name is gone.
const DELETED_ONE_IN: u64 = 18_000;
/// Tarball sizes at every tenth of the distribution, as measured on real packages.
const TARBALLS: [usize; 10] =
    [400, 1_000, 1_900, 3_000, 4_600, 6_700, 9_800, 16_000, 28_000, 65_000];
/// Of the logarithm of a document's bytes: mean 54 KB.
const DOCUMENT_MU: f64 = 9.22;
const DOCUMENT_SIGMA: f64 = 1.83;
/// Larger ones are as rare as they are slow to make.
const LARGEST_DOCUMENT: f64 = 4_000_000.0;
/// What documents are filled up with.
const PADDING: &str = "A generated readme that says nothing, at some length. ";

/// The name with this number; neighbours in number are far apart in key order.
pub fn name(number: u64) -> String {
    format!("replay-{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Adds so many numbers to the feed.
pub async fn add(url: &str, count: u64) {
    get(&format!("{url}/-/add?{count}")).await;
}

/// Adds rows of so many different names.
pub async fn add_distinct(url: &str, count: u64) {
    get(&format!("{url}/-/add-distinct?{count}")).await;
}

/// Repeats every row under a new number; no document changes.
pub async fn repeat(url: &str) {
    get(&format!("{url}/-/repeat")).await;
}

/// The newest number of the feed.
pub async fn head(url: &str) -> i64 {
    let root: serde_json::Value = serde_json::from_str(&get(url).await).unwrap();
    root.get("update_seq").and_then(serde_json::Value::as_i64).unwrap()
}

async fn get(url: &str) -> String {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client = CLIENT.get_or_init(reqwest::Client::new);
    client.get(url).send().await.unwrap().text().await.unwrap()
}

/// Serves until standard input closes; says its address first.
pub fn serve() {
    let tarballs: Vec<Tarball> = TARBALLS.iter().map(|&bytes| Tarball::new(bytes)).collect();
    let registry = web::Data::new(Registry { feed: Mutex::new(Feed::new()), tarballs });
    std::thread::spawn(|| {
        let mut end = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut end);
        std::process::exit(0);
    });
    actix_web::rt::System::new()
        .block_on(async move {
            let app =
                move || App::new().app_data(registry.clone()).default_service(web::to(answer));
            let server =
                HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0))?;
            println!("http://{}", server.addrs().first().expect("an address"));
            server.run().await
        })
        .unwrap();
}

struct Registry {
    feed: Mutex<Feed>,
    tarballs: Vec<Tarball>,
}

/// The beginning of many tarballs; each ends with its own name, so that none equals another.
struct Tarball {
    beginning: Vec<u8>,
    hashed: Sha512,
}

impl Tarball {
    fn new(bytes: usize) -> Self {
        let beginning = Random::new(bytes as u64).bytes(bytes);
        let hashed = Sha512::new_with_prefix(&beginning);
        Self { beginning, hashed }
    }

    fn integrity(&self, own: &str) -> String {
        let digest = self.hashed.clone().chain_update(own).finalize();
        format!("sha512-{}", STANDARD.encode(digest))
    }
}

struct Feed {
    random: Random,
    head: i64,
    rows: BTreeMap<i64, (u64, bool)>,
    /// The newest number of a name, and how often it changed.
    names: HashMap<u64, (i64, u64)>,
}

impl Feed {
    fn new() -> Self {
        Self { random: Random::new(1), head: 0, rows: BTreeMap::new(), names: HashMap::new() }
    }

    fn add(&mut self, count: u64) {
        for _ in 0..count {
            let any = self.random.between(0, 100) < ANY_PERCENT;
            let number = self.random.between(0, if any { NAMES } else { BUSY });
            // squared: some of the busy ones are far busier
            let number = if any { number } else { number * number / BUSY };
            let deleted = any && self.random.between(0, DELETED_ONE_IN) == 0;
            self.head += 1;
            let head = self.head;
            let known = self.names.entry(number).or_insert((0, 0));
            self.rows.remove(&known.0);
            *known = (head, known.1 + 1);
            self.rows.insert(head, (number, deleted));
        }
    }

    /// The backlog of an outage: every number another name.
    fn add_distinct(&mut self, count: u64) {
        for number in 0..count {
            self.head += 5;
            let number = number * (NAMES / count.max(1)).max(1);
            self.rows.insert(self.head, (number, false));
            self.names.insert(number, (self.head, 1));
        }
    }

    /// Every name anew, as after a change of the upstream's back end.
    fn repeat(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        for (number, deleted) in rows.into_values() {
            self.head += 1;
            self.rows.insert(self.head, (number, deleted));
            if let Some(known) = self.names.get_mut(&number) {
                known.0 = self.head;
            }
        }
    }

    fn page(&self, since: i64, limit: usize) -> String {
        let mut text = String::from("{\"results\":[");
        let mut last = since;
        for (seq, (number, deleted)) in self.rows.range(since + 1..).take(limit) {
            let comma = if last == since { "" } else { ",\n" };
            let rev = self.names.get(number).map_or(0, |known| known.1);
            let gone = if *deleted { ",\"deleted\":true" } else { "" };
            let id = name(*number);
            write!(
                text,
                "{comma}{{\"seq\":{seq},\"id\":\"{id}\",\"changes\":[{{\"rev\":\"{rev}-0\"}}]{gone}}}"
            )
            .unwrap();
            last = *seq;
        }
        write!(text, "],\"last_seq\":{last}}}").unwrap();
        text
    }
}

async fn answer(request: HttpRequest, registry: web::Data<Registry>) -> HttpResponse {
    let path = request.path().trim_start_matches('/');
    match path {
        "" => {
            HttpResponse::Ok().json(serde_json::json!({ "update_seq": registry.feed.lock().head }))
        }
        "_changes" => {
            let query = request.query_string();
            let number = |key: &str| {
                let pair = query.split('&').find_map(|pair| pair.strip_prefix(key));
                pair.and_then(|value| value.parse::<i64>().ok()).unwrap_or(0)
            };
            let limit = usize::try_from(number("limit=")).unwrap_or(0);
            let page = registry.feed.lock().page(number("since="), limit);
            HttpResponse::Ok().content_type("application/json").body(page)
        }
        "-/add" => {
            registry.feed.lock().add(request.query_string().parse().unwrap_or(0));
            HttpResponse::Ok().finish()
        }
        "-/add-distinct" => {
            registry.feed.lock().add_distinct(request.query_string().parse().unwrap_or(0));
            HttpResponse::Ok().finish()
        }
        "-/repeat" => {
            registry.feed.lock().repeat();
            HttpResponse::Ok().finish()
        }
        _ => match path.strip_prefix("t/") {
            Some(place) => tarball(&registry, place),
            None => document(&registry, path, &request),
        },
    }
}

fn tarball(registry: &Registry, place: &str) -> HttpResponse {
    let own = place.strip_suffix(".tgz").and_then(|place| place.split_once('-'));
    let found = own
        .and_then(|(place, own)| Some((registry.tarballs.get(place.parse::<usize>().ok()?)?, own)));
    match found {
        Some((tarball, own)) => {
            HttpResponse::Ok().body([&tarball.beginning, own.as_bytes()].concat())
        }
        None => HttpResponse::NotFound().finish(),
    }
}

fn document(registry: &Registry, name: &str, request: &HttpRequest) -> HttpResponse {
    let Some(hash) = name.strip_prefix("replay-").and_then(|hex| u64::from_str_radix(hex, 16).ok())
    else {
        return HttpResponse::NotFound().finish();
    };
    let number = hash.wrapping_mul(INVERSE);
    let rev = registry.feed.lock().names.get(&number).map_or(0, |known| known.1);
    let etag = format!("\"{number}-{rev}\"");
    if request
        .headers()
        .get("if-none-match")
        .is_some_and(|known| known.as_bytes() == etag.as_bytes())
    {
        return HttpResponse::NotModified().insert_header(("etag", etag)).finish();
    }
    let base = request.connection_info().host().to_owned();
    let latest = rev.max(1);
    let mut text = format!(
        "{{\"_id\":\"{name}\",\"_rev\":\"{rev}-0\",\"name\":\"{name}\",\
         \"dist-tags\":{{\"latest\":\"1.{latest}.0\"}},\"versions\":{{"
    );
    for made in 1..=latest {
        let mut random = Random::new(number.wrapping_mul(31) ^ made);
        let place = random.between(0, TARBALLS.len() as u64);
        let tarball = usize::try_from(place).ok().and_then(|place| registry.tarballs.get(place));
        let Some(tarball) = tarball else { return HttpResponse::NotFound().finish() };
        let comma = if made == 1 { "" } else { "," };
        let integrity = tarball.integrity(&format!("{name}-1.{made}.0"));
        write!(
            text,
            "{comma}\"1.{made}.0\":{{\"name\":\"{name}\",\"version\":\"1.{made}.0\",\
             \"dist\":{{\"integrity\":\"{integrity}\",\
             \"tarball\":\"http://{base}/t/{place}-{name}-1.{made}.0.tgz\"}}}}"
        )
        .unwrap();
    }
    text.push_str("},\"readme\":\"");
    let bytes = document_bytes(&mut Random::new(number));
    while text.len() < bytes {
        text.push_str(PADDING);
    }
    text.push_str("\"}");
    HttpResponse::Ok().content_type("application/json").insert_header(("etag", etag)).body(text)
}

/// The number whose product with the factor of [`name`] is 1 (modulo 2^64).
const INVERSE: u64 = inverse(0x9E37_79B9_7F4A_7C15);

/// Newton's iteration doubles the right bits with each round.
const fn inverse(factor: u64) -> u64 {
    let mut inverse = factor;
    let mut round = 0;
    while round < 6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(factor.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

/// A log-normal size.
fn document_bytes(random: &mut Random) -> usize {
    let uniform = |random: &mut Random| (random.between(1, 1 << 53)) as f64 / (1_u64 << 53) as f64;
    let (first, second) = (uniform(random), uniform(random));
    let normal = (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos();
    (DOCUMENT_MU + DOCUMENT_SIGMA * normal).exp().min(LARGEST_DOCUMENT) as usize
}
