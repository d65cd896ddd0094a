//! The wire of [`super::upstream::FakeUpstream`]: HTTP/1.1 by hand, so that answers can be wrong.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::upstream::{Asked, Fault, Page, Responder, Shared};

/// Serves until `stopped` resolves, then cuts every connection.
pub(super) fn run(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime for the fake upstream");
    runtime.block_on(async move {
        listener.set_nonblocking(true).expect("a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a bound socket");
        let accepting = async {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    shared.state.lock().open_connections += 1;
                    // A client that goes away is nothing to report.
                    let _ = serve(stream, &shared).await;
                    shared.state.lock().open_connections -= 1;
                });
            }
        };
        tokio::select! {
            () = accepting => {}
            _ = stopped => {}
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

async fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read_request(&mut stream).await? {
        let (page, responder, fault) = note(shared, &asked);
        let healthy = || match &responder {
            Some(responder) => responded(responder, &asked.query),
            None => usual(&asked, page.clone()),
        };
        if !answer(stream.get_mut(), healthy, fault).await? {
            return stream.get_mut().shutdown().await;
        }
    }
    Ok(())
}

/// Reads one request.
async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Asked>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let target = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or("/").to_owned();
    // a proxy passes on the whole address
    let target = match target.strip_prefix("http://").and_then(|rest| rest.find('/')) {
        Some(at) => target["http://".len() + at..].to_owned(),
        None => target,
    };
    let (raw_path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (raw_path, query) = (raw_path.to_owned(), query.to_owned());
    let path = percent_decode_str(&raw_path).decode_utf8_lossy().into_owned();
    let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let headers: Vec<(String, String)> = headers.collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    Ok(Some(Asked { path, raw_path, query, headers, body: body.into() }))
}

/// Writes the request down and finds what to answer.
fn note(shared: &Shared, asked: &Asked) -> (Option<Page>, Option<Responder>, Option<Fault>) {
    let mut state = shared.state.lock();
    state.asked.push(asked.clone());
    let total = state.asked.len();
    if let Some(hook) = &mut state.hook {
        hook(total, asked);
    }
    let page = state.pages.get(&asked.path).cloned();
    let responder = state.responders.get(&asked.path).cloned();
    let fault = state.faults.get_mut(&asked.path).and_then(|queue| {
        let (fault, left) = queue.front_mut()?;
        let fault = fault.clone();
        *left = left.saturating_sub(1);
        if *left == 0 {
            queue.pop_front();
        }
        Some(fault)
    });
    drop(state);
    shared.changed.send_modify(|asked| *asked += 1);
    (page, responder, fault)
}

/// Writes one answer; `false` when the connection is to be closed.
async fn answer(
    stream: &mut TcpStream,
    healthy: impl Fn() -> (String, Bytes),
    fault: Option<Fault>,
) -> std::io::Result<bool> {
    if let Some(Fault::Wait(mut gate)) = fault.clone() {
        // An error means that the test let go of its sender: open as well.
        let _ = gate.wait_for(|open| *open).await;
    }
    let (head, body) = match &fault {
        Some(Fault::Raw(bytes)) => {
            stream.write_all(bytes).await?;
            return Ok(false);
        }
        Some(Fault::Answer { status, headers, body }) => {
            (head(*status, headers, body.len()), body.clone())
        }
        _ => healthy(),
    };
    match fault {
        Some(Fault::Cut { after }) => {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.get(..after).unwrap_or(&body)).await?;
            return Ok(false);
        }
        Some(Fault::Stall { after }) => {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.get(..after).unwrap_or(&body)).await?;
            stream.flush().await?;
            std::future::pending::<()>().await;
        }
        Some(Fault::Drip { pause }) => {
            stream.write_all(head.as_bytes()).await?;
            for piece in body.chunks(1024) {
                stream.write_all(piece).await?;
                tokio::time::sleep(pause).await;
            }
        }
        _ => {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
        }
    }
    Ok(true)
}

/// The rest of a page from a byte on, asked for under the strong validator it has.
fn part(asked: &Asked, page: &Page) -> Option<(String, Bytes)> {
    let etag = page.etag.as_ref().filter(|etag| etag.starts_with('"'))?;
    let from: usize =
        asked.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?;
    if asked.header("if-range") != Some(etag) || from >= page.body.len() {
        return None;
    }
    let (last, total) = (page.body.len() - 1, page.body.len());
    let headers = [
        ("content-range".to_owned(), format!("bytes {from}-{last}/{total}")),
        ("etag".to_owned(), etag.clone()),
    ];
    let body = page.body.slice(from..);
    Some((head(206, &headers, body.len()), body))
}

/// The answer that a responder makes of a query.
fn responded(responder: &Responder, query: &str) -> (String, Bytes) {
    let (status, body) = responder(query);
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    (head(status, &headers, body.len()), body)
}

/// The answer of a healthy registry.
fn usual(asked: &Asked, page: Option<Page>) -> (String, Bytes) {
    let Some(page) = page else {
        let body = Bytes::from_static(b"{\"error\":\"not_found\"}");
        return (head(404, &[], body.len()), body);
    };
    let mut headers = vec![("content-type".to_owned(), page.content_type.to_owned())];
    if let Some(etag) = &page.etag {
        headers.push(("etag".to_owned(), etag.clone()));
        if asked.header("if-none-match") == Some(etag) {
            return (head(304, &headers, 0), Bytes::new());
        }
    }
    let wants_gzip = asked.header("accept-encoding").is_some_and(|value| value.contains("gzip"));
    if let Some(part) = part(asked, &page) {
        return part;
    }
    match page.gzipped {
        Some(body) if wants_gzip => {
            headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
            (head(200, &headers, body.len()), body)
        }
        _ => (head(200, &headers, page.body.len()), page.body),
    }
}

fn head(status: u16, headers: &[(String, String)], length: usize) -> String {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| name == "content-length") && status != 304 {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head
}
