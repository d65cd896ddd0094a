//! The first `serve`: what it says, what it makes, where it finds its upstream.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::setting;
use crate::harness::{Finished, until};

/// Runs `serve` until it is ready, stops it, and returns what it said.
fn first_run(espejo: &crate::harness::Espejo, arguments: &[&str]) -> String {
    use std::io::{BufRead, BufReader, Read};
    let mut command = espejo.command(arguments);
    let mut child =
        command.env("ESPEJO_OPS_LISTEN", "").stderr(Stdio::piped()).spawn().expect("a child");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut said = String::new();
    while !said.contains("Ready in") {
        if stdout.read_line(&mut said).expect("text") == 0 {
            let ended = Finished::of(child.wait_with_output().expect("an end"));
            panic!("serve ended early: {said} {ended:?}");
        }
    }
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("an id"), rustix::process::Signal::INT)
        .expect("a child");
    stdout.read_to_string(&mut said).expect("text");
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    said
}

#[test]
fn the_first_run_says_where_everything_is_and_how_to_use_it() {
    let (upstream, _folder, espejo) = setting();
    let url = upstream.url();
    let said = first_run(&espejo, &["serve", "--listen", "127.0.0.1:0", "--upstream", &url]);
    for word in [
        "espejo ",
        "Registry    http://127.0.0.1:",
        "Upstream    ",
        url.as_str(),
        "Storage     ",
        "SQLite",
        "Sync        exist",
        "Use it      npm install --registry=http://127.0.0.1:",
        "Admin       ",
        "token in ",
        "admin.token",
        "Ready in ",
    ] {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
    assert!(!said.contains("Dashboard"), "there are no pages yet:\n{said}");
    let token = espejo.data.join("admin.token");
    let mode = std::fs::metadata(&token).expect("the token").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the token is its owner's alone");
    let text = std::fs::read_to_string(&token).expect("the token");
    assert!(text.starts_with("npm_") && text.trim().len() == 40, "{}", text.trim().len());
    // A second start remembers the upstream and keeps the token.
    let said = first_run(&espejo, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said.contains(&url) && said.contains("stored"), "{said}");
    assert_eq!(std::fs::read_to_string(&token).expect("the token"), text);
}

#[test]
fn the_upstream_is_found_where_npm_looks() {
    let (upstream, folder, espejo) = setting();
    let file = folder.path().join("user-npmrc");
    std::fs::write(&file, format!("; mine\nregistry={}/\n", upstream.url())).expect("a file");
    let espejo = espejo.env("npm_config_userconfig", file.display());
    let said = first_run(&espejo, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said.contains(&upstream.url()), "{said}");
    assert!(said.contains("line 2"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_it_serves_and_says_that_sync_is_paused() {
    let (_upstream, folder, espejo) = setting();
    let log = folder.path().join("log");
    let serving = espejo.serve_logging_to(&log, &[]);
    until("the warning", || async {
        std::fs::read_to_string(&log).ok().filter(|log| log.contains("sync is paused"))
    })
    .await;
    let log = std::fs::read_to_string(&log).expect("the log");
    assert!(log.contains("NO_UPSTREAM") && log.contains("--upstream URL"), "{log}");
    serving.get("/-/ping").send().await.expect(200);
    serving.get("/lamp").send().await.expect(503);
}
