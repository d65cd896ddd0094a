//! Logs as Server-Sent Events: nothing twice, nothing lost, whatever happens to the connection.

use std::time::Duration;

use store::{TaskId, TaskState};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{kept_busy, options, package};
use crate::harness::{TestMirror, until};

/// One event as a browser sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub name: String,
    pub id: String,
    pub data: String,
}

/// A reader of events.
pub(super) struct Follower {
    /// How often the mirror said that it is still there.
    pub heartbeats: usize,
    connection: TcpStream,
    raw: Vec<u8>,
    text: String,
    in_body: bool,
}

impl Follower {
    pub async fn start(mirror: &TestMirror, name: &str, id: TaskId, after: &str) -> Self {
        let target = format!("/-/package/{name}/syncs/{id}/log/stream");
        let request = mirror.get(&target);
        let request =
            if after.is_empty() { request } else { request.header("last-event-id", after) };
        let connection = request.open().await;
        Self { heartbeats: 0, connection, raw: vec![], text: String::new(), in_body: false }
    }

    /// The next event; none at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.take() {
                return Some(event);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// Waits until the mirror has said so often that it is still there; the lines that came
    /// meanwhile.
    pub async fn heartbeats(&mut self, times: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while self.heartbeats < times {
            match self.take() {
                Some(event) => lines.push(event.data),
                None => assert!(self.read().await, "the stream ended"),
            }
        }
        lines
    }

    /// The next event that has arrived.
    fn take(&mut self) -> Option<Event> {
        while let Some((event, rest)) = self.text.split_once("\n\n") {
            self.heartbeats += usize::from(event.starts_with(':'));
            let event = parse(event);
            self.text = rest.to_owned();
            if event != Event::default() {
                return Some(event);
            }
        }
        None
    }

    /// Reads more; `false` at the end of the stream.
    async fn read(&mut self) -> bool {
        let read = self.connection.read_buf(&mut self.raw);
        let read = tokio::time::timeout(Duration::from_secs(60), read).await;
        let read = read.expect("an event within a minute").unwrap_or(0);
        self.unpack();
        read > 0
    }

    /// Moves whole chunks into the text.
    fn unpack(&mut self) {
        if !self.in_body {
            let end = self.raw.windows(4).position(|window| window == b"\r\n\r\n");
            let Some(end) = end else { return };
            let head = String::from_utf8_lossy(&self.raw[..end]).to_lowercase();
            assert!(head.starts_with("http/1.1 200"), "{head}");
            assert!(head.contains("content-type: text/event-stream"), "{head}");
            self.raw.drain(..end + 4);
            self.in_body = true;
        }
        while let Some(line) = self.raw.windows(2).position(|window| window == b"\r\n") {
            let size = std::str::from_utf8(&self.raw[..line]).expect("a size");
            let size = usize::from_str_radix(size, 16).expect("a size");
            let Some(chunk) = self.raw.get(line + 2..line + 2 + size) else { return };
            if self.raw.len() < line + 4 + size {
                return;
            }
            self.text.push_str(std::str::from_utf8(chunk).expect("whole lines"));
            self.raw.drain(..line + 4 + size);
        }
    }

    /// Lines until one holds this text, with the id of the last.
    pub async fn until(&mut self, wanted: &str) -> (Vec<String>, String) {
        let mut lines = Vec::new();
        while let Some(event) = self.next().await {
            if event.name.is_empty() {
                lines.push(event.data);
            }
            if lines.last().is_some_and(|line| line.contains(wanted)) {
                return (lines, event.id);
            }
        }
        panic!("no {wanted} in {lines:?}");
    }

    /// All lines to the end, and the last event.
    pub async fn rest(mut self) -> (Vec<String>, Event) {
        let (mut lines, mut last) = (Vec::new(), Event::default());
        while let Some(event) = self.next().await {
            if event.name.is_empty() {
                lines.push(event.data.clone());
            }
            last = event;
        }
        (lines, last)
    }
}

fn parse(text: &str) -> Event {
    let mut event = Event::default();
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("event", value)) => event.name = value.to_owned(),
            Some(("id", value)) => event.id = value.to_owned(),
            Some(("data", value)) => event.data = value.to_owned(),
            _ => {}
        }
    }
    event
}

fn lines(log: &str) -> Vec<&str> {
    log.lines().collect()
}

#[tokio::test]
async fn readers_follow_a_task_from_its_first_line_to_its_end() {
    let lamp = package("lamp");
    let mirror = TestMirror::with(std::slice::from_ref(&lamp)).await;
    let gate = mirror.upstream.gate(&lamp.tarball_path("1.0.0"));
    let id = mirror.enqueue(&["lamp"], &options()).await[0].id;
    let mut early = Follower::start(&mirror, "lamp", id, "").await;
    let (mut seen, last) = early.until("latest version: 1.0.0").await;
    assert_eq!(mirror.task(id).await.state, TaskState::Processing, "it came while it ran");
    let late = Follower::start(&mirror, "lamp", id, &last).await;
    drop(gate);
    let (rest, end) = early.rest().await;
    assert_eq!(end.name, "end");
    assert_eq!(end.data, "{\"error\":null,\"state\":\"success\"}");
    assert_eq!(late.rest().await.0, rest, "who comes later goes on where it says");
    seen.extend(rest);
    let log = mirror.log(id).await;
    assert_eq!(seen, lines(&log));
    let whole = Follower::start(&mirror, "lamp", id, "").await.rest().await;
    assert_eq!(whole.0, seen, "and all of it is there afterwards");
    assert_eq!(whole.1, end);
    let target = format!("/-/package/lamp/syncs/{id}/log/stream");
    let over = mirror.get(&target).header("last-event-id", &end.id).send().await.expect(204);
    assert!(over.body.is_empty(), "a browser does not come back");
    mirror.finish().await;
}

#[tokio::test]
async fn a_reader_that_comes_back_at_every_line_sees_each_line_once() {
    let mirror = TestMirror::with(&[package("lamp")]).await;
    let id = mirror.sync(&["lamp"]).await[0].id;
    let (mut seen, mut last) = (Vec::new(), String::new());
    loop {
        let mut follower = Follower::start(&mirror, "lamp", id, &last).await;
        let event = follower.next().await.expect("an event");
        if event.name == "end" {
            break;
        }
        (seen, last) = ([seen, vec![event.data]].concat(), event.id);
    }
    assert_eq!(seen, lines(&mirror.log(id).await));
    mirror.finish().await;
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_task_loses_and_doubles_no_line() {
    let lamp = package("lamp");
    let mut mirror = TestMirror::builder()
        .packages(std::slice::from_ref(&lamp))
        .serve(|settings| settings.stop_grace = Duration::from_millis(200))
        .start()
        .await;
    let gate = mirror.upstream.gate(&lamp.tarball_path("1.0.0"));
    let id = mirror.enqueue(&["lamp"], &options()).await[0].id;
    let mut follower = Follower::start(&mirror, "lamp", id, "").await;
    let (mut seen, mut last) = follower.until("latest version: 1.0.0").await;
    mirror.restart().await;
    while let Some(event) = follower.next().await {
        assert_ne!(event.name, "end", "the task goes on");
        if event.name.is_empty() {
            (seen, last) = ([seen, vec![event.data]].concat(), event.id);
        }
    }
    drop(gate);
    let follower = Follower::start(&mirror, "lamp", id, &last).await;
    let (rest, end) = follower.rest().await;
    assert_eq!(end.data, "{\"error\":null,\"state\":\"success\"}");
    seen.extend(rest);
    let log = mirror.log(id).await;
    assert_eq!(seen, lines(&log));
    let starts = seen.iter().filter(|line| line.contains("] 🚧 🚧🚧🚧🚧")).count();
    assert!(starts >= 2, "both tries are in it: {log}");
    mirror.finish().await;
}

#[tokio::test]
async fn a_reader_of_a_waiting_task_sees_its_place_and_then_its_lines() {
    let (mirror, gate, _) = kept_busy(&["lamp"]).await;
    let id = mirror.enqueue(&["lamp"], &options()).await[0].id;
    let mut follower = Follower::start(&mirror, "lamp", id, "").await;
    let event = follower.next().await.expect("an event");
    assert_eq!(event.name, "place");
    let place = event.data.strip_prefix("place ").and_then(|place| place.parse().ok());
    assert!(place.is_some_and(|place: u32| place >= 1), "{event:?}");
    assert_eq!(event.id, "", "a place is no position");
    drop(gate);
    let (seen, end) = follower.rest().await;
    assert_eq!(end.name, "end");
    assert_eq!(seen, lines(&mirror.log(id).await));
    mirror.finish().await;
}

#[tokio::test]
async fn a_cancelled_task_ends_its_stream_and_a_retried_one_goes_on() {
    let lamp = package("lamp");
    let mirror = TestMirror::with(std::slice::from_ref(&lamp)).await;
    let gate = mirror.upstream.gate(&lamp.tarball_path("1.0.0"));
    let id = mirror.enqueue(&["lamp"], &options()).await[0].id;
    let mut follower = Follower::start(&mirror, "lamp", id, "").await;
    let (mut seen, _) = follower.until("latest version: 1.0.0").await;
    assert!(mirror.engine().cancel(id).await.expect("a queue"));
    let (rest, end) = follower.rest().await;
    assert_eq!(end.data, "{\"error\":\"cancelled\",\"state\":\"error\"}");
    seen.extend(rest);
    assert_eq!(seen, lines(&mirror.log(id).await));
    drop(gate);
    assert!(mirror.engine().retry(id).await.expect("a queue"));
    let (rest, end) = Follower::start(&mirror, "lamp", id, &end.id).await.rest().await;
    assert_eq!(end.data, "{\"error\":null,\"state\":\"success\"}");
    seen.extend(rest);
    assert_eq!(seen, lines(&mirror.log(id).await));
    mirror.finish().await;
}

#[tokio::test]
async fn a_reader_that_leaves_gives_its_place_back() {
    let (mirror, gate, busy) = kept_busy(&["lamp"]).await;
    let mut followers = Vec::new();
    let target = format!("/-/package/busy/syncs/{busy}/log/stream");
    for _ in 0..256 {
        let mut follower = Follower::start(&mirror, "busy", busy, "").await;
        follower.next().await.expect("a line");
        followers.push(follower);
    }
    let full = mirror.get(&target).send().await.expect(503);
    assert!(full.error().contains("too many readers"), "{}", full.error());
    full.must("retry-after");
    followers.clear();
    until("a free place", || async {
        let mut follower = Follower::start(&mirror, "busy", busy, "").await;
        let mut head = [0_u8; 12];
        follower.connection.read_exact(&mut head).await.ok()?;
        (&head == b"HTTP/1.1 200").then_some(())
    })
    .await;
    drop(gate);
    mirror.finish().await;
}
