//! Server-Sent Events of a log: their form, and the position that `Last-Event-ID` brings back.

use std::fmt::Write;

use store::TaskState;
use store::tasks::LogPiece;

/// How far a reader is: so many lines of one stored piece and everything before it. Pieces never
/// change, so the position means the same after a restart and on every node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    piece: i64,
    lines: usize,
    ended: bool,
}

impl Position {
    /// Reads `Last-Event-ID`; what is none of ours starts at the beginning, which repeats lines
    /// but loses none.
    #[must_use]
    pub fn parse(id: &str) -> Self {
        Self::try_parse(id).unwrap_or_default()
    }

    fn try_parse(id: &str) -> Option<Self> {
        let (place, ended) = match id.strip_suffix("-end") {
            Some(place) => (place, true),
            None => (id, false),
        };
        let (piece, lines) = place.split_once('-')?;
        Some(Self { piece: piece.parse().ok()?, lines: lines.parse().ok()?, ended })
    }

    /// The id of the first piece that may hold lines not sent yet.
    #[must_use]
    pub fn first_piece(&self) -> i64 {
        self.piece
    }

    /// Whether the reader has seen the end of the task, as far as it was then.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.ended
    }
}

/// Collects events to be sent in one go.
#[derive(Debug, Default)]
pub struct Events {
    text: String,
}

impl Events {
    /// The first bytes: they open the stream and say how soon to come back after a break.
    #[must_use]
    pub fn opening() -> Self {
        Self { text: "retry: 1000\n\n".to_owned() }
    }

    /// One event a line, each with the position behind it as its id.
    pub fn lines(&mut self, piece: &LogPiece, position: &mut Position) {
        if piece.id != position.piece {
            *position = Position { piece: piece.id, lines: 0, ended: false };
        }
        for line in piece.body.lines().skip(position.lines) {
            position.lines += 1;
            position.ended = false;
            let (piece, lines) = (position.piece, position.lines);
            // a line break inside a field would end it
            let line = line.replace('\r', " ");
            let _ = write!(self.text, "id: {piece}-{lines}\ndata: {line}\n\n");
        }
    }

    /// The place in the queue, in words.
    pub fn place(&mut self, place: &str) {
        let _ = write!(self.text, "event: place\ndata: {place}\n\n");
    }

    /// Keeps proxies from thinking that nobody is there.
    pub fn heartbeat(&mut self) {
        self.text.push_str(": still here\n\n");
    }

    /// The last event: how the task ended.
    pub fn end(&mut self, position: &Position, state: TaskState, error: Option<&str>) {
        let data = serde_json::json!({ "state": state.as_str(), "error": error });
        let (piece, lines) = (position.piece, position.lines);
        let _ = write!(self.text, "event: end\nid: {piece}-{lines}-end\ndata: {data}\n\n");
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The bytes to send.
    #[must_use]
    pub fn into_bytes(self) -> bytes::Bytes {
        self.text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(id: i64, body: &str) -> LogPiece {
        LogPiece { id, body: body.into() }
    }

    #[test]
    fn a_reader_goes_on_behind_the_last_line_it_saw() {
        let mut position = Position::default();
        let mut events = Events::default();
        events.lines(&piece(7, "one\ntwo\n"), &mut position);
        events.lines(&piece(9, "three\r\nfour"), &mut position);
        let expected = "id: 7-1\ndata: one\n\nid: 7-2\ndata: two\n\n\
                        id: 9-1\ndata: three\n\nid: 9-2\ndata: four\n\n";
        assert_eq!(events.text, expected);
        let mut again = Position::parse("9-1");
        assert_eq!(again.first_piece(), 9);
        let mut events = Events::default();
        events.lines(&piece(9, "three\r\nfour"), &mut again);
        events.lines(&piece(12, "five\n"), &mut again);
        assert_eq!(events.text, "id: 9-2\ndata: four\n\nid: 12-1\ndata: five\n\n");
        events = Events::default();
        events.lines(&piece(12, "five\n"), &mut again);
        assert!(events.is_empty());
    }

    #[test]
    fn the_end_is_a_position_too_and_nonsense_is_the_beginning() {
        let mut events = Events::default();
        let position = Position::parse("9-2");
        events.end(&position, TaskState::Error, Some("a\nb"));
        let expected =
            "event: end\nid: 9-2-end\ndata: {\"error\":\"a\\nb\",\"state\":\"error\"}\n\n";
        assert_eq!(events.text, expected);
        assert!(Position::parse("9-2-end").is_end() && !position.is_end());
        for id in ["", "x", "1", "1-", "-1-x", "1-2-3", "1-2-ende"] {
            assert_eq!(Position::parse(id), Position::default(), "{id}");
        }
    }
}
