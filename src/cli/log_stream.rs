//! The log of a task as the running server streams it: Server-Sent Events over the control socket.

use serde::Deserialize;
use store::TaskState;

use super::{
    control::{ControlClient, TextLines, unreadable, went_away},
    problem::Problem,
};

/// What the stream says.
#[derive(Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A line of the log.
    Line(String),
    /// Where the task is in the queue, in words.
    Place(String),
    /// How the task ended; the last event.
    End(LogEnd),
}

/// How a task ended.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct LogEnd {
    /// `success` or `error`.
    pub state: TaskState,
    /// Why it failed.
    pub error: Option<String>,
}

/// Follows the log of one task.
pub struct LogStream {
    lines: TextLines,
    event: Event,
}

impl LogStream {
    /// Starts at the first line of the log.
    ///
    /// # Errors
    /// When there is no such task, too many follow logs already, or the server goes away.
    pub async fn open(client: &ControlClient, id: store::TaskId) -> Result<Self, Problem> {
        let lines = client.text_lines(&format!("tasks/{id}/log/stream")).await?;
        Ok(Self { lines, event: Event::default() })
    }

    /// The next event.
    ///
    /// # Errors
    /// When the server goes away before the task has ended.
    pub async fn next(&mut self) -> Result<LogEvent, Problem> {
        while let Some(line) = self.lines.next().await? {
            if let Some(event) = self.event.line(&String::from_utf8_lossy(&line))? {
                return Ok(event);
            }
        }
        Err(went_away("the task goes on when it starts again"))
    }
}

/// An event whose lines are coming in.
#[derive(Debug, Default)]
struct Event {
    kind: String,
    data: Option<String>,
}

impl Event {
    /// Takes in one line; an empty one ends the event. Positions and comments are left out: nobody
    /// comes back to this stream.
    fn line(&mut self, line: &str) -> Result<Option<LogEvent>, Problem> {
        if line.is_empty() {
            return std::mem::take(self).finish();
        }
        if let Some(kind) = line.strip_prefix("event: ") {
            kind.clone_into(&mut self.kind);
        } else if let Some(data) = line.strip_prefix("data: ") {
            self.data = Some(data.to_owned());
        }
        Ok(None)
    }

    fn finish(self) -> Result<Option<LogEvent>, Problem> {
        let Some(data) = self.data else { return Ok(None) };
        Ok(match self.kind.as_str() {
            "" => Some(LogEvent::Line(data)),
            "place" => Some(LogEvent::Place(data)),
            "end" => {
                let end = serde_json::from_str(&data).map_err(|error| unreadable(&error))?;
                Some(LogEvent::End(end))
            }
            _ => None, // of a newer server
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_a_stream_are_read() {
        let text = "retry: 1000\n\nevent: place\ndata: 2nd in queue\n\n: still here\n\n\
                    id: 7-1\ndata: [t] one: two\n\nevent: new\ndata: x\n\n\
                    event: end\nid: 7-1-end\ndata: {\"error\":null,\"state\":\"success\"}\n\n";
        let mut event = Event::default();
        let events: Vec<_> = text.lines().filter_map(|line| event.line(line).unwrap()).collect();
        let end = LogEnd { state: TaskState::Success, error: None };
        let expected = [
            LogEvent::Place("2nd in queue".into()),
            LogEvent::Line("[t] one: two".into()),
            LogEvent::End(end),
        ];
        assert_eq!(events, expected);
    }
}
