//! What is secret in a run appears in nothing that the program writes or answers: not in its log at
//! the most talkative level, not in errors, not in what its commands show.

use std::path::Path;

use serde_json::json;

use crate::harness::{Espejo, FakeUpstream, Fault, Package, Serving, until};

/// Everything secret that the run uses.
struct Secrets(Vec<String>);

impl Secrets {
    /// Fails when a text holds one of them.
    #[track_caller]
    fn absent_from(&self, what: &str, text: &str) {
        for secret in &self.0 {
            // the first and last characters of a token are shown on purpose
            let core = secret.get(8..secret.len() - 4).unwrap_or(secret);
            let found = text.lines().find(|line| line.contains(core));
            assert_eq!(found, None, "{what} holds {secret}");
        }
    }
}

const UPSTREAM: &str = "upstream-token-7f3a9c51e2d84b60";
const PROXY: &str = "proxy-password-1c8e55d07ab94f23";
const REGISTRY: &str = "registry-token-93bd20f67e154ac8";
const PASSWORD: &str = "password-of-ada-5be07c21d9";
const WRONG: &str = "npm_wrong0token1nobody2has3ever4made5us";

/// An upstream that repeats in its errors what it was sent, as some do.
fn upstream() -> FakeUpstream {
    let upstream = FakeUpstream::start();
    upstream.publish(&Package::new("lamp").version("1.0.0"));
    for (name, status) in [("refused", 401), ("broken", 500), ("gone", 410)] {
        let body = format!("{{\"error\":\"Bearer {UPSTREAM} is not welcome\"}}").into_bytes();
        let headers = vec![("www-authenticate".to_owned(), format!("Bearer {UPSTREAM}"))];
        let fault = Fault::Answer { status, headers, body: body.into() };
        upstream.always(&format!("/{name}"), fault);
    }
    upstream
}

async fn asked(serving: &Serving, method: &str, target: &str, token: &str) -> String {
    let mut request = crate::harness::Request::new(serving.address(), method, target);
    if !token.is_empty() {
        request = request.token(token);
    }
    if method != "GET" {
        request = request.json(&json!({ "tips": "all of it" }));
    }
    let answer = request.send().await;
    format!("{method} {target} {} {:?} {}", answer.status, answer.headers, answer.text())
}

/// Asks for everything, well and badly.
async fn use_everything(serving: &Serving, admin: &str, secrets: &Secrets) {
    for token in ["", admin, WRONG] {
        for (method, target) in [
            ("GET", "/lamp"),
            ("GET", "/refused"),
            ("GET", "/broken"),
            ("GET", "/gone"),
            ("GET", "/-/tasks"),
            ("GET", "/-/whoami"),
            ("GET", "/-/metrics"),
            ("GET", "/"),
            ("GET", "/-/no/such"),
            ("PUT", "/-/package/lamp/syncs"),
            ("PUT", "/-/package/refused/syncs"),
            ("PUT", "/-/package/broken/syncs"),
            ("PUT", "/-/package/broken/syncs/x"),
            ("DELETE", "/lamp"),
            ("POST", "/-/tasks/none/retry"),
        ] {
            let answer = asked(serving, method, target, token).await;
            secrets.absent_from("an answer", &answer);
        }
    }
    // npm says tokens in the paths that end them
    for token in [admin, WRONG] {
        for before in ["/-/user/token/", "/-/npm/v1/tokens/token/"] {
            for method in ["GET", "DELETE"] {
                asked(serving, method, &format!("{before}{token}"), WRONG).await;
            }
        }
    }
    let body = json!({
        "_id": "org.couchdb.user:ada", "name": "ada", "password": PASSWORD, "type": "user",
    });
    let login =
        crate::harness::Request::new(serving.address(), "PUT", "/-/user/org.couchdb.user:ada");
    let answer = login.json(&body).send().await;
    secrets.absent_from("a login", &answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_program_writes_or_answers_holds_a_secret() {
    let upstream = upstream();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, REGISTRY).expect("a file");
    let espejo = Espejo::new(&data)
        .env("ESPEJO_UPSTREAM__TOKEN", UPSTREAM)
        .env("ESPEJO_LOG__LEVEL", "debug,espejo=trace,actors=trace,store=trace")
        .env("ESPEJO_LOG__ACCESS", "all");
    let file = token_file.to_str().expect("a path");
    let added = ["registry", "add", "inner", "--url", "http://127.0.0.1:9/", "--token-file", file];
    espejo.run(&added).expect(0);
    let serving = espejo.serve_logging_to(&log, &["--upstream", &upstream.url()]);
    let admin = std::fs::read_to_string(data.join("admin.token")).expect("the bootstrap token");
    let admin = admin.trim().to_owned();
    let secrets = Secrets(vec![
        UPSTREAM.into(),
        REGISTRY.into(),
        WRONG.into(),
        PASSWORD.into(),
        admin.clone(),
    ]);
    use_everything(&serving, &admin, &secrets).await;
    until("the end of all tasks", || async {
        let tasks = serving.get("/-/tasks").send().await.json();
        let open = tasks["counts"]["waiting"].as_i64()? + tasks["counts"]["processing"].as_i64()?;
        (open == 0 || upstream.count("/broken") > 3).then_some(())
    })
    .await;
    for arguments in [
        &["status", "--json"][..],
        &["config", "show", "--json"],
        &["doctor", "--json"],
        &["registry", "list", "--json"],
        &["task", "list", "--json"],
        &["sync", "refused", "--json"],
        &["sync", "broken"],
    ] {
        let ran = espejo.run(arguments);
        secrets.absent_from(&arguments.join(" "), &format!("{}{}", ran.stdout, ran.stderr));
    }
    for task in serving.get("/-/tasks").send().await.json()["tasks"].as_array().expect("tasks") {
        let id = task["id"].as_str().expect("an id");
        let text = asked(&serving, "GET", &format!("/-/package/x/syncs/{id}/log"), "").await;
        secrets.absent_from("the log of a task", &text);
    }
    let token = upstream.headers("/lamp", "authorization").into_iter().flatten().next();
    assert_eq!(token, Some(format!("Bearer {UPSTREAM}")), "the secret was in use");
    drop(serving);
    let written = read_all(&log);
    assert!(written.contains("request answered"), "the log is as talkative as it should be");
    secrets.absent_from("the log", &written);
}

fn read_all(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).expect("a file")).into_owned()
}

/// Settings that cannot be used are shown without what is secret in them.
#[test]
fn a_refused_setting_does_not_show_its_secret() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let secrets = Secrets(vec![PROXY.into(), UPSTREAM.into()]);
    for (key, value) in [
        ("ESPEJO_UPSTREAM__URL", format!("http://user:{PROXY}@registry.test/")),
        ("ESPEJO_UPSTREAM__PROXY", format!("ftp://user:{PROXY}@proxy.test/")),
        ("ESPEJO_UPSTREAM__PROXY", format!("http://user:{PROXY}@[bad/")),
        ("ESPEJO_UPSTREAM__TOKEN", format!("{UPSTREAM}\nsecond line")),
        ("ESPEJO_STORAGE__DATABASE", format!("postgres://user:{PROXY}@127.0.0.1:1/none")),
        ("ESPEJO_STORAGE__DATABASE", format!("mysql://user:{PROXY}@127.0.0.1:1/none")),
    ] {
        let espejo = Espejo::new(folder.path()).env(key, &value).env("ESPEJO_OPS_LISTEN", "");
        for arguments in
            [&["sync", "lamp"][..], &["config", "show"], &["config", "show", "--json"], &["doctor"]]
        {
            let ran = espejo.run(arguments);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            secrets.absent_from(&format!("{} with {key}", arguments.join(" ")), &said);
        }
    }
}
