//! Orgs, teams, packages with readers of their own, stars.

mod gate;
mod leaks;
mod names;
mod nodes;
mod orgs;
mod stars;
mod teams;

use npm::PackageName;
use serde_json::{Value, json};
use store::{WriteFn, maintainers};

use crate::harness::{Answer, Package, TestMirror, TokenKind};

/// A mirror with two packages of an upstream in `@garden`, a scope that became ours and open to
/// every user, one of an upstream that stays its own, and people.
pub struct Garden {
    pub mirror: TestMirror,
    pub root: String,
    ada: String,
    bob: String,
    cy: String,
}

pub const SEEDS: &str = "@garden/seeds";

impl Garden {
    pub async fn start() -> Self {
        let packages = [
            Package::new(SEEDS).version("1.0.0").version("1.1.0"),
            Package::new("@garden/soil").version("2.0.0"),
            Package::new("lamp").version("1.0.0"),
        ];
        let mut mirror = TestMirror::with(&packages).await;
        // one after another, so that seqs follow the order
        for name in [SEEDS, "@garden/soil", "lamp"] {
            mirror.sync(&[name]).await;
        }
        mirror.change_engine(|settings| settings.private_scopes = vec!["garden".into()]).await;
        Self::people(mirror).await
    }

    async fn people(mirror: TestMirror) -> Self {
        let (root, _) = mirror.token("root", TokenKind::Admin).await;
        let (ada, _) = mirror.token("ada", TokenKind::User).await;
        let (bob, _) = mirror.token("bob", TokenKind::User).await;
        let (cy, _) = mirror.token("cy", TokenKind::User).await;
        Self { mirror, root, ada, bob, cy }
    }

    /// The token of one of the people; nobody has none.
    pub fn token_of(&self, who: &str) -> &str {
        match who {
            "root" => &self.root,
            "ada" => &self.ada,
            "bob" => &self.bob,
            "cy" => &self.cy,
            _ => "",
        }
    }

    async fn send(&self, method: &str, target: &str, token: &str, body: &Value) -> Answer {
        let request = self.mirror.request(method, target);
        let request = if token.is_empty() { request } else { request.token(token) };
        match body {
            Value::Null => request.send().await,
            body => request.json(body).send().await,
        }
    }

    /// As an admin of the mirror; it has to work.
    pub async fn root(&self, method: &str, target: &str, body: Value) -> Value {
        self.send(method, target, &self.root, &body).await.expect(200).json()
    }

    async fn get(&self, target: &str, token: &str) -> Answer {
        self.send("GET", target, token, &Value::Null).await
    }

    /// What anybody is told.
    async fn get_owned(&self, target: String) -> Value {
        self.get(&target, "").await.expect(200).json()
    }

    /// The error of a request that is refused.
    async fn refused(
        &self,
        (method, target): (&str, &str),
        token: &str,
        body: Value,
        status: u16,
    ) -> String {
        let answer = self.send(method, target, token, &body).await;
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
        answer.error()
    }

    /// Makes these the maintainers of a package that nobody has read yet.
    async fn maintain(&self, package: &str, users: &[&str]) {
        let name = PackageName::parse(package).expect("a name");
        let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
        let write: WriteFn = Box::new(move |rows| maintainers::replace(rows, &name, &users));
        self.mirror.engine().write(write).await.expect("a writable store");
    }

    /// The org `@garden` with a team of bob's.
    async fn growers(&self) {
        self.root("PUT", "/-/org/garden/team", json!({ "name": "growers" })).await;
        self.root("PUT", "/-/team/garden/growers/user", json!({ "user": "bob" })).await;
    }

    /// The same in an org that somebody made.
    async fn growers_of_org(&self) {
        self.root("PUT", "/-/org/garden/member", json!({ "user": "bob" })).await;
        self.growers().await;
    }

    async fn grant(&self, package: &str) {
        let body = json!({ "package": package, "permissions": "read-only" });
        self.root("PUT", "/-/team/garden/growers/package", body).await;
    }

    async fn revoke(&self, package: &str) {
        let body = json!({ "package": package });
        self.root("DELETE", "/-/team/garden/growers/package", body).await;
    }
}
