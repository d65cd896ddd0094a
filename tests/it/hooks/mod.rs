//! Hooks: the routes of `npm hook`, what receivers hear, and what becomes of what they do not take.

mod actions;
mod api;
mod closed;
mod commands;
mod deliveries;
mod failures;
mod kills;
mod nodes;

use std::time::Duration;

use actors::hook_dispatcher::HookSettings;
use npm::hook::sign;
use serde_json::{Value, json};

use crate::harness::{HookReceiver, Package, Received, TestMirror, TokenKind, until};

const SECRET: &str = "s3cr3t of a hook";

/// Deliveries on loopback, tried again at once.
fn quickly(hooks: &mut HookSettings) {
    hooks.allow_private = vec!["127.0.0.0/8".parse().expect("a range")];
    hooks.first_retry = Duration::from_millis(20);
    hooks.timeout = Duration::from_secs(5);
}

/// A mirror whose hooks may reach this machine, with a receiver and the token of user `ada`.
struct World {
    mirror: TestMirror,
    receiver: HookReceiver,
    ada: String,
}

impl World {
    async fn start(packages: &[Package]) -> Self {
        Self::with(packages, |_| ()).await
    }

    async fn with(packages: &[Package], change: impl FnOnce(&mut HookSettings)) -> Self {
        let builder = TestMirror::builder().packages(packages).engine(|engine| {
            quickly(&mut engine.hooks);
            change(&mut engine.hooks);
        });
        let mirror = builder.start().await;
        let (ada, _) = mirror.token("ada", TokenKind::User).await;
        Self { mirror, receiver: HookReceiver::start().await, ada }
    }

    /// Makes a hook of `ada`; its id.
    async fn hook(&self, kind: &str, name: &str, path: &str) -> String {
        self.hook_to(kind, name, &self.receiver.url(path)).await
    }

    async fn hook_to(&self, kind: &str, name: &str, endpoint: &str) -> String {
        self.hook_by(&self.ada, kind, name, endpoint).await
    }

    async fn hook_by(&self, token: &str, kind: &str, name: &str, endpoint: &str) -> String {
        let wish = json!({ "type": kind, "name": name, "endpoint": endpoint, "secret": SECRET });
        let made = self.mirror.request("POST", "/-/npm/v1/hooks/hook").token(token);
        let made = made.json(&wish).send().await.expect(201).json();
        made["id"].as_str().expect("an id").to_owned()
    }

    /// What a route below the hook answers.
    async fn get(&self, id: &str, rest: &str) -> Value {
        let path = format!("/-/npm/v1/hooks/hook/{id}{rest}");
        self.mirror.get(&path).token(&self.ada).send().await.expect(200).json()
    }

    /// The deliveries of a hook, oldest first.
    async fn deliveries(&self, id: &str) -> Vec<Value> {
        let list = self.get(id, "/deliveries?limit=100").await;
        let mut list = list["objects"].as_array().expect("a list").clone();
        list.reverse();
        list
    }

    /// Waits until every delivery of a hook is in this state.
    async fn all(&self, id: &str, state: &str, many: usize) -> Vec<Value> {
        until(&format!("{many} deliveries that are {state}"), || async {
            let list = self.deliveries(id).await;
            let good = list.iter().filter(|delivery| delivery["state"] == state).count();
            (good == many && list.len() == many).then_some(list)
        })
        .await
    }
}

fn lines(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::line).collect()
}

fn check_signature(received: &Received) {
    assert_eq!(received.headers["x-npm-signature"], sign(SECRET, &[&received.body]));
    assert_eq!(received.headers["content-type"], "application/json");
}
