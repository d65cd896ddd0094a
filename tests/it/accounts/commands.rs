//! `espejo user` and `espejo token`, beside a running server and without one.

use serde_json::{Value, json};

use super::PASSWORD;
use crate::harness::{Espejo, FakeUpstream, Request};

struct Setting {
    upstream: FakeUpstream,
    folder: tempfile::TempDir,
    espejo: Espejo,
}

fn setting() -> Setting {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo =
        Espejo::new(&folder.path().join("espejo-data")).env("ESPEJO_SECURITY__PASSWORD_COST", 4);
    Setting { upstream: FakeUpstream::start(), folder, espejo }
}

impl Setting {
    fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        self.espejo.run(&arguments).expect(0).json()
    }

    /// A file with the password of the tests.
    fn password(&self) -> String {
        let file = self.folder.path().join("password");
        std::fs::write(&file, format!("{PASSWORD}\n")).expect("a file");
        file.to_str().expect("a path").to_owned()
    }
}

#[test]
fn accounts_and_tokens_are_made_without_a_server() {
    let setting = setting();
    let added = setting.espejo.run(&["user", "add", "ada", "--admin"]).expect(0);
    let said = "Created user ada (admin). Give them this sign-in link, valid once for 30 minutes: \
                http://127.0.0.1:7001/-/ui/join/";
    assert!(added.stdout.starts_with(said), "{}", added.stdout);
    setting.espejo.run(&["user", "add", "ada"]).expect(1);
    setting.espejo.run(&["user", "add", "Ada"]).expect(2);
    let file = setting.password();
    let made = setting.json(&["user", "add", "bea", "--password-file", &file]);
    assert_eq!(made, json!({ "user": "bea", "link": null }));
    let users = setting.json(&["user", "list"])["users"].as_array().expect("a list").clone();
    let shown: Vec<_> = users
        .iter()
        .map(|user| (user["name"].clone(), user["admin"].clone(), user["hasPassword"].clone()))
        .collect();
    let expected =
        [(json!("ada"), json!(true), json!(false)), (json!("bea"), json!(false), json!(true))];
    assert_eq!(shown, expected);

    let create = ["token", "create", "ada", "--read", "--expires", "90d", "--name", "ci"];
    let token = setting.espejo.run(&create).expect(0);
    assert!(espejo::admin_token::is_well_formed(token.stdout.trim()), "{}", token.stdout);
    assert!(token.stderr.contains("for ada, read only, until 20"), "{}", token.stderr);
    setting.espejo.run(&create).expect(1);
    setting.espejo.run(&["token", "create", "nobody"]).expect(5);
    setting.espejo.run(&["token", "create", "ada", "--cidr", "nonsense"]).expect(2);
    let listed = setting.espejo.run(&["token", "list"]).expect(0).stdout;
    assert!(
        listed.contains("ada") && listed.contains("ci") && listed.contains("never"),
        "{listed}"
    );
    assert!(!listed.contains(token.stdout.trim()), "{listed}");
    let key = setting.json(&["token", "list", "ada"])["tokens"][0]["key"].clone();
    let short = key.as_str().expect("a key")[..12].to_owned();
    setting.espejo.run(&["token", "revoke", "abc"]).expect(2);
    setting.espejo.run(&["token", "revoke", &short]).expect(0);
    setting.espejo.run(&["token", "revoke", &short]).expect(5);
    setting.espejo.run(&["token", "revoke", token.stdout.trim()]).expect(5);
}

#[tokio::test]
async fn a_running_server_knows_at_once_what_a_command_changed() {
    let setting = setting();
    let serving = setting.espejo.serve(&setting.upstream.url());
    let ask = |token: &str| serving.get("/-/whoami").token(token).send();
    let bootstrap = setting.folder.path().join("espejo-data/admin.token");
    let bootstrap = std::fs::read_to_string(bootstrap).expect("the bootstrap token");
    assert_eq!(ask(bootstrap.trim()).await.expect(200).json(), json!({ "username": "admin" }));

    setting.espejo.run(&["user", "add", "ada", "--password-file", &setting.password()]).expect(0);
    let token = setting.espejo.run(&["token", "create", "ada"]).expect(0).stdout;
    let token = token.trim();
    ask(token).await.expect(200);
    setting.espejo.run(&["user", "disable", "ada"]).expect(0);
    assert_eq!(ask(token).await.expect(401).error(), "[UNAUTHORIZED] Account disabled");
    setting.espejo.run(&["user", "disable", "ada", "--undo"]).expect(0);
    ask(token).await.expect(200);
    let force = || {
        let request = Request::new(serving.address(), "PUT", "/-/package/lamp/syncs").token(token);
        request.json(&json!({ "force": true })).send()
    };
    force().await.expect(403);
    setting.espejo.run(&["user", "admin", "ada"]).expect(0);
    force().await.expect(201);
    setting.espejo.run(&["token", "revoke", token]).expect(0);
    assert_eq!(ask(token).await.expect(401).error(), "[UNAUTHORIZED] Invalid token");

    // the first token of all is one like the others
    let listed = setting.json(&["token", "list", "admin"]);
    assert!(
        listed["tokens"][0]["limits"]["description"]
            .as_str()
            .expect("a text")
            .contains("admin.token")
    );
    let renewed = setting.espejo.run(&["token", "create", "admin"]).expect(0).stdout;
    ask(bootstrap.trim()).await.expect(401);
    ask(renewed.trim()).await.expect(200);
    setting.espejo.run(&["token", "revoke", renewed.trim()]).expect(0);
    ask(renewed.trim()).await.expect(401);

    let link = setting.json(&["token", "link"]);
    let link = link["link"].as_str().expect("a link");
    let path =
        link.strip_prefix(&serving.url()).unwrap_or_else(|| panic!("{link} leads elsewhere"));
    assert!(serving.get(path).send().await.expect(200).text().contains("admin"));
    setting.espejo.run(&["token", "link", "nobody"]).expect(5);
    let passwd = setting.json(&["user", "passwd", "ada", "--end-tokens"]);
    assert!(passwd["link"].as_str().expect("a link").contains("/-/ui/join/"), "{passwd}");
}
