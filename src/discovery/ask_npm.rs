//! `npm config get registry`: the last place an upstream is looked for.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long npm may take; a cold start on a small machine takes two seconds.
pub const NPM_TIMEOUT: Duration = Duration::from_secs(15);

/// Asks npm, if there is one; only its standard output counts.
///
/// Blocks for as long as npm takes, at most [`NPM_TIMEOUT`], and is therefore called beside
/// start-up.
#[must_use]
pub fn ask_npm_blocking() -> Option<String> {
    let mut npm = Command::new("npm")
        .args(["config", "get", "registry"])
        .env("NO_UPDATE_NOTIFIER", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdout = npm.stdout.take()?;
    let (answer, answered) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        // A failed read is no answer, like an empty one.
        let read = stdout.read_to_string(&mut text).map(|_| text);
        answer.send(read.unwrap_or_default()).ok();
    });
    let text = answered.recv_timeout(NPM_TIMEOUT).ok();
    if text.is_none() {
        npm.kill().ok();
    }
    let status = npm.wait().ok()?;
    text.filter(|_| status.success()).and_then(|text| registry_of(&text))
}

/// The address in npm's answer; it prints `undefined` or `null` for nothing.
fn registry_of(output: &str) -> Option<String> {
    let line = output.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    (line.starts_with("http://") || line.starts_with("https://")).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::registry_of;

    #[test]
    fn only_an_address_is_an_answer() {
        let address = Some("http://127.0.0.1:4873/".to_owned());
        assert_eq!(registry_of("http://127.0.0.1:4873/\n"), address);
        assert_eq!(registry_of("a notice\nhttp://127.0.0.1:4873/\n\n"), address);
        assert_eq!(registry_of("undefined\n"), None);
        assert_eq!(registry_of(""), None);
    }
}
