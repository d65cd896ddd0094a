//! Processes a measurement runs beside itself: the simulated upstream, and the mirror to load.
//!
//! Each has a process of its own so that processor time and memory are those of one thing only.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// A child that ends when this is dropped.
pub struct Running {
    child: Child,
    /// The simulated upstream lives until this closes, also when we are killed.
    _stdin: Option<ChildStdin>,
}

#[derive(Deserialize)]
struct Ready {
    url: String,
    #[serde(default)]
    typical_tarball: Option<String>,
}

/// A child that said where it listens.
pub struct Listening {
    /// The process.
    pub running: Running,
    /// Its address.
    pub url: String,
    /// Path of a tarball of usual size, when it told one.
    pub typical_tarball: Option<String>,
}

/// Starts the simulated upstream.
///
/// # Errors
/// When the child does not start.
pub fn simulated_upstream(packages: usize, seed: u64) -> anyhow::Result<Listening> {
    let mut command = myself()?;
    command.args(["bench", "upstream", "--packages", &packages.to_string()]);
    command.args(["--seed", &seed.to_string()]);
    listening(command)
}

/// Starts a mirror on a data folder.
///
/// # Errors
/// When the child does not start.
pub fn mirror(data: &Path, upstream: &str) -> anyhow::Result<Listening> {
    let mut command = myself()?;
    command.args(["--json", "--config", "/dev/null", "--data"]).arg(data).arg("serve");
    command.args(["--listen", "127.0.0.1:0", "--upstream", upstream]);
    command.env("ESPEJO_OPS_LISTEN", "").env("ESPEJO_LOG__LEVEL", "error");
    listening(command)
}

/// This program without any setting of the surroundings.
///
/// # Errors
/// When it cannot be found.
pub fn myself() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    for (name, _) in std::env::vars_os() {
        // The measurement is of the defaults, whatever the surroundings set.
        if name.to_string_lossy().starts_with("ESPEJO_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    Ok(command)
}

fn listening(mut command: Command) -> anyhow::Result<Listening> {
    let mut child = command.spawn().context("cannot start a process for the measurement")?;
    let stdout = child.stdout.take().ok_or_else(|| anyhow!("the child has no output"))?;
    let stdin = child.stdin.take();
    let running = Running { child, _stdin: stdin };
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("the child said nothing")?;
    if line.is_empty() {
        bail!("a process of the measurement ended before it was ready");
    }
    let ready: Ready = serde_json::from_str(&line)
        .with_context(|| format!("the child said {line:?} instead of where it listens"))?;
    Ok(Listening { running, url: ready.url, typical_tarball: ready.typical_tarball })
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended already; what counts is that it has ended afterwards.
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
