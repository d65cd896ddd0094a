//! A bucket on loopback that speaks as much S3 as keeping tarballs needs: put, get, head.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;

type Objects = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// The bucket; it ends with the test's process.
pub struct FakeBucket {
    objects: Objects,
    address: SocketAddr,
}

impl FakeBucket {
    /// Starts an empty one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let objects = Objects::default();
        let shared = Arc::clone(&objects);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let objects = Arc::clone(&shared);
                // A client that goes away, or is killed, is nothing to report.
                std::thread::spawn(move || serve(&stream, &objects));
            }
        });
        Self { objects, address }
    }

    /// Its address, as `storage.endpoint` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many objects it holds.
    pub fn len(&self) -> usize {
        self.objects.lock().len()
    }
}

fn serve(stream: &TcpStream, objects: &Objects) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let header = |name: &str| {
            head.iter().skip(1).find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut words = head.first().map_or("", String::as_str).split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let answer = answer(objects, method, path, header("range").as_deref(), body);
        (&*stream).write_all(&answer)?;
    }
}

const FACTS: &str = "etag: \"fixed\"\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n";

fn answer(
    objects: &Objects,
    method: &str,
    path: &str,
    range: Option<&str>,
    body: Vec<u8>,
) -> Vec<u8> {
    let mut objects = objects.lock();
    let found = objects.get(path).cloned();
    match (method, found) {
        ("PUT", _) => {
            objects.insert(path.to_owned(), body);
            format!("HTTP/1.1 200 OK\r\n{FACTS}content-length: 0\r\n\r\n").into_bytes()
        }
        (_, None) => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ("HEAD", Some(object)) => {
            format!("HTTP/1.1 200 OK\r\n{FACTS}content-length: {}\r\n\r\n", object.len())
                .into_bytes()
        }
        (_, Some(object)) => {
            let (first, last) = part(range, object.len());
            let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
            let head = format!(
                "HTTP/1.1 {status}\r\n{FACTS}content-range: bytes {first}-{}/{}\r\n\
                 content-length: {}\r\n\r\n",
                last.saturating_sub(1),
                object.len(),
                last - first
            );
            [head.as_bytes(), &object[first..last]].concat()
        }
    }
}

/// `bytes=first-last` as a half-open range within the object.
fn part(range: Option<&str>, length: usize) -> (usize, usize) {
    let bounds = range.and_then(|text| text.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = bounds else { return (0, length) };
    let first = first.parse().unwrap_or(0).min(length);
    (first, last.parse::<usize>().map_or(length, |last| (last + 1).min(length)))
}
