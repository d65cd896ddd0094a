//! Receivers that fail in every way, and that nobody else suffers from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::{World, lines};
use crate::harness::{Package, Reply, until};

fn lamp() -> Package {
    Package::new("lamp").version("1.0.0")
}

/// The script that answers so the first times and takes everything after that.
fn first(times: usize, reply: Reply) -> impl Fn(&crate::harness::Received) -> Reply {
    let count = AtomicUsize::new(0);
    move |_| match count.fetch_add(1, Ordering::Relaxed) < times {
        true => reply.clone(),
        false => Reply::Status(200),
    }
}

#[tokio::test]
async fn what_fails_is_tried_again_with_the_same_id_before_what_follows_it() {
    for reply in [
        Reply::Status(500),
        Reply::Status(404),
        Reply::With(302, "location", "http://127.0.0.1:1/".into()),
        Reply::With(429, "retry-after", "0".into()),
        Reply::Garbage,
        Reply::Cut,
    ] {
        let world = World::start(&[lamp()]).await;
        world.receiver.answer(first(2, reply.clone()));
        let id = world.hook("package", "lamp", "/in").await;
        world.mirror.sync(&["lamp"]).await;
        let delivered = world.all(&id, "delivered", 2).await;
        let received = world.receiver.received();
        let publish = r#"package:publish {"dist-tag":"latest","version":"1.0.0"}"#;
        let told = [publish, publish, publish, r#"package:dist-tag {"dist-tag":"latest"}"#];
        assert_eq!(lines(&received), told, "{reply:?}");
        assert_eq!(received[0].id(), received[2].id());
        assert_eq!(delivered[0]["attempts"], 3, "{reply:?}");
        let rest = format!("/deliveries/{}", delivered[0]["id"].as_str().expect("an id"));
        let tries = world.get(&id, &rest).await["tries"].as_array().expect("tries").clone();
        assert_eq!(tries.len(), 3);
        let told = tries[0]["error"].as_str().expect("a reason");
        match &reply {
            Reply::Status(code) | Reply::With(code, ..) => {
                assert_eq!(tries[0]["response_code"], *code);
                assert!(told.starts_with(&format!("answered {code}")), "{told}");
            }
            _ => assert_eq!(tries[0]["response_code"], 0),
        }
        world.mirror.finish().await;
    }
}

#[tokio::test]
async fn a_good_status_counts_whatever_becomes_of_the_body() {
    let world = World::start(&[lamp()]).await;
    world.receiver.answer(|_| Reply::HalfBody);
    let id = world.hook("package", "lamp", "/in").await;
    world.mirror.sync(&["lamp"]).await;
    world.all(&id, "delivered", 2).await;
    assert_eq!(world.receiver.received().len(), 2);
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_neither_other_hooks_nor_syncs() {
    let packages: Vec<Package> =
        (0..40).map(|number| Package::new(&format!("@many/p{number}")).version("1.0.0")).collect();
    let world = World::with(&packages, |hooks| hooks.timeout = Duration::from_secs(60)).await;
    world.receiver.answer(|received| match received.path.as_str() {
        "/slow" => Reply::Hang,
        _ => Reply::Status(200),
    });
    let slow = world.hook("scope", "@many", "/slow").await;
    let quick = world.hook("owner", "ada", "/quick").await;
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    world.mirror.sync(&names).await;
    world.all(&quick, "delivered", 80).await;
    let hanging = world.receiver.received().iter().filter(|one| one.path == "/slow").count();
    assert!((1..=4).contains(&hanging), "{hanging} requests wait");
    assert_eq!(world.deliveries(&slow).await.len(), 80);
    world.receiver.answer(|_| Reply::Status(200));
    world.receiver.let_go();
    world.all(&slow, "delivered", 80).await;
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_failing_package_holds_up_only_itself() {
    let world = World::with(
        &[Package::new("@s/bad").version("1.0.0"), Package::new("@s/good").version("1.0.0")],
        |hooks| hooks.attempts = 3,
    )
    .await;
    world.receiver.answer(|received| match received.json()["name"].as_str() {
        Some("@s/bad") => Reply::Status(500),
        _ => Reply::Status(200),
    });
    let id = world.hook("scope", "@s", "/in").await;
    world.mirror.sync(&["@s/bad"]).await;
    world.mirror.sync(&["@s/good"]).await;
    let ended = until("an end of everything", || async {
        let list = world.deliveries(&id).await;
        let ended = list.iter().all(|delivery| delivery["state"] != "waiting");
        (ended && list.len() == 4).then_some(list)
    })
    .await;
    for delivery in &ended {
        let parked = delivery["package"] == "@s/bad";
        assert_eq!(delivery["state"], if parked { "parked" } else { "delivered" });
        assert_eq!(delivery["attempts"], if parked { 3 } else { 1 });
    }
    assert_eq!(ended[0]["last"]["error"], "answered 500");

    // and what is parked is sent again when somebody asks for it
    world.receiver.answer(|_| Reply::Status(202));
    let delivery = ended[0]["id"].as_str().expect("an id");
    let again = format!("/-/npm/v1/hooks/hook/{id}/deliveries/{delivery}/redeliver");
    world.mirror.request("POST", &again).token(&world.ada).send().await.expect(200);
    until("the delivery that was asked for", || async {
        let shown = world.get(&id, &format!("/deliveries/{delivery}")).await;
        (shown["state"] == "delivered").then(|| {
            assert_eq!(shown["attempts"], 4);
            assert_eq!(shown["tries"].as_array().expect("tries").len(), 4);
        })
    })
    .await;
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_hook_that_fails_for_long_is_paused_and_goes_on_when_it_is_changed() {
    let world = World::with(&[lamp()], |hooks| {
        hooks.pause_after = Duration::from_millis(200);
        hooks.attempts = 100;
    })
    .await;
    world.receiver.answer(|_| Reply::Status(503));
    let id = world.hook("package", "lamp", "/in").await;
    world.mirror.sync(&["lamp"]).await;
    let paused = until("a pause", || async {
        let hook = world.get(&id, "").await;
        (hook["status"] == "paused").then_some(hook)
    })
    .await;
    assert!(paused["paused"].as_str().is_some_and(|why| why.starts_with("every delivery failed")));
    let waiting = world.deliveries(&id).await;
    assert_eq!(waiting.len(), 2);
    let again = waiting[0]["id"].as_str().expect("an id");
    let again = format!("/-/npm/v1/hooks/hook/{id}/deliveries/{again}/redeliver");
    world.mirror.request("POST", &again).token(&world.ada).send().await.expect(409);
    world.receiver.answer(|_| Reply::Status(200));
    let update = json!({ "endpoint": world.receiver.url("/new"), "secret": super::SECRET });
    let path = format!("/-/npm/v1/hooks/hook/{id}");
    let changed = world.mirror.request("PUT", &path).token(&world.ada).json(&update).send().await;
    assert_eq!(changed.expect(200).json()["status"], "active");
    world.all(&id, "delivered", 2).await;
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_receiver_that_is_down_is_left_alone_and_gets_everything_when_it_is_back() {
    let mut world = World::start(&[]).await;
    let down = world.receiver.url("/in");
    let id = world.hook_to("scope", "@down", &down).await;
    world.receiver.answer(|_| Reply::Cut);
    let packages: Vec<Package> =
        (0..20).map(|number| Package::new(&format!("@down/p{number}")).version("1.0.0")).collect();
    for package in &packages {
        world.mirror.upstream.publish(package);
    }
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    world.mirror.sync(&names).await;
    world.receiver.wait_for(6).await;
    let tried = |list: &[Value]| list.iter().filter(|one| one["attempts"] != 0).count();
    let list = world.deliveries(&id).await;
    assert_eq!(list.len(), 40);
    assert!(tried(&list) < 20, "{} of 40 were tried in vain", tried(&list));
    world.mirror.restart().await;
    world.receiver.answer(|_| Reply::Status(200));
    world.all(&id, "delivered", 40).await;
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_name_that_leads_inside_is_never_connected_to() {
    let world = World::with(&[lamp()], |hooks| {
        hooks.allow_private = Vec::new();
        hooks.attempts = 1;
    })
    .await;
    let port = world.receiver.url("").rsplit(':').next().expect("a port").to_owned();
    let id = world.hook_to("package", "lamp", &format!("http://localhost:{port}/in")).await;
    let tried = format!("/-/npm/v1/hooks/hook/{id}/test");
    let tried = world.mirror.request("POST", &tried).token(&world.ada).send().await.expect(200);
    let why = tried.json()["attempt"]["error"].as_str().expect("a reason").to_owned();
    assert!(why.contains("loopback address, and hooks.allow_private does not list it"), "{why}");
    world.mirror.sync(&["lamp"]).await;
    world.all(&id, "parked", 3).await;
    assert!(world.receiver.received().is_empty());
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_try_by_hand_is_answered_at_once_and_stands_in_the_history() {
    let world = World::start(&[lamp()]).await;
    world.mirror.sync(&["lamp"]).await;
    let id = world.hook("package", "lamp", "/in").await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    world.receiver.answer(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Status(200),
        _ => Reply::Status(418),
    });
    let path = format!("/-/npm/v1/hooks/hook/{id}/test");
    for (delivered, code) in [(true, 200), (false, 418)] {
        let tried = world.mirror.request("POST", &path).token(&world.ada).send().await;
        let tried = tried.expect(200).json();
        assert_eq!(tried["delivered"], delivered);
        assert_eq!(tried["attempt"]["response_code"], code);
        let told = format!("the receiver says {code}");
        assert_eq!(tried["attempt"]["answer"], told);
    }
    let received = world.receiver.received();
    assert_eq!(lines(&received), ["hook:test {}", "hook:test {}"]);
    assert_eq!(received[0].json()["payload"]["name"], "lamp");
    let states: Vec<_> =
        world.deliveries(&id).await.iter().map(|delivery| delivery["state"].clone()).collect();
    assert_eq!(states, ["delivered", "parked"]);
    world.mirror.finish().await;
}

#[tokio::test]
async fn what_waits_too_long_for_a_paused_hook_is_dropped_and_said() {
    let mut world = World::start(&[lamp()]).await;
    let id = world.hook("package", "lamp", "/in").await;
    let by = store::audit::By::terminal("ada");
    world.mirror.engine().pause_hook(&id, "moving", by).await.expect("a pause");
    world.mirror.sync(&["lamp"]).await;
    assert_eq!(world.all(&id, "waiting", 2).await.len(), 2);
    world.mirror.change_engine(|engine| engine.hooks.keep_paused = Duration::ZERO).await;
    let dropped = world.all(&id, "skipped", 2).await;
    let why = "the hook was paused for too long (hooks.keep_paused)";
    assert!(dropped.iter().all(|one| one["reason"] == why), "{dropped:?}");
    until("a count of what was dropped", || async {
        (world.get(&id, "").await["dropped"] == 2).then_some(())
    })
    .await;
    let status = world.mirror.engine().describe().await.expect("a status");
    assert_eq!((status.hooks.dropped, status.hooks.waiting), (2, 0));
    // and what happens behind that is delivered
    let update = json!({ "endpoint": world.receiver.url("/new"), "secret": super::SECRET });
    let path = format!("/-/npm/v1/hooks/hook/{id}");
    world.mirror.request("PUT", &path).token(&world.ada).json(&update).send().await.expect(200);
    world.mirror.upstream.publish(&lamp().version("2.0.0"));
    world.mirror.sync(&["lamp"]).await;
    let latest = r#"package:publish {"dist-tag":"latest","version":"2.0.0"}"#;
    assert_eq!(lines(&world.receiver.wait_for(2).await)[0], latest);
    world.mirror.finish().await;
}
