//! Hooks hear of nothing that their owners may not read, whenever that was decided.

use serde_json::{Value, json};
use store::WriteFn;

use super::{World, lines, quickly};
use crate::harness::{HookReceiver, Reply, TokenKind, until};
use crate::publish::{body_of, builder, publish, send};

const SEEDS: &str = "@garden/seeds";
const SOIL: &str = "@garden/soil";

/// `@garden`, where ada publishes; bob is in a team that has the seeds, eve in none.
struct Garden {
    world: World,
    root: String,
    bob: String,
    eve: String,
}

impl Garden {
    async fn start() -> Self {
        let mirror = builder().engine(|engine| quickly(&mut engine.hooks)).start().await;
        let (ada, _) = mirror.token("ada", TokenKind::User).await;
        let (bob, _) = mirror.token("bob", TokenKind::User).await;
        let (eve, _) = mirror.token("eve", TokenKind::User).await;
        let (root, _) = mirror.token("root", TokenKind::Admin).await;
        let world = World { mirror, receiver: HookReceiver::start().await, ada };
        let garden = Self { world, root, bob, eve };
        garden.ask("PUT", "/-/org/garden/team", json!({ "name": "growers" })).await;
        garden.ask("PUT", "/-/team/garden/growers/user", json!({ "user": "bob" })).await;
        garden
    }

    async fn ask(&self, method: &str, path: &str, body: Value) {
        let request = self.world.mirror.request(method, path).token(&self.root);
        request.json(&body).send().await.expect(200);
    }

    async fn close(&self, package: &str) {
        let body = json!({ "package": package, "permissions": "read-only" });
        self.ask("PUT", "/-/team/garden/growers/package", body).await;
    }

    async fn open(&self, package: &str) {
        let body = json!({ "package": package });
        self.ask("DELETE", "/-/team/garden/growers/package", body).await;
    }

    async fn publish(&self, name: &str, version: &str) {
        publish(&self.world.mirror, &self.world.ada, name, version).await.expect(201);
    }

    /// A hook of somebody, called under a path of its own.
    async fn hook(&self, token: &str, kind: &str, name: &str, path: &str) -> String {
        self.world.hook_by(token, kind, name, &self.world.receiver.url(path)).await
    }

    /// What came under a path: package and version of each event of publishing.
    fn told(&self, path: &str) -> Vec<String> {
        let received = self.world.receiver.received();
        let of_path = received.iter().filter(|one| one.path == path).map(|one| one.json());
        let published = of_path.filter(|json| json["event"] == "package:publish");
        let shown = |json: &Value| json["change"]["version"].as_str().map(str::to_owned);
        published
            .map(|json| format!("{}@{}", json["name"].as_str().unwrap(), shown(&json).unwrap()))
            .collect()
    }

    /// The rows of a hook once none of them waits, oldest first: state and reason.
    async fn ended(&self, hook: &str, many: usize) -> Vec<(String, Option<String>)> {
        until(&format!("{many} deliveries that ended"), || async {
            let hook = hook.to_owned();
            let read =
                move |rows: &mut _| store::hooks::history::list(rows, &hook, None, 100, |_| true);
            let rows = self.world.mirror.store().read(read).await.expect("rows").rows;
            let ended = rows.iter().all(|row| row.state != "waiting");
            let states = rows.into_iter().rev().map(|row| (row.state, row.reason)).collect();
            Some(states).filter(|rows: &Vec<_>| ended && rows.len() == many)
        })
        .await
    }

    async fn history(&self, token: &str, hook: &str) -> Vec<Value> {
        let path = format!("/-/npm/v1/hooks/hook/{hook}/deliveries");
        let list = self.world.mirror.get(&path).token(token).send().await.expect(200).json();
        list["objects"].as_array().expect("a list").clone()
    }
}

fn skipped() -> (String, Option<String>) {
    let why = "the owner of the hook may not read the package";
    ("skipped".to_owned(), Some(why.to_owned()))
}

fn delivered() -> (String, Option<String>) {
    ("delivered".to_owned(), None)
}

#[tokio::test]
async fn what_is_closed_is_told_to_those_alone_who_may_read_it_until_it_is_open_again() {
    let garden = Garden::start().await;
    garden.publish(SEEDS, "1.0.0").await;
    garden.publish(SOIL, "1.0.0").await;
    garden.close(SEEDS).await;
    let eve = garden.hook(&garden.eve, "scope", "@garden", "/eve").await;
    let of_ada = garden.hook(&garden.eve, "owner", "ada", "/owner").await;
    let bob = garden.hook(&garden.bob, "package", SEEDS, "/bob").await;
    let ada = garden.hook(&garden.world.ada, "package", SEEDS, "/ada").await;
    let root = garden.hook(&garden.root, "scope", "@garden", "/root").await;
    garden.publish(SEEDS, "1.1.0").await;
    garden.publish(SOIL, "1.1.0").await;
    let (yes, no) = (delivered(), skipped());
    let mixed = [no.clone(), no.clone(), yes.clone(), yes.clone()];
    assert_eq!(garden.ended(&eve, 4).await, mixed);
    assert_eq!(garden.ended(&of_ada, 4).await, mixed);
    assert_eq!(garden.ended(&bob, 2).await, [yes.clone(), yes.clone()]);
    assert_eq!(garden.ended(&ada, 2).await, [yes.clone(), yes.clone()]);
    assert_eq!(garden.ended(&root, 4).await, vec![yes; 4]);
    for (path, told) in [
        ("/eve", &["@garden/soil@1.1.0"][..]),
        ("/owner", &["@garden/soil@1.1.0"]),
        ("/bob", &["@garden/seeds@1.1.0"]),
        ("/ada", &["@garden/seeds@1.1.0"]),
    ] {
        assert_eq!(garden.told(path), told, "{path}");
    }

    // nor does the history of a hook tell what its owner may not read
    let seen = garden.history(&garden.eve, &eve).await;
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|one| one["package"] == SOIL), "{seen:?}");
    let of_root = garden.history(&garden.root, &root).await;
    assert_eq!(of_root.len(), 4);
    let hook = eve.clone();
    let read = move |rows: &mut _| store::hooks::history::list(rows, &hook, None, 9, |_| true);
    let hidden = garden.world.mirror.store().read(read).await.expect("rows").rows.remove(3).id;
    let hidden = format!("/-/npm/v1/hooks/hook/{eve}/deliveries/{hidden}");
    let get = garden.world.mirror.get(&hidden).token(&garden.eve);
    assert!(get.send().await.expect(404).error().contains("not found"));
    let again = format!("{hidden}/redeliver");
    garden.world.mirror.request("POST", &again).token(&garden.eve).send().await.expect(404);

    garden.open(SEEDS).await;
    garden.publish(SEEDS, "1.2.0").await;
    let open = garden.ended(&eve, 6).await;
    assert_eq!(open[4..], [delivered(), delivered()]);
    assert_eq!(garden.told("/eve"), ["@garden/soil@1.1.0", "@garden/seeds@1.2.0"]);
    // what was kept back stays so, and is shown with its reason
    let seen = garden.history(&garden.eve, &eve).await;
    let kept_back: Vec<_> = seen.iter().filter(|one| one["state"] == "skipped").collect();
    assert_eq!(kept_back.len(), 2);
    assert_eq!(kept_back[0]["reason"].as_str(), skipped().1.as_deref());
    garden.world.mirror.finish().await;
}

#[tokio::test]
async fn a_right_that_is_taken_away_behind_the_event_drops_what_was_not_delivered_yet() {
    let garden = Garden::start().await;
    garden.publish(SEEDS, "1.0.0").await;
    garden.close(SEEDS).await;
    garden.world.receiver.answer(|_| Reply::Status(503));
    let bob = garden.hook(&garden.bob, "package", SEEDS, "/bob").await;
    let root = garden.hook(&garden.root, "package", SEEDS, "/root").await;
    garden.publish(SEEDS, "1.1.0").await;
    until("a try in vain", || async {
        let tried = garden.history(&garden.bob, &bob).await;
        tried.iter().any(|one| one["attempts"] != 0).then_some(())
    })
    .await;
    garden.ask("DELETE", "/-/team/garden/growers/user", json!({ "user": "bob" })).await;
    garden.world.receiver.answer(|received| match received.path.as_str() {
        // whatever is on its way was allowed when it was sent
        "/bob" => Reply::Status(503),
        _ => Reply::Status(200),
    });
    assert_eq!(garden.ended(&bob, 2).await, [skipped(), skipped()]);
    assert_eq!(garden.ended(&root, 2).await, [delivered(), delivered()]);
    // a grant that ends altogether opens the package
    let before = garden.told("/bob").len();
    garden.world.receiver.answer(|_| Reply::Status(200));
    garden.publish(SEEDS, "1.2.0").await;
    assert_eq!(garden.ended(&bob, 4).await[2..], [skipped(), skipped()]);
    assert_eq!(garden.told("/bob").len(), before);
    garden.open(SEEDS).await;
    garden.publish(SEEDS, "1.3.0").await;
    assert_eq!(garden.ended(&bob, 6).await[4..], [delivered(), delivered()]);
    garden.world.mirror.finish().await;
}

#[tokio::test]
async fn a_package_that_is_closed_from_its_first_version_to_its_last_is_told_to_its_maintainers() {
    let garden = Garden::start().await;
    let eve = garden.hook(&garden.eve, "scope", "@garden", "/eve").await;
    let ada = garden.hook(&garden.world.ada, "scope", "@garden", "/ada").await;
    let version = crate::harness::Version::new(SEEDS, "1.0.0", 300);
    let mut body = body_of(SEEDS, &version, "latest");
    body["access"] = json!("restricted");
    send(&garden.world.mirror, &garden.world.ada, SEEDS, &body).await.expect(201);
    let whole = "/@garden%2fseeds/-rev/1-0";
    let unpublish = garden.world.mirror.request("DELETE", whole).token(&garden.world.ada);
    let unpublish = unpublish.header("npm-command", "unpublish");
    unpublish.send().await.expect(200);
    assert_eq!(garden.ended(&eve, 3).await, [skipped(), skipped(), skipped()]);
    assert_eq!(garden.ended(&ada, 3).await, [delivered(), delivered(), delivered()]);
    let received = garden.world.receiver.received();
    assert!(received.iter().all(|one| one.path == "/ada"));
    assert_eq!(lines(&received)[2], "package:unpublish {}");
    garden.world.mirror.finish().await;
}

#[tokio::test]
async fn a_hook_on_what_is_closed_is_made_and_tried_like_one_on_what_is_not_there() {
    let garden = Garden::start().await;
    garden.publish(SEEDS, "1.0.0").await;
    garden.close(SEEDS).await;
    let mut answers = Vec::new();
    for (name, path) in [(SEEDS, "/closed"), ("@garden/weeds", "/missing")] {
        let id = garden.hook(&garden.eve, "package", name, path).await;
        let tried = format!("/-/npm/v1/hooks/hook/{id}/test");
        let tried = garden.world.mirror.request("POST", &tried).token(&garden.eve).send().await;
        assert_eq!(tried.expect(200).json()["delivered"], true);
        let mut received = garden.world.receiver.received().pop().expect("a delivery").json();
        assert_eq!(received["name"], name);
        for differs in ["name", "time", "delivery"] {
            received[differs] = Value::Null;
        }
        answers.push(received);
    }
    assert_eq!(answers[0]["payload"], Value::Null);
    assert_eq!(answers[0], answers[1]);
    // who may read it gets the document
    let id = garden.hook(&garden.bob, "package", SEEDS, "/open").await;
    let tried = format!("/-/npm/v1/hooks/hook/{id}/test");
    garden.world.mirror.request("POST", &tried).token(&garden.bob).send().await.expect(200);
    let received = garden.world.receiver.received().pop().expect("a delivery").json();
    assert_eq!(received["payload"]["name"], SEEDS);
    garden.world.mirror.finish().await;
}

#[tokio::test]
async fn an_admin_hears_of_everything_until_he_is_none() {
    let garden = Garden::start().await;
    garden.publish(SEEDS, "1.0.0").await;
    garden.close(SEEDS).await;
    // who made the team is in it
    garden.ask("DELETE", "/-/team/garden/growers/user", json!({ "user": "root" })).await;
    let root = garden.hook(&garden.root, "package", SEEDS, "/root").await;
    garden.publish(SEEDS, "1.1.0").await;
    assert_eq!(garden.ended(&root, 2).await, [delivered(), delivered()]);
    let plain = store::users::UserChange { admin: Some(false), ..Default::default() };
    let write: WriteFn = Box::new(move |rows| store::users::change(rows, "root", &plain).map(drop));
    garden.world.mirror.engine().write(write).await.expect("a writable store");
    garden.publish(SEEDS, "1.2.0").await;
    assert_eq!(garden.ended(&root, 4).await[2..], [skipped(), skipped()]);
    garden.world.mirror.finish().await;
}
