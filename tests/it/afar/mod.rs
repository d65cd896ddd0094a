//! Commands that speak to a mirror elsewhere, with an admin's token instead of the socket.

use serde_json::{Value, json};

use crate::harness::{Espejo, Finished, Package, TestMirror, TokenKind};

/// A mirror in this process, and the program with a data folder of its own that has nothing.
struct Afar {
    mirror: TestMirror,
    folder: tempfile::TempDir,
    admin: String,
}

impl Afar {
    async fn start() -> Self {
        let package = Package::new("lamp").version("1.0.0").version("1.1.0");
        let mirror = TestMirror::with(&[package]).await;
        let (admin, _) = mirror.token("root", TokenKind::Admin).await;
        Self { mirror, folder: tempfile::tempdir().expect("a folder"), admin }
    }

    async fn run_as(&self, token: &str, arguments: &[&str]) -> Finished {
        let espejo = Espejo::new(&self.folder.path().join("espejo-data"))
            .env("ESPEJO_SERVER", self.mirror.url())
            .env("ESPEJO_TOKEN", token);
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let running = tokio::task::spawn_blocking(move || {
            espejo.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        });
        running.await.expect("no panic")
    }

    async fn run(&self, arguments: &[&str]) -> Finished {
        self.run_as(&self.admin, arguments).await
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).await.expect(0).json()
    }

    /// Nothing was done on this machine instead.
    fn nothing_here(&self) {
        assert!(!self.folder.path().join("espejo-data").exists(), "a data folder was made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_kept_from_afar_and_the_audit_log_says_by_whom() {
    let afar = Afar::start().await;
    let added = afar.run(&["user", "add", "ada"]).await.expect(0);
    assert!(
        added.stdout.contains(&format!("{}/-/ui/join/", afar.mirror.url())),
        "{}",
        added.stdout
    );
    afar.run(&["user", "add", "ada"]).await.expect(1);
    let users = afar.json(&["user", "list"]).await;
    let ada = users["users"].as_array().expect("users").iter().find(|user| user["name"] == "ada");
    assert_eq!(ada.expect("ada")["hasPassword"], json!(false));

    let token = afar.json(&["token", "create", "ada", "--read-only"]).await;
    let text = token["token"].as_str().expect("a token").to_owned();
    let who = afar.mirror.get("/-/whoami").token(&text).send().await.expect(200).json();
    assert_eq!(who["username"], json!("ada"));
    let listed = afar.json(&["token", "list", "ada"]).await;
    assert_eq!(listed["tokens"][0]["limits"]["readonly"], json!(true));
    assert!(!listed.to_string().contains(&text));
    afar.run(&["token", "revoke", &text]).await.expect(0);
    afar.mirror.get("/-/whoami").token(&text).send().await.expect(401);
    afar.run(&["token", "revoke", &text]).await.expect(5);

    afar.run(&["user", "disable", "ada"]).await.expect(0);
    let password = afar.folder.path().join("password");
    std::fs::write(&password, "longer than eight\n").expect("a file");
    let file = password.display().to_string();
    afar.run(&["user", "passwd", "ada", "--password-file", &file]).await.expect(0);
    afar.run(&["user", "admin", "nobody"]).await.expect(5);

    let log = afar.json(&["audit"]).await;
    let log = log.as_array().expect("rows");
    assert!(log.len() >= 5, "{log:?}");
    assert!(log.iter().all(|row| row["who"] == "root" && row["from"] == "127.0.0.1"), "{log:?}");
    afar.nothing_here();
    afar.mirror.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_scopes_blocks_and_syncs_work_from_afar() {
    let afar = Afar::start().await;
    afar.run(&["registry", "add", "inner", "--url", "http://127.0.0.1:9/", "--feed", "off"])
        .await
        .expect(0);
    afar.run(&["scope", "add", "@garden", "--registry", "inner"]).await.expect(0);
    let all = afar.json(&["registry", "list"]).await;
    let inner = all.as_array().expect("rows").iter().find(|row| row["name"] == "inner");
    assert_eq!(inner.expect("inner")["scopes"], json!(["@garden"]));
    assert!(!inner.expect("inner")["running"].is_null(), "in effect at once");
    afar.run(&["registry", "remove", "inner"]).await.expect(1);
    afar.run(&["scope", "remove", "@garden"]).await.expect(0);
    afar.run(&["registry", "remove", "inner"]).await.expect(0);
    afar.run(&["registry", "remove", "inner"]).await.expect(5);

    let synced = afar.run(&["sync", "lamp"]).await.expect(0);
    assert!(synced.stdout.contains("2 versions"), "{}", synced.stdout);
    let status = afar.json(&["status"]).await;
    assert_eq!(status["store"]["packages"], json!(1));
    let tasks = afar.json(&["task", "list"]).await;
    let id = tasks[0]["id"].as_str().expect("a task").to_owned();
    let log = afar.run(&["task", "log", &id]).await.expect(0);
    assert!(log.stdout.contains("lamp"), "{}", log.stdout);
    afar.run(&["block", "add", "lamp@1.0.0", "--reason", "it burns"]).await.expect(0);
    afar.mirror.get("/lamp/-/lamp-1.0.0.tgz").send().await.expect(451);
    let blocks = afar.json(&["block", "list"]).await;
    assert!(blocks["blocks"][0]["operator"].as_str().expect("who").starts_with("root/"));
    afar.run(&["block", "remove", "lamp@1.0.0"]).await.expect(0);
    afar.run(&["verify"]).await.expect(0);
    afar.run(&["gc", "--dry-run"]).await.expect(0);
    afar.run(&["missing"]).await.expect(0);
    afar.nothing_here();
    afar.mirror.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_admin_operates_and_what_is_about_this_machine_is_refused() {
    let afar = Afar::start().await;
    let (user, _) = afar.mirror.token("me", TokenKind::User).await;
    let refused = afar.run_as(&user, &["user", "list"]).await.expect(4);
    assert!(refused.stderr.contains("Not allow to access"), "{}", refused.stderr);
    afar.run_as("npm_nonsense", &["status"]).await.expect(4);
    let here = afar.run(&["backup", "/tmp/nowhere"]).await.expect(2);
    assert!(here.stderr.contains("this machine only"), "{}", here.stderr);
    // neither ends the server nor names a folder of its machine
    for path in ["stop", "backup", "tokens/renew"] {
        let request = afar.mirror.request("POST", &format!("/-/espejo/v1/{path}"));
        request.token(&afar.admin).json(&json!({})).send().await.expect(404);
    }
    let gone = Espejo::new(&afar.folder.path().join("espejo-data"));
    let run = tokio::task::spawn_blocking(move || {
        gone.run(&["status", "--server", "http://127.0.0.1:9/", "--token", "npm_x"])
    });
    let unreachable = run.await.expect("no panic").expect(7);
    assert!(unreachable.stderr.contains("no mirror answers at http://127.0.0.1:9"));
    assert!(!unreachable.stderr.contains("npm_x"));
    afar.nothing_here();
    afar.mirror.finish().await;
}
