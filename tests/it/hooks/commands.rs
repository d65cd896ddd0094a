//! `espejo hook`, through the running server.

use crate::harness::{Espejo, FakeUpstream, HookReceiver, Package, Reply, until};

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_made_tried_followed_and_ended_from_the_terminal() {
    let (upstream, receiver) = (FakeUpstream::start(), HookReceiver::start().await);
    upstream.publish(&Package::new("lamp").version("1.0.0"));
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(folder.path())
        .env("ESPEJO_HOOKS__ALLOW_PRIVATE", "127.0.0.0/8")
        .env("ESPEJO_HOOKS__ATTEMPTS", "1")
        .env("ESPEJO_UPSTREAM__FEED", "off");
    let down = espejo.run(&["hook", "list"]).expect(7);
    assert!(down.stderr.contains("the mirror is not running"), "{}", down.stderr);
    assert!(!folder.path().join("espejo.db").exists(), "looking makes no database");
    let _serving = espejo.serve(&upstream.url());
    let none = espejo.run(&["hook", "list"]).expect(0);
    assert!(none.stdout.starts_with("No hooks yet."), "{}", none.stdout);
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "of the terminal\n").expect("a file");
    let (secret, url) = (secret.to_str().expect("a path"), receiver.url("/in"));
    let add = |target: &str| espejo.run(&["hook", "add", target, &url, "--secret-file", secret]);
    let added = add("lamp").expect(0);
    assert!(added.stdout.contains(&url) && !added.stdout.contains("of the terminal"));
    add("lamp").expect(1);
    add("@garden").expect(0);
    let inside = ["hook", "add", "~eve", "http://10.0.0.1/", "--secret-file", secret];
    let inside = espejo.run(&inside).expect(2);
    assert!(inside.stderr.contains("hooks.allow_private"), "{}", inside.stderr);
    let list = espejo.run(&["hook", "list", "--json"]).expect(0).json();
    assert_eq!(list["hooks"].as_array().map(Vec::len), Some(2));
    let tried = espejo.run(&["hook", "test", "lamp"]).expect(0);
    assert!(tried.stdout.contains("answered 200"), "{}", tried.stdout);

    receiver.answer(|_| Reply::Status(500));
    espejo.run(&["hook", "test", "lamp"]).expect(6);
    espejo.run(&["sync", "lamp"]).expect(0);
    let parked = until("parked deliveries", || async {
        let list = espejo.run(&["hook", "deliveries", "lamp", "--json"]).expect(0).json();
        let list = list["deliveries"].as_array().expect("a list").clone();
        let parked = list.iter().filter(|one| one["state"] == "parked").count();
        // two tries by hand, one of them good, and two events
        (parked == 3).then_some(list)
    })
    .await;
    receiver.answer(|_| Reply::Status(200));
    let id = parked[0]["id"].as_str().expect("an id");
    espejo.run(&["hook", "redeliver", id]).expect(0);
    until("the delivery that was asked for", || async {
        let table = espejo.run(&["hook", "deliveries", "lamp"]).expect(0).stdout;
        let line = table.lines().find(|line| line.contains(id)).expect("its line").to_owned();
        line.contains("delivered").then_some(())
    })
    .await;
    espejo.run(&["hook", "redeliver", "0199c5d2-7b1e-7c44-9f0a-000000000000"]).expect(5);
    espejo.run(&["hook", "set", "lamp", "--pause", "moving"]).expect(0);
    let list = espejo.run(&["hook", "list"]).expect(0);
    assert!(list.stdout.contains("paused: moving"), "{}", list.stdout);
    let status = espejo.run(&["status"]).expect(0);
    assert!(status.stdout.contains("1 paused, 0 failing"), "{}", status.stdout);
    espejo.run(&["hook", "set", "lamp", "--resume"]).expect(0);
    espejo.run(&["hook", "set", "lamp"]).expect(2);
    espejo.run(&["hook", "remove", "lamp"]).expect(0);
    espejo.run(&["hook", "remove", "lamp"]).expect(5);
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_looked_at_changed_and_tried_while_no_server_runs() {
    let (upstream, receiver) = (FakeUpstream::start(), HookReceiver::start().await);
    upstream.publish(&Package::new("lamp").version("1.0.0"));
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(folder.path())
        .env("ESPEJO_HOOKS__ALLOW_PRIVATE", "127.0.0.0/8")
        .env("ESPEJO_HOOKS__ATTEMPTS", "1")
        .env("ESPEJO_UPSTREAM__FEED", "off");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "of the terminal\n").expect("a file");
    let (secret, url) = (secret.to_str().expect("a path"), receiver.url("/in"));
    let add = |target: &str, url: &str| {
        espejo.run(&["hook", "add", target, url, "--secret-file", secret])
    };
    drop(espejo.serve(&upstream.url())); // makes the data and the user admin
    let none = espejo.run(&["hook", "list"]).expect(0);
    assert!(none.stdout.starts_with("No hooks yet."), "{}", none.stdout);
    let inside = add("lamp", "http://10.0.0.1/").expect(2);
    assert!(inside.stderr.contains("hooks.allow_private"), "{}", inside.stderr);
    let added = add("lamp", &url).expect(0);
    assert!(added.stdout.contains("as soon as the mirror runs"), "{}", added.stdout);
    assert!(add("lamp", &url).expect(1).stderr.contains("such a hook already"));
    let nobody = ["hook", "add", "lamp", &url, "--secret-file", secret, "--user", "eve"];
    espejo.run(&nobody).expect(5);

    receiver.answer(|_| Reply::Status(500));
    let tried = espejo.run(&["hook", "test", "lamp"]).expect(6);
    assert!(tried.stdout.contains("answered 500"), "{}", tried.stdout);
    let received = receiver.received().pop().expect("a delivery");
    assert_eq!(received.line(), "hook:test {}");
    assert_eq!(received.json()["payload"], serde_json::Value::Null);
    let list = espejo.run(&["hook", "deliveries", "lamp", "--json"]).expect(0).json();
    let id = list["deliveries"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(list["deliveries"][0]["state"], "parked");
    espejo.run(&["hook", "deliveries", "lamp", "--before", "x"]).expect(2);
    espejo.run(&["hook", "redeliver", "0199c5d2-7b1e-7c44-9f0a-000000000000"]).expect(5);
    let again = espejo.run(&["hook", "redeliver", &id]).expect(0);
    assert!(again.stdout.contains("as soon as the mirror runs"), "{}", again.stdout);
    espejo.run(&["hook", "set", "lamp", "--pause", "moving"]).expect(0);
    let list = espejo.run(&["hook", "list"]).expect(0);
    assert!(list.stdout.contains("paused: moving"), "{}", list.stdout);
    espejo.run(&["hook", "set", "lamp", "--resume"]).expect(0);
    add("@garden", &url).expect(0);
    espejo.run(&["hook", "remove", "@garden"]).expect(0);
    espejo.run(&["hook", "remove", "@garden"]).expect(5);

    // a server that starts delivers what was asked for without it
    receiver.answer(|_| Reply::Status(200));
    let _serving = espejo.serve(&upstream.url());
    until("the delivery that was asked for", || async {
        let list = espejo.run(&["hook", "deliveries", "lamp", "--json"]).expect(0).json();
        (list["deliveries"][0]["state"] == "delivered").then_some(())
    })
    .await;
    assert_eq!(receiver.received().pop().expect("a delivery").id(), id);
}
