//! npm 10 and npm 11.

use super::*;
use crate::clients::TURN;

const NEW_PASSWORD: &str = "battery staple";

/// What makes a token read-only: npm 11 knows `--read-only` and does not send it.
fn read_only(npm: Npm) -> &'static str {
    match npm {
        Npm::Ten => "--read-only",
        Npm::Here => "--packages-and-scopes-permission=read-only",
    }
}

async fn makes_an_account(setting: &Setting, npm: Npm) {
    let questions = &[("Username:", "ada"), ("Password:", PASSWORD), ("Email", "ada@garden.test")];
    setting.asked(npm, &["adduser", "--auth-type=legacy"], questions).await.well();
    assert_eq!(setting.text(npm, &["whoami"]).await, "ada");
}

async fn changes_its_profile(setting: &Setting, npm: Npm) {
    let email = setting.text(npm, &["profile", "get", "email"]).await;
    assert!(email.starts_with("ada@garden.test"), "{email}");
    setting.text(npm, &["profile", "set", "email", "a@garden.test"]).await;
    let email = setting.text(npm, &["profile", "get", "email"]).await;
    assert!(email.starts_with("a@garden.test"), "{email}");

    let set = &["profile", "set", "password"];
    let wrong: &[_] = &[
        ("Current password:", "not my password"),
        ("New password:", NEW_PASSWORD),
        ("Again:", NEW_PASSWORD),
    ];
    assert!(setting.asked(npm, set, wrong).await.badly().contains("401"));
    setting.logs_in("ada", PASSWORD).await.expect(201);
    let right: &[_] = &[
        ("Current password:", PASSWORD),
        ("New password:", NEW_PASSWORD),
        ("Again:", NEW_PASSWORD),
    ];
    let said = setting.asked(npm, set, right).await.well();
    assert!(said.contains("Set password"), "{said}");
    setting.logs_in("ada", PASSWORD).await.expect(401);
    setting.logs_in("ada", NEW_PASSWORD).await.expect(201);
    // who is logged in stays so
    assert_eq!(setting.text(npm, &["whoami"]).await, "ada");
}

async fn makes_and_revokes_tokens(setting: &Setting, npm: Npm) {
    let password = &[("npm password:", NEW_PASSWORD)];
    let create = ["token", "create", "--cidr=192.0.2.0/24", "--no-color"];
    let far = token_in(&setting.asked(npm, &create, password).await.well());
    let create = ["token", "create", read_only(npm), "--no-color"];
    let reader = token_in(&setting.asked(npm, &create, password).await.well());
    let wrong = &[("npm password:", "not my password")];
    assert!(setting.asked(npm, &create, wrong).await.badly().contains("401"));

    let listed = setting.json(npm, &["token", "list", "--json"]).await;
    let rows = listed.as_array().expect("a list");
    let id_of = |token: &str| {
        let mark = |row: &&Value| token.starts_with(&row["token"].as_str().expect("a mark")[..6]);
        let found: Vec<_> = rows.iter().filter(mark).collect();
        let [row] = *found else { panic!("not one token {}: {listed}", &token[..6]) };
        (row.clone(), row["key"].as_str().expect("a key")[..12].to_owned())
    };
    let ((far_row, far_id), (reader_row, reader_id)) = (id_of(&far), id_of(&reader));
    assert_eq!(far_row["cidr_whitelist"][0], "192.0.2.0/24");
    assert_eq!((&far_row["readonly"], &reader_row["readonly"]), (&false.into(), &true.into()));

    let folder = setting.package("@garden/ui", "1.0.0");
    let home = setting.home_with("far", &far);
    let refused = ended(setting.npm_at(npm, &home, &folder, &["whoami"])).await.badly();
    assert!(refused.contains("may not be used from 127.0.0.1"), "{refused}");
    let home = setting.home_with("reader", &reader);
    let said = ended(setting.npm_at(npm, &home, &folder, &["whoami"])).await.well();
    assert_eq!(said.trim(), "ada");
    let refused = ended(setting.npm_at(npm, &home, &folder, &["publish"])).await.badly();
    let words = format!("Read-only Token \"{}\" can't publish", mark_of(&reader_row));
    assert!(refused.contains(&words), "{refused}");
    setting.mirror.get("/@garden%2fui").send().await.expect(404);
    let publish = setting.npm_at(npm, &setting.home(), &folder, &["publish"]);
    ended(publish).await.well();

    let said = setting.text(npm, &["token", "revoke", &far_id, &reader_id]).await;
    assert!(said.contains("Removed 2 tokens"), "{said}");
    setting.whoami(&far).await.expect(401);
    setting.whoami(&reader).await.expect(401);
    let left = setting.json(npm, &["token", "list", "--json"]).await;
    assert_eq!(left.as_array().map(Vec::len), Some(rows.len() - 2), "{left}");
}

fn mark_of(row: &Value) -> &str {
    row["token"].as_str().expect("a mark")
}

async fn logs_out(setting: &Setting, npm: Npm) {
    let token = setting.token().expect("a token");
    setting.text(npm, &["logout"]).await;
    assert_eq!(setting.token(), None);
    setting.whoami(&token).await.expect(401);
    assert!(ended(setting.npm(npm, &["whoami"])).await.badly().contains("ENEEDAUTH"));
}

async fn logs_in_at_the_terminal(setting: &Setting, npm: Npm) {
    let login = &["login", "--auth-type=legacy"];
    let wrong = &[("Username:", "ada"), ("Password:", PASSWORD)];
    assert!(setting.asked(npm, login, wrong).await.badly().contains("401"));
    let right = &[("Username:", "ada"), ("Password:", NEW_PASSWORD)];
    setting.asked(npm, login, right).await.well();
    assert_eq!(setting.text(npm, &["whoami"]).await, "ada");
}

async fn logs_in_with_a_browser(setting: &Setting, npm: Npm) {
    let login = setting.npm(npm, &["login", "--auth-type=web", "--browser=false"]);
    let base = setting.mirror.url();
    let (talk, path) = blocking(move || {
        let mut talk = Talk::start(login);
        let path = talk.until(&base, "\n");
        (talk, path)
    })
    .await;
    setting.signs_in(&path, "ada", NEW_PASSWORD).await;
    blocking(move || talk.end()).await.well();
    assert_eq!(setting.text(npm, &["whoami"]).await, "ada");
}

#[tokio::test]
async fn every_npm_leads_an_account_from_its_making_to_the_logout() {
    let _turn = TURN.lock().await;
    for npm in Npm::all() {
        let setting = Setting::new().await;
        makes_an_account(&setting, npm).await;
        changes_its_profile(&setting, npm).await;
        makes_and_revokes_tokens(&setting, npm).await;
        logs_out(&setting, npm).await;
        logs_in_at_the_terminal(&setting, npm).await;
        logs_out(&setting, npm).await;
        logs_in_with_a_browser(&setting, npm).await;
        logs_out(&setting, npm).await;
        setting.mirror.finish().await;
    }
}

/// Makes a token with npm 11's own words; its text.
async fn granular(setting: &Setting, wishes: &[&str]) -> String {
    let password = format!("--password={PASSWORD}");
    let mut create = vec!["token", "create", "--no-color", &password];
    create.extend(wishes);
    token_in(&setting.text(Npm::Here, &create).await)
}

#[tokio::test]
async fn npm_11_makes_tokens_for_packages_and_scopes_that_end() {
    let _turn = TURN.lock().await;
    let Ok(output) = Command::new("npm").arg("--version").output() else {
        return eprintln!("left out: there is no npm here");
    };
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 11) {
        return eprintln!("left out: npm here is {version}");
    }
    let setting = Setting::new().await;
    let login = register(&setting.mirror, "ada").await;
    setting.home_with("home", &login);
    let one = granular(
        &setting,
        &["--name=one", "--token-description=ours", "--packages=@garden/ui", "--expires=7"],
    )
    .await;
    let scope = granular(&setting, &["--name=scope", "--scopes=@garden"]).await;
    let reads = "--packages-and-scopes-permission=read-only";
    let reader = granular(&setting, &["--name=reader", "--scopes=@garden", reads]).await;

    let listed = setting.json(Npm::Here, &["token", "list", "--json"]).await;
    let row = |name: &str| {
        let rows = listed.as_array().expect("a list");
        rows.iter().find(|row| row["name"] == name).expect("the token").clone()
    };
    assert_eq!(row("one")["allowedPackages"], serde_json::json!(["@garden/ui"]));
    assert_eq!(row("one")["description"], "ours");
    assert!(row("one")["expires"].is_string() && row("scope").get("expires").is_none());
    assert_eq!(row("scope")["allowedScopes"], serde_json::json!(["@garden"]));
    assert_eq!(row("reader")["readonly"], true);

    let publish = |token: &str, name: &str, version: &str| {
        let home = setting.home_with("other", token);
        ended(setting.npm_at(Npm::Here, &home, &setting.package(name, version), &["publish"]))
    };
    publish(&one, "@garden/ui", "1.0.0").await.well();
    let refused = publish(&one, "@garden/lamp", "1.0.0").await.badly();
    assert!(refused.contains("can't access package \"@garden/lamp\""), "{refused}");
    publish(&scope, "@garden/lamp", "1.0.0").await.well();
    let refused = publish(&reader, "@garden/lamp", "1.1.0").await.badly();
    assert!(refused.contains("Read-only Token"), "{refused}");
    // none of them makes another one
    for token in [&one, &scope, &reader] {
        let home = setting.home_with("other", token);
        let password = format!("--password={PASSWORD}");
        let create = ["token", "create", "--name=more", &password];
        let create = setting.npm_at(Npm::Here, &home, setting.scratch.path(), &create);
        let refused = ended(create).await.badly();
        assert!(refused.contains("can't setting"), "{refused}");
    }
    let ends = row("one")["id"].as_str().expect("an id").to_owned();
    setting.text(Npm::Here, &["token", "revoke", &ends]).await;
    setting.whoami(&one).await.expect(401);
    // a limit that is not kept is no limit that is left out in silence
    let password = format!("--password={PASSWORD}");
    let orgs = ["token", "create", "--name=orgs", "--orgs=house", &password];
    let refused = ended(setting.npm(Npm::Here, &orgs)).await.badly();
    assert!(refused.contains("orgs: "), "{refused}");
    setting.mirror.finish().await;
}
