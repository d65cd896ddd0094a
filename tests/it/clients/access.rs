//! npm's commands for orgs, teams, access and stars, and its libraries for the same.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{TURN, npm_command, run};
use crate::access::{Garden, SEEDS};

/// The libraries of the installed npm, driven as its commands drive them.
const LIBRARIES: &str = include_str!("access.cjs");

/// A garden, and a home folder for each who works in it.
struct Setting {
    garden: Garden,
    scratch: tempfile::TempDir,
}

impl Setting {
    /// `None`, with a word about it, where there is no npm.
    async fn new() -> Option<Self> {
        if Command::new("npm").arg("--version").output().is_err() {
            eprintln!("left out: there is no npm here");
            return None;
        }
        Some(Self { garden: Garden::start().await, scratch: tempfile::tempdir().ok()? })
    }

    fn npm(&self, who: &str, arguments: &[&str]) -> Command {
        let home = self.scratch.path().join(who);
        std::fs::create_dir_all(&home).expect("a folder");
        let at = self.garden.mirror.address();
        let settings = match self.garden.token_of(who) {
            "" => String::new(),
            token => format!("//{at}/:_authToken={token}\n"),
        };
        std::fs::write(home.join("user-npmrc"), settings).expect("a file");
        npm_command(&self.garden.mirror.url(), &home, self.scratch.path(), arguments)
    }

    /// What a command says that has to end well.
    async fn says(&self, who: &str, arguments: &[&str]) -> String {
        let output = run(self.npm(who, arguments)).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{who}: npm {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The errors of a command that must not end well.
    async fn fails(&self, who: &str, arguments: &[&str]) -> String {
        let output = run(self.npm(who, arguments)).await;
        assert!(!output.status.success(), "{who}: npm {arguments:?} ended well");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

#[tokio::test]
async fn npm_fills_an_org_and_its_teams() {
    let _turn = TURN.lock().await;
    let Some(setting) = Setting::new().await else { return };
    setting.garden.root("PUT", "/-/org", json!({ "name": "house" })).await;
    let said = setting.says("root", &["org", "set", "house", "ada", "owner"]).await;
    assert_eq!(said, "Added ada as owner to house. You now have 2 members in this org.");
    let said = setting.says("ada", &["org", "set", "house", "bob"]).await;
    assert_eq!(said, "Added bob as developer to house. You now have 3 members in this org.");
    let listed = setting.says("cy", &["org", "ls", "house", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed, json!({ "ada": "owner", "bob": "developer", "root": "owner" }));
    let refused = setting.fails("bob", &["org", "set", "house", "cy"]).await;
    assert!(refused.contains("Only org owner or admin can perform this action"), "{refused}");

    assert_eq!(setting.says("ada", &["team", "create", "@house:cooks"]).await, "+@house:cooks");
    let said = setting.says("ada", &["team", "add", "@house:cooks", "bob"]).await;
    assert_eq!(said, "bob added to @house:cooks");
    let said = setting.says("ada", &["team", "ls", "@house"]).await;
    assert_eq!(said, "@house has 2 teams:\n@house:cooks\n@house:developers");
    let said = setting.says("ada", &["team", "ls", "@house:cooks", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON"), json!(["ada", "bob"]));
    let refused = setting.fails("ada", &["team", "add", "@house:cooks", "cy"]).await;
    assert!(refused.contains("User must be an org member before joining a team"), "{refused}");
    let said = setting.says("ada", &["team", "rm", "@house:cooks", "bob"]).await;
    assert_eq!(said, "bob removed from @house:cooks");
    assert_eq!(setting.says("ada", &["team", "destroy", "@house:cooks"]).await, "-@house:cooks");
    let said = setting.says("ada", &["org", "rm", "house", "bob"]).await;
    assert_eq!(said, "Successfully removed bob from house. You now have 2 members in this org.");
    setting.garden.mirror.finish().await;
}

#[tokio::test]
async fn npm_closes_a_package_and_installs_it_for_those_it_is_for() {
    let _turn = TURN.lock().await;
    let Some(setting) = Setting::new().await else { return };
    let view = ["view", SEEDS, "version"];
    assert_eq!(setting.says("nobody", &view).await, "1.1.0");
    setting.says("cy", &["team", "create", "@garden:growers"]).await;
    setting.says("cy", &["team", "add", "@garden:growers", "bob"]).await;
    let grant = ["access", "grant", "read-only", "@garden:growers", SEEDS];
    let refused = setting.fails("cy", &grant).await;
    assert!(refused.contains("not authorized to modify @garden/seeds"), "{refused}");
    setting.says("root", &grant).await;
    let status = ["access", "get", "status", SEEDS];
    assert_eq!(setting.says("bob", &status).await, "@garden/seeds: private");
    let said = setting.says("bob", &["access", "list", "packages", "@garden:growers"]).await;
    assert_eq!(said, "@garden/seeds: read-only");
    let said = setting.says("bob", &["access", "list", "packages"]).await;
    assert_eq!(said, "@garden/seeds: read-only");
    let said = setting.says("bob", &["access", "list", "packages", "garden"]).await;
    assert_eq!(said, "@garden/seeds: read-only");
    let said = setting.says("bob", &["access", "list", "collaborators", SEEDS]).await;
    assert!(said.contains("bob: read-only"), "{said}");

    assert_eq!(setting.says("bob", &view).await, "1.1.0");
    let refused = setting.fails("nobody", &view).await;
    assert!(refused.contains("E401"), "{refused}");
    let refused = setting.fails("ada", &["view", SEEDS, "version"]).await;
    assert!(refused.contains("\"ada\" is not authorized to access @garden/seeds"), "{refused}");
    let project = setting.scratch.path().join("project");
    std::fs::create_dir_all(&project).expect("a folder");
    std::fs::write(project.join("package.json"), "{}").expect("a file");
    for (who, installs) in [("ada", false), ("bob", true)] {
        let mut install = setting.npm(who, &["install", SEEDS]);
        install.current_dir(&project);
        let output = run(install).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), installs, "{who}: {errors}");
        let manifest = Path::new("node_modules/@garden/seeds/package.json");
        assert_eq!(project.join(manifest).exists(), installs, "{who}");
    }

    setting.says("root", &["access", "revoke", "@garden:growers", SEEDS]).await;
    assert_eq!(setting.says("nobody", &status).await, "@garden/seeds: public");
    let said = setting.says("root", &["access", "set", "status=private", SEEDS]).await;
    assert_eq!(said, "@garden/seeds: private");
    setting.fails("nobody", &view).await;
    let said = setting.says("root", &["access", "set", "status=public", SEEDS]).await;
    assert_eq!(said, "@garden/seeds: public");
    assert_eq!(setting.says("nobody", &view).await, "1.1.0");
    setting.says("root", &["access", "set", "mfa=none", SEEDS]).await;
    setting.fails("root", &["access", "set", "mfa=publish", SEEDS]).await;
    setting.fails("root", &["access", "set", "status=private", "lamp"]).await;
    setting.garden.mirror.finish().await;
}

#[tokio::test]
async fn npm_stars_packages_of_an_upstream() {
    let _turn = TURN.lock().await;
    let Some(setting) = Setting::new().await else { return };
    for (name, starred) in [("lamp", "lamp"), ("@garden/soil", "@garden/soil\nlamp")] {
        let said = setting.says("ada", &["star", name]).await;
        assert!(said.ends_with(name), "{said}");
        assert_eq!(setting.says("ada", &["stars"]).await, starred);
        assert_eq!(setting.says("nobody", &["stars", "ada"]).await, starred);
    }
    setting.says("ada", &["unstar", "lamp"]).await;
    assert_eq!(setting.says("ada", &["stars"]).await, "@garden/soil");
    setting.fails("nobody", &["star", "lamp"]).await;
    setting.garden.mirror.finish().await;
}

#[tokio::test]
async fn the_libraries_of_npm_are_answered_as_they_expect() {
    let _turn = TURN.lock().await;
    let Some(setting) = Setting::new().await else { return };
    let garden = &setting.garden;
    garden.root("PUT", "/-/org", json!({ "name": "house" })).await;
    let root = run(setting.npm("root", &["root", "--global"])).await;
    let modules = format!("{}/npm/node_modules", String::from_utf8_lossy(&root.stdout).trim());
    if !Path::new(&modules).join("libnpmaccess").is_dir() {
        eprintln!("left out: the installed npm has its libraries elsewhere");
        return;
    }
    let script = setting.scratch.path().join("access.cjs");
    std::fs::write(&script, LIBRARIES).expect("a file");
    let mut node = Command::new("node");
    node.arg(&script).args([&modules, &format!("{}/", garden.mirror.url()), &garden.root]);
    let output = run(node).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        told,
        json!([
            ["org.set", { "org": { "name": "house", "size": 2 }, "user": "bob", "role": "admin" }],
            ["org.ls", { "bob": "admin", "root": "owner" }],
            ["team.create", { "ok": true }],
            ["team.lsTeams", ["garden:growers"]],
            ["team.add", { "ok": true }],
            ["team.lsUsers", ["bob", "root"]],
            ["access.setPermissions", true],
            ["access.getPackages of a team", { "@garden/seeds": "write" }],
            ["access.getPackages of an org", { "@garden/seeds": "write" }],
            ["access.getPackages of a user", { "@garden/seeds": "write" }],
            ["access.getPackages of nobody", { "status": 404 }],
            ["access.getCollaborators", { "bob": "write", "root": "write" }],
            ["access.getVisibility", { "public": false }],
            ["access.setAccess", true],
            ["access.getVisibility", { "public": true }],
            ["access.setMfa none", true],
            ["access.setMfa publish", { "status": 422 }],
            ["access.removePermissions", true],
            ["team.rm", true],
            ["team.destroy", true],
            ["team.lsUsers of none", { "status": 404 }],
            ["org.rm", null],
            ["org.ls", { "root": "owner" }],
        ])
    );
    setting.garden.mirror.finish().await;
}
