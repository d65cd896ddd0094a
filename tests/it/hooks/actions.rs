//! What each action tells hooks: everything that a person or an upstream does to a package.

use serde_json::{Value, json};

use super::deliveries::{edited, maintained};
use super::{World, lines, quickly};
use crate::harness::{Answer, HookReceiver, Package, TokenKind, Version};
use crate::publish::{body_of, builder};

const UI: &str = "/@garden%2fui";
const TAGS: &str = "/-/package/@garden%2fui/dist-tags";

/// An action and what hooks hear of it.
type Told = (&'static str, &'static [&'static str]);

/// What people do, in an order in which it can be done.
const PUBLISHING: [Told; 17] = [
    (
        "publish 1.0.0 latest",
        &[
            r#"package:publish {"dist-tag":"latest","version":"1.0.0"}"#,
            r#"package:dist-tag {"dist-tag":"latest"}"#,
        ],
    ),
    (
        "publish 2.0.0 next",
        &[
            r#"package:publish {"dist-tag":"next","version":"2.0.0"}"#,
            r#"package:dist-tag {"dist-tag":"next"}"#,
        ],
    ),
    ("publish 2.0.0 next", &[]), // sent again: whoever got no answer
    ("tag stable 1.0.0", &[r#"package:dist-tag {"dist-tag":"stable"}"#]),
    ("tag stable 1.0.0", &[]),
    ("untag stable", &[r#"package:dist-tag-rm {"dist-tag":"stable"}"#]),
    ("deprecate 1.0.0 old", &[r#"package:deprecated {"deprecated":"1.0.0"}"#]),
    ("deprecate 1.0.0 older", &[r#"package:deprecated {"deprecated":"1.0.0"}"#]),
    ("deprecate 1.0.0", &[r#"package:undeprecated {"deprecated":"1.0.0"}"#]),
    (
        "owners ada bob",
        &[r#"package:owner {"maintainer":"ada"}"#, r#"package:owner {"maintainer":"bob"}"#],
    ),
    (
        "owners ada",
        &[r#"package:owner {"maintainer":"ada"}"#, r#"package:owner-rm {"maintainer":"bob"}"#],
    ),
    ("star", &[r#"package:star {"user":"ada"}"#]),
    ("star", &[]),
    ("unstar", &[r#"package:unstar {"user":"ada"}"#]),
    ("restrict", &[]), // no event has a name for it
    (
        "unpublish 2.0.0",
        &[
            r#"package:unpublish {"dist-tag":"next","version":"2.0.0"}"#,
            r#"package:dist-tag-rm {"dist-tag":"next"}"#,
        ],
    ),
    ("unpublish", &["package:unpublish {}"]),
];

async fn send(world: &World, method: &str, path: &str, body: Value, command: &str) -> Answer {
    let request = world.mirror.request(method, path).token(&world.ada);
    let request = request.header("npm-command", command);
    if body.is_null() { request.send().await } else { request.json(&body).send().await }
}

async fn act(world: &World, action: &str) -> Answer {
    let words: Vec<&str> = action.split(' ').collect();
    match words.as_slice() {
        ["publish", number, tag] => {
            let version = Version::new("@garden/ui", number, 300);
            send(world, "PUT", UI, body_of("@garden/ui", &version, tag), "publish").await
        }
        ["tag", tag, number] => {
            send(world, "PUT", &format!("{TAGS}/{tag}"), json!(number), "dist-tag").await
        }
        ["untag", tag] => {
            send(world, "DELETE", &format!("{TAGS}/{tag}"), Value::Null, "dist-tag").await
        }
        ["deprecate", number, text @ ..] => {
            let mut full = world.mirror.get(UI).send().await.expect(200).json();
            full["versions"][number]["deprecated"] = json!(text.join(" "));
            send(world, "PUT", UI, full, "deprecate").await
        }
        ["owners", names @ ..] => {
            let person = |name: &&str| json!({ "name": name, "email": "a@b" });
            let people: Vec<Value> = names.iter().map(person).collect();
            let body = json!({ "_id": "@garden/ui", "maintainers": people });
            send(world, "PUT", &format!("{UI}/-rev/1-x"), body, "owner").await
        }
        ["star"] => {
            let body = json!({ "_id": "@garden/ui", "users": { "ada": true } });
            send(world, "PUT", UI, body, "star").await
        }
        ["unstar"] => {
            send(world, "DELETE", "/-/user/v1/star", json!({ "name": "@garden/ui" }), "").await
        }
        ["restrict"] => {
            let body = json!({ "access": "restricted" });
            send(world, "POST", "/-/package/@garden%2fui/access", body, "access").await
        }
        ["unpublish", number] => {
            let path = format!("/@garden/ui/-/ui-{number}.tgz/-rev/2-x");
            send(world, "DELETE", &path, Value::Null, "unpublish").await
        }
        ["unpublish"] => {
            send(world, "DELETE", &format!("{UI}/-rev/9"), Value::Null, "unpublish").await
        }
        _ => panic!("nobody knows how to {action}"),
    }
}

#[tokio::test]
async fn every_action_of_publishing_is_told_to_hooks_of_every_kind() {
    let mirror = builder().engine(|engine| quickly(&mut engine.hooks)).start().await;
    let (ada, _) = mirror.token("ada", TokenKind::User).await;
    mirror.token("bob", TokenKind::User).await;
    let world = World { mirror, receiver: HookReceiver::start().await, ada };
    let (of_scope, of_owner) = (HookReceiver::start().await, HookReceiver::start().await);
    world.hook("package", "@garden/ui", "/in").await;
    world.hook_to("scope", "@garden", &of_scope.url("/in")).await;
    world.hook_to("owner", "ada", &of_owner.url("/in")).await;
    let mut all: Vec<&str> = Vec::new();
    for (action, events) in PUBLISHING {
        let answer = act(&world, action).await;
        assert!((200..300).contains(&answer.status), "{action}: {}", answer.text());
        let received = world.receiver.wait_for(all.len() + events.len()).await;
        assert_eq!(lines(&received[all.len()..]), events, "{action}");
        all.extend(events);
    }
    for other in [of_scope, of_owner] {
        assert_eq!(lines(&other.wait_for(all.len()).await), all);
    }
    world.mirror.finish().await;
}

#[tokio::test]
async fn every_change_that_a_sync_brings_is_told_and_stars_of_what_is_mirrored_too() {
    let package = |versions: &[&str]| {
        let lamp = versions.iter().fold(Package::new("lamp"), |lamp, one| lamp.version(one));
        maintained(lamp, &["eve"])
    };
    let deprecated = edited(package(&["1.0.0", "2.0.0"]), "1.0.0", "deprecated", json!("old"));
    let steps: [(Package, &[&str]); 8] = [
        (
            package(&["1.0.0"]),
            &[
                r#"package:publish {"dist-tag":"latest","version":"1.0.0"}"#,
                r#"package:dist-tag {"dist-tag":"latest"}"#,
            ],
        ),
        (
            package(&["1.0.0", "2.0.0"]),
            &[
                r#"package:publish {"dist-tag":"latest","version":"2.0.0"}"#,
                r#"package:dist-tag {"dist-tag":"latest"}"#,
            ],
        ),
        (
            package(&["1.0.0", "2.0.0"]).tag("old", "1.0.0"),
            &[r#"package:dist-tag {"dist-tag":"old"}"#],
        ),
        (package(&["1.0.0", "2.0.0"]), &[r#"package:dist-tag-rm {"dist-tag":"old"}"#]),
        (deprecated.clone(), &[r#"package:deprecated {"deprecated":"1.0.0"}"#]),
        (package(&["1.0.0", "2.0.0"]), &[r#"package:undeprecated {"deprecated":"1.0.0"}"#]),
        (
            maintained(package(&["1.0.0", "2.0.0"]), &["eve", "bob"]),
            &[r#"package:owner {"maintainer":"eve"}"#, r#"package:owner {"maintainer":"bob"}"#],
        ),
        (
            package(&["1.0.0", "2.0.0"]).without("1.0.0"),
            &[
                r#"package:unpublish {"version":"1.0.0"}"#,
                r#"package:owner-rm {"maintainer":"bob"}"#,
            ],
        ),
    ];
    let world = World::start(&[]).await;
    let of_eve = HookReceiver::start().await;
    world.hook("package", "lamp", "/in").await;
    world.hook_to("owner", "eve", &of_eve.url("/in")).await;
    let mut all: Vec<&str> = Vec::new();
    for (package, events) in steps {
        world.mirror.upstream.publish(&package);
        world.mirror.sync(&["lamp"]).await;
        let received = world.receiver.wait_for(all.len() + events.len()).await;
        assert_eq!(lines(&received[all.len()..]), events);
        all.extend(events);
    }
    let star = json!({ "name": "lamp" });
    send(&world, "PUT", "/-/user/v1/star", star.clone(), "").await.expect(200);
    send(&world, "DELETE", "/-/user/v1/star", star, "").await.expect(200);
    all.extend([r#"package:star {"user":"ada"}"#, r#"package:unstar {"user":"ada"}"#]);
    assert_eq!(lines(&of_eve.wait_for(all.len()).await), all);
    assert_eq!(lines(&world.receiver.wait_for(all.len()).await), all);
    world.mirror.finish().await;
}
