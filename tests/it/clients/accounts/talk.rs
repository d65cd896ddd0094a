//! Commands that ask questions.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// A started command whose words can be waited for and answered.
pub struct Talk {
    child: Child,
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
        let child = command.spawn().expect("the command starts");
        Self { child, said: String::new(), enter: "\n" }
    }

    /// Talks through a terminal, for those who answer nobody without one; `None`, with a word
    /// about it, where there is no `script` of util-linux to make one.
    pub fn on_terminal(command: &Command) -> Option<Self> {
        let known = Command::new("script").arg("--version").output();
        if !known.is_ok_and(|output| output.stdout.starts_with(b"script from util-linux")) {
            eprintln!("left out: there is no `script` of util-linux here");
            return None;
        }
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let quoted: Vec<_> = words
            .map(|word| format!("'{}'", word.to_str().expect("text").replace('\'', "'\\''")))
            .collect();
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-f", "-c", &quoted.join(" "), "/dev/null"]);
        script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            script.current_dir(folder);
        }
        Some(Self { enter: "\r", ..Self::start(script) })
    }

    /// Reads on until `words` were said and, after them, `end`; what is in between.
    pub fn until(&mut self, words: &str, end: &str) -> String {
        let stdout = self.child.stdout.as_mut().expect("a pipe");
        loop {
            let found = self.said.split_once(words).and_then(|(_, rest)| rest.split_once(end));
            if let Some((between, rest)) = found {
                let (between, rest) = (between.to_owned(), rest.to_owned());
                self.said = rest;
                return between;
            }
            let mut bytes = [0; 256];
            let count = stdout.read(&mut bytes).expect("a pipe");
            if count == 0 {
                let mut errors = String::new();
                let stderr = self.child.stderr.as_mut().expect("a pipe");
                let _ = stderr.read_to_string(&mut errors);
                panic!("it ended without {words:?}: {}\n{errors}", self.said);
            }
            self.said.push_str(&String::from_utf8_lossy(&bytes[..count]));
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
        let (mut said, mut errors) = (Vec::new(), Vec::new());
        let stdout = self.child.stdout.as_mut().expect("a pipe");
        stdout.read_to_end(&mut said).expect("a pipe");
        let stderr = self.child.stderr.as_mut().expect("a pipe");
        stderr.read_to_end(&mut errors).expect("a pipe");
        drop(kept);
        Ended {
            well: self.child.wait().expect("a child").success(),
            said: self.said + &String::from_utf8_lossy(&said),
            errors: String::from_utf8_lossy(&errors).into_owned(),
        }
    }
}
