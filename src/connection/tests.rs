use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::crowd::Crowd;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A connection with room for 64 bytes, and its client.
fn connection() -> (Patient<DuplexStream>, DuplexStream) {
    let (ours, theirs) = duplex(64);
    let limits = Limits { head: 10 * SECOND, stall: 30 * SECOND };
    let place = Crowd::new(usize::MAX).enter();
    (Patient::new(ours, place, limits, Arc::default(), |_| ()), theirs)
}

fn refusal(status: &str) -> String {
    let date = "Thu, 01 Jan 1970 00:00:00 GMT";
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\ndate: {date}\r\n\r\n")
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_left_after_its_time() {
    let (mut ours, theirs) = connection();
    let started = tokio::time::Instant::now();
    let error = ours.write_all(&[7; 200]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(started.elapsed(), 30 * SECOND);
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_little_at_a_time_is_left_too() {
    let (mut ours, mut theirs) = connection();
    let client = tokio::spawn(async move {
        let mut taken = 0_u64;
        while let Ok(1) = theirs.read(&mut [0; 1]).await {
            taken += 1;
            tokio::time::sleep(SECOND).await;
        }
        taken
    });
    let started = tokio::time::Instant::now();
    let error = ours.write_all(&[7; 10_000]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(started.elapsed() < 40 * SECOND, "{:?}", started.elapsed());
    drop(ours);
    assert!(client.await.unwrap() >= 30);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_that_keeps_the_least_pace_gets_everything() {
    let (mut ours, mut theirs) = connection();
    let client = tokio::spawn(async move {
        let (mut taken, mut buffer) = (0, [0; 64]);
        loop {
            match theirs.read(&mut buffer).await.unwrap() {
                0 => return taken,
                bytes => taken += bytes,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let started = tokio::time::Instant::now();
    ours.write_all(&[7; 200_000]).await.unwrap();
    ours.flush().await.unwrap();
    assert!(started.elapsed() > 100 * SECOND, "{:?}", started.elapsed());
    drop(ours);
    assert_eq!(client.await.unwrap(), 200_000);
}

/// As the HTTP library does it: reads all there is, then flushes.
async fn read_all(ours: &mut Patient<DuplexStream>) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        ours.flush().await?;
        if ours.read(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_ends_the_connection() {
    let (mut ours, mut theirs) = connection();
    let client = tokio::spawn(async move {
        while theirs.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SECOND).await;
        }
    });
    let started = tokio::time::Instant::now();
    let error = read_all(&mut ours).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(started.elapsed(), 10 * SECOND);
    drop(ours);
    client.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_a_handler_reads_has_no_limit_here() {
    let (mut ours, mut theirs) = connection();
    let heard = ours.heard();
    let client = tokio::spawn(async move {
        theirs.write_all(b"head").await.unwrap();
        for _ in 0..60 {
            tokio::time::sleep(SECOND).await;
            theirs.write_all(b"body").await.unwrap();
        }
    });
    ours.read_exact(&mut [0; 4]).await.unwrap();
    heard.request();
    read_all(&mut ours).await.unwrap();
    client.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn between_requests_only_the_library_keeps_the_time() {
    let (mut ours, mut theirs) = connection();
    let heard = ours.heard();
    for _ in 0..3 {
        theirs.write_all(b"head").await.unwrap();
        ours.read_exact(&mut [0; 4]).await.unwrap();
        heard.request();
        ours.flush().await.unwrap();
        heard.answer();
        ours.write_all(b"answer").await.unwrap();
        ours.flush().await.unwrap();
        theirs.read_exact(&mut [0; 6]).await.unwrap();
        let silence = tokio::time::timeout(60 * SECOND, ours.read(&mut [0; 4])).await;
        assert!(silence.is_err(), "{silence:?}");
    }
}

#[tokio::test]
async fn the_words_of_the_library_become_ours() {
    for (status, code) in [
        ("400 Bad Request", "[BAD_REQUEST] "),
        ("408 Request Timeout", "[REQUEST_TIMEOUT] "),
        ("431 Request Header Fields Too Large", "[REQUEST_HEADER_FIELDS_TOO_LARGE] "),
    ] {
        let (mut ours, mut theirs) = connection();
        let client = tokio::spawn(async move {
            theirs.write_all(b"x").await.unwrap();
            let mut answer = String::new();
            theirs.read_to_string(&mut answer).await.unwrap();
            answer
        });
        ours.read_exact(&mut [0; 1]).await.unwrap();
        ours.write_all(refusal(status).as_bytes()).await.unwrap();
        drop(ours);
        let answer = client.await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let (error, reason) = (body["error"].as_str().unwrap(), body["reason"].as_str().unwrap());
        assert_eq!(error, format!("{code}{reason}"));
    }
}

#[tokio::test]
async fn nothing_else_is_replaced() {
    let bare = refusal("400 Bad Request");
    for (bytes, before) in [
        // the same bytes in the middle of a body: nothing was read since it began
        (bare.clone(), false),
        (bare.replace("content-length: 0", "content-length: 5"), true),
        (bare.replace("connection", "x-request-id: 7\r\nconnection"), true),
        (refusal("404 Not Found"), true),
        (refusal("200 OK"), true),
        (bare.replace("\r\n\r\n", "\r\n"), true),
        (format!("{bare}more"), true),
    ] {
        let (ours, mut theirs) = duplex(1 << 10);
        let limits = Limits { head: SECOND, stall: SECOND };
        let place = Crowd::new(usize::MAX).enter();
        let mut ours = Patient::new(ours, place, limits, Arc::default(), |_| ());
        if before {
            theirs.write_all(b"x").await.unwrap();
            ours.read_exact(&mut [0; 1]).await.unwrap();
        } else {
            ours.write_all(b"x").await.unwrap();
        }
        ours.write_all(bytes.as_bytes()).await.unwrap();
        drop(ours);
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).await.unwrap();
        let answer = if before { answer.as_str() } else { answer.strip_prefix('x').unwrap() };
        assert_eq!(answer, bytes);
    }
}

/// Members of a crowd, each with its client.
struct Member {
    ours: Patient<DuplexStream>,
    theirs: DuplexStream,
}

impl Member {
    fn of(crowd: &Rc<Crowd>) -> Self {
        let (ours, theirs) = duplex(64);
        let limits = Limits { head: 10 * SECOND, stall: 30 * SECOND };
        let ours = Patient::new(ours, crowd.enter(), limits, Arc::default(), |_| ());
        Self { ours, theirs }
    }

    /// What it reads now: `Some(0)` is the end, `None` nothing yet.
    fn reads(&mut self) -> Option<usize> {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.ours).poll_read(&mut context, &mut buffer) {
            Poll::Ready(read) => {
                read.unwrap();
                Some(buffer.filled().len())
            }
            Poll::Pending => None,
        }
    }

    async fn is_asked(&mut self) {
        self.theirs.write_all(b"head").await.unwrap();
        assert_eq!(self.reads(), Some(4));
        self.ours.heard.request();
    }

    async fn answers(&mut self) {
        self.ours.heard.answer();
        self.ours.write_all(b"answer").await.unwrap();
        self.ours.flush().await.unwrap();
        self.theirs.read_exact(&mut [0; 6]).await.unwrap();
    }
}

#[tokio::test]
async fn only_who_is_idle_leaves_and_who_was_longest_goes_first() {
    let crowd = Crowd::new(4);
    let mut all: Vec<_> = (0..3).map(|_| Member::of(&crowd)).collect();
    for member in &mut all {
        assert_eq!(member.reads(), None);
    }
    // the first has asked and waits, the second has begun to, the third was answered
    all[0].is_asked().await;
    all[1].theirs.write_all(b"he").await.unwrap();
    assert_eq!(all[1].reads(), Some(2));
    all[2].is_asked().await;
    all[2].answers().await;
    let mut fourth = Member::of(&crowd);
    assert_eq!(fourth.reads(), None);
    assert_eq!([all[0].reads(), all[1].reads(), all[2].reads()], [None, None, Some(0)]);
    // a place is free by that; with the next one it is taken again
    drop(all.pop());
    let mut fifth = Member::of(&crowd);
    assert_eq!((fourth.reads(), fifth.reads()), (Some(0), None));
    drop(fourth);
    // nobody is idle but who came last; then the first is, too, and has been so longer
    let mut sixth = Member::of(&crowd);
    assert_eq!(fifth.reads(), Some(0));
    drop(fifth);
    sixth.is_asked().await;
    let mut seventh = Member::of(&crowd);
    seventh.is_asked().await;
    assert_eq!([all[0].reads(), all[1].reads(), sixth.reads(), seventh.reads()], [None; 4]);
    all[0].answers().await;
    assert_eq!([all[0].reads(), sixth.reads(), seventh.reads()], [Some(0), None, None]);
}

#[tokio::test]
async fn who_asks_at_the_last_moment_stays_and_another_goes() {
    let crowd = Crowd::new(3);
    let (mut first, mut second) = (Member::of(&crowd), Member::of(&crowd));
    assert_eq!((first.reads(), second.reads()), (None, None));
    let mut third = Member::of(&crowd);
    first.is_asked().await;
    assert_eq!((first.reads(), second.reads()), (None, Some(0)));
    first.answers().await;
    drop(second);
    assert_eq!((first.reads(), third.reads()), (None, None));
}

#[tokio::test]
async fn who_takes_the_last_place_has_time_to_ask() {
    let crowd = Crowd::new(1);
    let mut only = Member::of(&crowd);
    assert_eq!(only.reads(), None);
    only.ours.flush().await.unwrap();
    assert_eq!(only.reads(), None);
    only.is_asked().await;
    only.ours.flush().await.unwrap();
    assert_eq!(only.reads(), None);
    only.answers().await;
    assert_eq!(only.reads(), Some(0), "others may wait");
}

#[tokio::test]
async fn those_who_come_at_once_and_say_nothing_make_room_when_they_are_looked_at() {
    let crowd = Crowd::new(3);
    let mut all: Vec<_> = (0..3).map(|_| Member::of(&crowd)).collect();
    for member in &mut all {
        assert_eq!(member.reads(), None);
        member.ours.flush().await.unwrap();
    }
    assert_eq!([all[0].reads(), all[1].reads(), all[2].reads()], [Some(0), None, None]);
}

#[tokio::test]
async fn what_is_still_being_sent_is_not_idle() {
    let crowd = Crowd::new(2);
    let mut first = Member::of(&crowd);
    first.is_asked().await;
    let body = actix_web::body::BodyStream::new(futures_util::stream::empty::<io::Result<Bytes>>());
    let body = streamed::known(actix_web::body::BoxBody::new(body), &first.ours.heard);
    first.answers().await;
    let second = Member::of(&crowd);
    assert_eq!(first.reads(), None, "a body that has not ended");
    drop(second);
    drop(body);
    // more than the client has room for
    assert!(tokio::time::timeout(SECOND, first.ours.write_all(&[7; 200])).await.is_err());
    let second = Member::of(&crowd);
    assert_eq!(first.reads(), None, "bytes that have not left");
    first.theirs.read_exact(&mut [0; 64]).await.unwrap();
    first.ours.flush().await.unwrap();
    assert_eq!(first.reads(), Some(0));
    drop(second);
}
