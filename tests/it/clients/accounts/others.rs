//! pnpm and both yarns.

use super::*;
use crate::clients::{TURN, tools};

/// A tool of node in a folder, with the home of a setting.
fn node(setting: &Setting, tool: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("node");
    command.arg(crate::clients::tools_folder().join(tool)).args(arguments).current_dir(folder);
    with_home(&mut command, &setting.home());
    command
}

fn are_here() -> bool {
    let here = tools().is_some();
    if !here {
        eprintln!("left out: run scripts/clients/prepare small to test with pnpm and yarn");
    }
    here
}

/// pnpm 10 has no commands of its own for accounts: it runs the npm of the machine.
#[tokio::test]
async fn pnpm_logs_in_and_out_through_npm_and_publishes_itself() {
    let _turn = TURN.lock().await;
    if !are_here() || !Npm::all().contains(&Npm::Here) {
        return;
    }
    let setting = Setting::new().await;
    register(&setting.mirror, "ada").await;
    let registry = format!("--registry={}/", setting.mirror.url());
    let folder = setting.package("@garden/pnpm", "1.0.0");
    let pnpm = |arguments: &[&str]| {
        let mut command = node(&setting, "pnpm/bin/pnpm.cjs", &folder, arguments);
        command.arg(&registry);
        command
    };
    let login = pnpm(&["login", "--auth-type=legacy"]);
    let questions = &[("Username:", "ada"), ("Password:", PASSWORD)];
    blocking(move || Talk::start(login).answers(questions).end()).await.well();
    assert_eq!(ended(pnpm(&["whoami"])).await.well().trim(), "ada");
    ended(pnpm(&["publish", "--no-git-checks"])).await.well();
    setting.mirror.get("/@garden%2fpnpm").send().await.expect(200);
    let token = setting.token().expect("a token");
    ended(pnpm(&["logout"])).await.well();
    assert_eq!(setting.token(), None);
    setting.whoami(&token).await.expect(401);
    setting.package("@garden/pnpm", "1.1.0");
    ended(pnpm(&["publish", "--no-git-checks"])).await.badly();
    setting.mirror.finish().await;
}

/// yarn 1 writes down name and address at its login, and asks for a token when it needs one; that
/// token it ends at once.
#[tokio::test]
async fn classic_yarn_logs_in_publishes_with_a_password_or_a_token_and_logs_out() {
    let _turn = TURN.lock().await;
    if !are_here() {
        return;
    }
    let setting = Setting::new().await;
    let token = register(&setting.mirror, "ada").await;
    let registry = format!("{}/", setting.mirror.url());
    let folder = setting.package("@garden/classic", "1.0.0");
    let yarn = |arguments: &[&str]| {
        let mut command = node(&setting, "yarn/bin/yarn.js", &folder, arguments);
        command.arg(format!("--registry={registry}")).env("YARN_REGISTRY", &registry);
        command
    };
    let Some(login) = Talk::on_terminal(&yarn(&["login"])) else { return };
    let questions = &[("npm username:", "ada"), ("npm email:", "ada@garden.test")];
    blocking(move || login.answers(questions).end()).await.well();
    let written = std::fs::read_to_string(setting.home().join(".yarnrc")).expect("settings");
    assert!(written.contains("username ada"), "{written}");

    let publish = |version: &'static str| {
        let version = format!("--new-version={version}");
        yarn(&["publish", &version, "--no-git-tag-version"])
    };
    let Some(wrong) = Talk::on_terminal(&publish("1.0.0")) else { return };
    let questions = &[("npm password:", "not my password")];
    let wrong = blocking(move || wrong.answers(questions).end()).await;
    assert!(!wrong.well, "{}", wrong.said);
    setting.mirror.get("/@garden%2fclassic").send().await.expect(404);
    let Some(right) = Talk::on_terminal(&publish("1.0.0")) else { return };
    let questions = &[("npm password:", PASSWORD)];
    let said = blocking(move || right.answers(questions).end()).await.well();
    assert!(said.contains("Published.") && said.contains("Revoked login token."), "{said}");
    setting.mirror.get("/@garden%2fclassic").send().await.expect(200);
    let listed = setting.mirror.get("/-/npm/v1/tokens").token(&token).send().await.expect(200);
    assert_eq!(listed.json()["total"], 1, "the token of the login alone is left");

    setting.home_with("home", &token);
    ended(publish("1.1.0")).await.well();
    let full = setting.mirror.get("/@garden%2fclassic").send().await.expect(200).json();
    assert!(full["versions"]["1.1.0"].is_object(), "{full}");
    ended(yarn(&["logout"])).await.well();
    let written = std::fs::read_to_string(setting.home().join(".yarnrc")).unwrap_or_default();
    assert!(!written.contains("ada"), "{written}");
    setting.mirror.finish().await;
}

#[tokio::test]
async fn berry_logs_in_both_ways_and_out() {
    let _turn = TURN.lock().await;
    if !are_here() {
        return;
    }
    let setting = Setting::new().await;
    register(&setting.mirror, "ada").await;
    let folder = setting.package("@garden/berry", "1.0.0");
    let settings = format!(
        "npmRegistryServer: \"{}\"\nunsafeHttpWhitelist: [\"127.0.0.1\"]\nenableTelemetry: false\n",
        setting.mirror.url()
    );
    std::fs::write(folder.join(".yarnrc.yml"), settings).expect("a file");
    std::fs::write(folder.join("yarn.lock"), "").expect("a file");
    let yarn =
        |arguments: &[&str]| node(&setting, "@yarnpkg/cli-dist/bin/yarn.js", &folder, arguments);
    let written = || {
        let text = std::fs::read_to_string(setting.home().join(".yarnrc.yml"));
        text.unwrap_or_default()
    };

    let Some(wrong) = Talk::on_terminal(&yarn(&["npm", "login"])) else { return };
    let questions = &[("Username:", "ada"), ("Password:", "not my password")];
    let wrong = blocking(move || wrong.answers(questions).end()).await;
    assert!(!wrong.well, "{}", wrong.said);
    let Some(login) = Talk::on_terminal(&yarn(&["npm", "login"])) else { return };
    let questions = &[("Username:", "ada"), ("Password:", PASSWORD)];
    let said = blocking(move || login.answers(questions).end()).await.well();
    assert!(said.contains("Successfully logged in"), "{said}");
    let said = ended(yarn(&["npm", "whoami"])).await.well();
    assert!(said.contains("ada"), "{said}");
    ended(yarn(&["install", "--no-immutable"])).await.well();
    ended(yarn(&["npm", "publish"])).await.well();
    let token = token_in(&written());
    setting.mirror.get("/@garden%2fberry").token(&token).send().await.expect(200);
    ended(yarn(&["npm", "logout"])).await.well();
    assert!(!written().contains("npm_"), "{}", written());
    ended(yarn(&["npm", "whoami"])).await.badly();
    // berry only forgets its token; npm would have ended it
    setting.whoami(&token).await.expect(200);

    let login = yarn(&["npm", "login", "--web-login"]);
    let Some(login) = Talk::on_terminal(&login) else { return };
    let base = setting.mirror.url();
    let (talk, path) = blocking(move || {
        let mut talk = login.answers(&[("open your browser now?", "n")]);
        let path = talk.until(&base, "\u{1b}");
        (talk, path)
    })
    .await;
    setting.signs_in(path.trim_end(), "ada", PASSWORD).await;
    let said = blocking(move || talk.end()).await.well();
    assert!(said.contains("Successfully logged in"), "{said}");
    let said = ended(yarn(&["npm", "whoami"])).await.well();
    assert!(said.contains("ada"), "{said}");
    setting.mirror.finish().await;
}
