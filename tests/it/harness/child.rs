//! The `espejo` program as a child process, knowing nothing of this machine's settings.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::{Request, secrets};

/// How to run the program over one data folder.
pub struct Espejo {
    pub data: PathBuf,
    home: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// A run that ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Espejo {
    /// The program over a data folder.
    pub fn new(data: &Path) -> Self {
        let home = tempfile::tempdir().expect("a scratch folder");
        Self { data: data.to_owned(), home, variables: Vec::new() }
    }

    /// Sets an environment variable.
    pub fn env(mut self, key: &str, value: impl ToString) -> Self {
        self.variables.push((key.to_owned(), value.to_string()));
        self
    }

    /// The command; neither npm nor any setting of the user can be found from it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_espejo"));
        command
            .args(arguments)
            .arg("--data")
            .arg(&self.data)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", self.home.path())
            .envs(self.variables.iter().map(|(key, value)| (key, value)))
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(self.command(arguments).output().expect("the program starts"))
    }

    /// Starts it.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the program starts")
    }
}

impl Finished {
    /// What a child left.
    pub fn of(output: Output) -> Self {
        secrets::keep_body(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        secrets::absent_from("what a command said", &stderr);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        Self { code: output.status.code(), stdout, stderr }
    }

    /// Fails the test unless it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "out:\n{}\nerr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Its standard output, line by line, as JSON.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let lines = self.stdout.lines().filter(|line| !line.trim().is_empty());
        lines
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// Its standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }
}

/// Where a server takes a free port.
const ANY_PORT: &str = "127.0.0.1:0";

/// A running `espejo serve`; killed with its value.
pub struct Serving {
    child: Child,
    address: SocketAddr,
    /// What it logged; none where a test reads that itself.
    log: Option<File>,
}

impl Espejo {
    /// Starts `serve` on a free port in front of an upstream and waits until it is ready.
    pub fn serve(&self, upstream: &str) -> Serving {
        self.serve_to(None, ANY_PORT, &["--upstream", upstream])
    }

    /// The same on this address: another run had it.
    pub fn serve_at(&self, listen: SocketAddr, upstream: &str) -> Serving {
        self.serve_to(None, &listen.to_string(), &["--upstream", upstream])
    }

    /// The same with other arguments, and what it logs in a file.
    pub fn serve_logging_to(&self, log: &Path, arguments: &[&str]) -> Serving {
        let log = File::create(log).expect("a file");
        self.serve_to(Some(log), ANY_PORT, arguments)
    }

    fn serve_to(&self, log: Option<File>, listen: &str, more: &[&str]) -> Serving {
        let own = log.is_none().then(|| tempfile::tempfile().expect("a file"));
        let log = log
            .unwrap_or_else(|| own.as_ref().and_then(|own| own.try_clone().ok()).expect("a file"));
        let mut arguments = vec!["serve", "--listen", listen];
        arguments.extend(more);
        let mut command = self.command(&arguments);
        command.env("ESPEJO_OPS_LISTEN", "").stderr(log);
        let mut child = command.spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (mut said, mut address) = (String::new(), None);
        let address = loop {
            let Some(Ok(line)) = lines.next() else { panic!("serve ended: {said}") };
            said.push_str(&line);
            said.push('\n');
            if let Some(rest) = line.trim().strip_prefix("Registry") {
                let url: url::Url = rest.trim().parse().expect("an address");
                address = url.port().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
            }
            if line.contains("Ready in") {
                break address.expect("an address before it is ready");
            }
        };
        // What comes later must find a reader, or the pipe would fill.
        std::thread::spawn(move || lines.count());
        Serving { child, address, log: own }
    }
}

/// All that stands in a file.
fn whole(mut file: &File) -> String {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).expect("a file");
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Serving {
    /// A GET.
    pub fn get(&self, target: &str) -> Request {
        Request::new(self.address, "GET", target)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base address without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("a running child");
        self.wait();
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process id"), signal).expect("a running child");
    }

    /// Waits for its end; the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("a child").code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // An error means that it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(log) = self.log.take().filter(|_| !std::thread::panicking()) {
            secrets::absent_from("the log of a server", &whole(&log));
        }
    }
}
