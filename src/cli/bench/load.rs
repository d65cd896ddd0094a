//! A load generator for one loopback server: kept connections, one request at a time on each.
//!
//! It writes ready-made bytes and reads heads with `httparse`, because a general client would
//! cost more than the server it measures.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Largest head of an answer.
const HEAD_BYTES: usize = 16 << 10;

/// What a load test measured.
#[derive(Debug, Default)]
pub struct Measured {
    /// Answers with the expected status.
    pub answers: u64,
    /// Everything else.
    pub errors: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// Time to each answer in microseconds, in order of size.
    pub latencies_us: Vec<u32>,
}

impl Measured {
    /// Answers a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        ratio(self.answers, self.took)
    }

    /// Body bytes a second.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        ratio(self.bytes, self.took)
    }

    /// The latency that this share of the answers stayed below, in milliseconds.
    #[must_use]
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let last = self.latencies_us.len().saturating_sub(1);
        let place = (self.latencies_us.len() * percent / 100).min(last);
        self.latencies_us.get(place).map_or(f64::NAN, |us| f64::from(*us) / 1_000.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures are shown with three digits")]
fn ratio(number: u64, took: Duration) -> f64 {
    number as f64 / took.as_secs_f64().max(f64::EPSILON)
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The whole request as bytes.
    pub bytes: Vec<u8>,
    /// The status that counts as an answer.
    pub expected: u16,
}

impl Request {
    /// A `GET` with further headers.
    #[must_use]
    pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)], expected: u16) -> Self {
        let mut text = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        Self { bytes: text.into_bytes(), expected }
    }
}

/// Asks over `connections` connections for `duration`; requests take turns.
#[must_use]
pub fn run(
    address: SocketAddr,
    requests: &[Request],
    connections: usize,
    duration: Duration,
) -> Measured {
    let started = Instant::now();
    let until = started + duration;
    let parts: Vec<Measured> = thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|first| scope.spawn(move || worker(address, requests, first, until)))
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut all = Measured { took: started.elapsed(), ..Measured::default() };
    for part in parts {
        all.answers += part.answers;
        all.errors += part.errors;
        all.bytes += part.bytes;
        all.latencies_us.extend(part.latencies_us);
    }
    all.latencies_us.sort_unstable();
    all
}

fn worker(address: SocketAddr, requests: &[Request], first: usize, until: Instant) -> Measured {
    let mut measured = Measured::default();
    let mut connection = None;
    for request in requests.iter().cycle().skip(first % requests.len().max(1)) {
        if Instant::now() >= until {
            break;
        }
        let started = Instant::now();
        match ask(&mut connection, address, request) {
            Ok((status, bytes)) if status == request.expected => {
                measured.answers += 1;
                measured.bytes += bytes;
                let us = u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX);
                measured.latencies_us.push(us);
            }
            Ok(_) => measured.errors += 1,
            Err(_) => {
                measured.errors += 1;
                connection = None;
            }
        }
    }
    measured
}

/// A kept connection with what was read too far.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

fn ask(
    kept: &mut Option<Connection>,
    address: SocketAddr,
    request: &Request,
) -> io::Result<(u16, u64)> {
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(Connection::open(address)?),
    };
    connection.stream.write_all(&request.bytes)?;
    connection.answer()
}

/// Asks once and returns status, the value of a header, and the length of the body.
///
/// # Errors
/// When the server does not answer.
pub fn ask_once(
    address: SocketAddr,
    request: &Request,
    header: &str,
) -> io::Result<(u16, Option<String>, u64)> {
    let mut connection = Connection::open(address)?;
    connection.stream.write_all(&request.bytes)?;
    let head = connection.head(Some(header))?;
    connection.skip(head.length)?;
    Ok((head.status, head.wanted, head.length))
}

struct Head {
    status: u16,
    length: u64,
    wanted: Option<String>,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self { stream, buffer: vec![0; 64 << 10], filled: 0 })
    }

    fn answer(&mut self) -> io::Result<(u16, u64)> {
        let head = self.head(None)?;
        self.skip(head.length)?;
        Ok((head.status, head.length))
    }

    fn head(&mut self, wanted: Option<&str>) -> io::Result<Head> {
        loop {
            let seen = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some((used, head)) = parse(seen, wanted)? {
                self.buffer.copy_within(used..self.filled, 0);
                self.filled -= used;
                return Ok(head);
            }
            if self.filled > HEAD_BYTES {
                return Err(io::Error::other("the head of the answer does not end"));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        match self.stream.read(room)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.filled += read;
                Ok(())
            }
        }
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let mut left = length;
        loop {
            let here = u64::try_from(self.filled).unwrap_or(u64::MAX).min(left);
            let taken = usize::try_from(here).unwrap_or_default();
            self.buffer.copy_within(taken..self.filled, 0);
            self.filled -= taken;
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }
}

fn parse(bytes: &[u8], wanted: Option<&str>) -> io::Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let used = match response.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(used) => used,
    };
    let status = response.code.unwrap_or_default();
    let find = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok()).map(ToOwned::to_owned)
    };
    let length = match find("content-length") {
        Some(text) => text.parse().map_err(io::Error::other)?,
        None if status == 304 || status == 204 => 0,
        None => return Err(io::Error::other("an answer without content-length")),
    };
    let length = if status == 304 { 0 } else { length };
    Ok(Some((used, Head { status, length, wanted: wanted.and_then(find) })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulated::{CorpusSettings, SimulatedUpstream};

    #[test]
    fn answers_are_counted_and_wrong_ones_are_errors() {
        let upstream = SimulatedUpstream::start(CorpusSettings { seed: 3, packages: 3 }).unwrap();
        let address = upstream.url()["http://".len()..].trim_matches('/').parse().unwrap();
        let right = Request::get(address, "/bench-part-0", &[("accept-encoding", "gzip")], 200);
        let (status, etag, length) = ask_once(address, &right, "etag").unwrap();
        assert!(status == 200 && length > 100);
        let etag = etag.unwrap();
        let unchanged = Request::get(address, "/bench-part-0", &[("if-none-match", &etag)], 304);
        assert_eq!(ask_once(address, &unchanged, "etag").unwrap().0, 304);
        let absent = Request::get(address, "/absent", &[], 200);

        let requests = [right, unchanged, absent];
        let measured = run(address, &requests, 2, Duration::from_millis(50));
        assert!(measured.answers > 0 && measured.errors > 0);
        let latencies = u64::try_from(measured.latencies_us.len()).unwrap();
        assert_eq!(latencies, measured.answers);
        assert!(measured.percentile_ms(50) <= measured.percentile_ms(99));
    }
}
