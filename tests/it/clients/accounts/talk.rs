//! Commands that ask questions.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long a command may say nothing before its test gives it up.
const PATIENCE: Duration = Duration::from_secs(240);

/// A started command whose words can be waited for and answered.
pub struct Talk {
    child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    said: String,
    /// What ends an answer.
    enter: &'static str,
}

/// How a command ended.
pub struct Ended {
    pub well: bool,
    pub said: String,
    pub errors: String,
}

impl Ended {
    /// What it said, where it ended well.
    pub fn well(self) -> String {
        assert!(self.well, "{}\n{}", self.said, self.errors);
        self.said
    }

    /// Its errors, where it did not.
    pub fn badly(self) -> String {
        assert!(!self.well, "it ended well: {}", self.said);
        self.errors
    }
}

impl Talk {
    /// Talks through pipes.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let stdout = heard(child.stdout.take().expect("a pipe"));
        let stderr = heard(child.stderr.take().expect("a pipe"));
        Self { child, stdout, stderr, said: String::new(), enter: "\n" }
    }

    /// Talks through a terminal, for those who answer nobody without one; `None`, with a word
    /// about it, where there is no `script` of util-linux that can make one.
    pub fn on_terminal(command: &Command) -> Option<Self> {
        if !has_terminals() {
            eprintln!("left out: there is no `script` of util-linux here that makes a terminal");
            return None;
        }
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let quoted: Vec<_> = words
            .map(|word| format!("'{}'", word.to_str().expect("text").replace('\'', "'\\''")))
            .collect();
        let mut script = script(&quoted.join(" "));
        script.env_clear();
        script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            script.current_dir(folder);
        }
        Some(Self { enter: "\r", ..Self::start(script) })
    }

    /// Reads on until `words` were said and, after them, `end`; what is in between.
    pub fn until(&mut self, words: &str, end: &str) -> String {
        loop {
            let found = self.said.split_once(words).and_then(|(_, rest)| rest.split_once(end));
            if let Some((between, rest)) = found {
                let (between, rest) = (between.to_owned(), rest.to_owned());
                self.said = rest;
                return between;
            }
            match self.stdout.recv_timeout(PATIENCE) {
                Ok(bytes) => self.said.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => self.gives_up(&format!("{error}, and no {words:?}")),
            }
        }
    }

    /// Answers each question when it comes.
    pub fn answers(mut self, questions: &[(&str, &str)]) -> Self {
        for (words, answer) in questions {
            self.until(words, "");
            let stdin = self.child.stdin.as_mut().expect("a pipe");
            write!(stdin, "{answer}{}", self.enter).expect("a reader");
        }
        self
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        // a terminal that hangs up ends what runs on it
        let kept = self.child.stdin.take().filter(|_| self.enter == "\r");
        let mut said = Vec::new();
        loop {
            match self.stdout.recv_timeout(PATIENCE) {
                Ok(bytes) => said.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(error) => {
                    self.said += &String::from_utf8_lossy(&said);
                    self.gives_up(&format!("{error}, and no end"));
                }
            }
        }
        drop(kept);
        Ended {
            well: self.child.wait().expect("a child").success(),
            said: self.said + &String::from_utf8_lossy(&said),
            errors: String::from_utf8_lossy(&self.stderr.iter().flatten().collect::<Vec<_>>())
                .into_owned(),
        }
    }

    /// Ends the command and fails the test with all that was heard of it.
    fn gives_up(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        let errors: Vec<u8> = self.stderr.iter().flatten().collect();
        panic!("{why}: {}\n{}", self.said, String::from_utf8_lossy(&errors));
    }
}

/// What comes out of a pipe, read by a thread of its own until the pipe ends.
fn heard(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count) = pipe.read(&mut bytes) {
            if count == 0 || sender.send(bytes[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A command line on a terminal of its own.
fn script(line: &str) -> Command {
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-f", "-c", line, "/dev/null"]);
    script
}

fn has_terminals() -> bool {
    let tried = script("test -t 0 && test -t 1").stdin(Stdio::null()).output();
    tried.is_ok_and(|output| output.status.success())
}
