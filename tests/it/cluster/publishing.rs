//! Two nodes that publish: each has at once what the other took, and one of two wins.

use npm::Sha512Digest;
use serde_json::{Value, json};

use super::{Shared, shared};
use crate::harness::{Answer, FakeBucket, FakeUpstream, Request, Serving, Version, sri, until};
use crate::publish::body_of;

const NAME: &str = "@garden/ui";

struct Nodes {
    first: Serving,
    second: Serving,
    token: String,
    _kept: (FakeBucket, FakeUpstream, [tempfile::TempDir; 2]),
}

fn nodes(shared: &Shared) -> Nodes {
    let (bucket, upstream) = (FakeBucket::start(), FakeUpstream::start());
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [first, second] =
        [0, 1].map(|node: usize| shared.node(folders[node].path(), &bucket, &upstream));
    let token = shared.token().text().to_owned();
    Nodes { first, second, token, _kept: (bucket, upstream, folders) }
}

impl Nodes {
    fn put(&self, node: &Serving, body: &Value) -> impl Future<Output = Answer> + use<> {
        let request = Request::new(node.address(), "PUT", "/@garden%2fui").token(&self.token);
        request.header("npm-command", "publish").json(body).send()
    }

    async fn publish(&self, node: &Serving, version: &str) -> Version {
        let made = Version::new(NAME, version, 20_000);
        self.put(node, &body_of(NAME, &made, "latest")).await.expect(201);
        made
    }
}

fn tarball(version: &str) -> String {
    format!("/@garden/ui/-/ui-{version}.tgz")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_publishes_the_other_has_at_once() {
    let Some(shared) = shared() else { return };
    let nodes = nodes(&shared);
    // a reader who asked too early does not keep others from it
    nodes.second.get("/@garden/ui").send().await.expect(404);
    nodes.second.get(&tarball("1.0.0")).send().await.expect(404);
    let made = nodes.publish(&nodes.first, "1.0.0").await;
    let full = nodes.second.get("/@garden/ui").send().await.expect(200).json();
    assert_eq!(full["versions"]["1.0.0"]["dist"]["integrity"], sri(&made.tarball));
    let bytes = nodes.second.get(&tarball("1.0.0")).send().await.expect(200).body;
    assert_eq!(bytes, made.tarball);
    // a document that is in memory there is at most as old as the look at what others commit
    let made = nodes.publish(&nodes.first, "1.1.0").await;
    let bytes = nodes.second.get(&tarball("1.1.0")).send().await.expect(200).body;
    assert_eq!(bytes, made.tarball);
    nodes.second.get("/@garden/ui/1.1.0").send().await.expect(200);
    nodes.publish(&nodes.first, "1.2.0").await;
    let viewed = nodes.second.get("/@garden/ui").header("npm-command", "view").send().await;
    assert_eq!(viewed.expect(200).json()["dist-tags"]["latest"], "1.2.0");
    nodes.publish(&nodes.first, "1.3.0").await;
    until("the new document at the other node", || async {
        let full = nodes.second.get("/@garden/ui").send().await.expect(200).json();
        (full["dist-tags"]["latest"] == "1.3.0").then_some(())
    })
    .await;
    // and the other way round, behind the first one's memory
    nodes.publish(&nodes.second, "1.4.0").await;
    nodes.first.get("/@garden/ui/1.4.0").send().await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_nodes_that_publish_the_same_version_wins_and_nothing_is_torn() {
    let Some(shared) = shared() else { return };
    let nodes = nodes(&shared);
    for patch in 0..6 {
        let version = format!("1.0.{patch}");
        let made = [20_000, 30_000].map(|size| Version::new(NAME, &version, size));
        let bodies = made.clone().map(|made| body_of(NAME, &made, "latest"));
        let (one, other) =
            tokio::join!(nodes.put(&nodes.first, &bodies[0]), nodes.put(&nodes.second, &bodies[1]));
        let won = [&one, &other].map(|answer| answer.status == 201);
        assert_ne!(won[0], won[1], "{version}: {} {}", one.text(), other.text());
        let lost = if won[0] { &other } else { &one };
        let text = format!("[FORBIDDEN] Can't modify pre-existing version: {NAME}@{version}");
        assert_eq!((lost.status, lost.error()), (403, text));
        let made = if won[0] { &made[0] } else { &made[1] };
        for node in [&nodes.first, &nodes.second] {
            let bytes = node.get(&tarball(&version)).send().await.expect(200).body;
            assert_eq!(Sha512Digest::of(&bytes), Sha512Digest::of(&made.tarball), "{version}");
            let one = node.get(&format!("/@garden/ui/{version}")).send().await.expect(200).json();
            assert_eq!(one["dist"]["integrity"], sri(&made.tarball), "{version}");
        }
    }
    // different versions of one package meet, too, and both are there
    let made = ["2.0.0", "3.0.0"].map(|version| Version::new(NAME, version, 20_000));
    let bodies = made.clone().map(|made| body_of(NAME, &made, "latest"));
    let (one, other) =
        tokio::join!(nodes.put(&nodes.first, &bodies[0]), nodes.put(&nodes.second, &bodies[1]));
    one.expect(201);
    other.expect(201);
    for (node, version) in [(&nodes.first, "3.0.0"), (&nodes.second, "2.0.0")] {
        let view = node.get("/@garden/ui").header("npm-command", "view").send().await;
        let full = view.expect(200).json();
        assert!(full["versions"].get(version).is_some(), "{full}");
        assert_eq!(full["versions"].as_object().map(|all| all.len()), Some(8));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_publishing_while_the_other_is_killed_in_the_middle_of_it() {
    let Some(shared) = shared() else { return };
    let mut nodes = nodes(&shared);
    nodes.publish(&nodes.first, "1.0.0").await;
    let torn = Version::new(NAME, "7.0.0", 2 << 20);
    let sending = Request::new(nodes.second.address(), "PUT", "/@garden%2fui")
        .token(&nodes.token)
        .json(&body_of(NAME, &torn, "latest"));
    // nobody waits for an answer: none may come
    sending.send_and_leave().await;
    nodes.second.kill();
    for patch in 1..6 {
        nodes.publish(&nodes.first, &format!("1.0.{patch}")).await;
    }
    let view = nodes.first.get("/@garden/ui").header("npm-command", "view").send().await;
    let full = view.expect(200).json();
    for patch in 0..6 {
        let version = format!("1.0.{patch}");
        assert!(full["versions"].get(&version).is_some(), "{version}: {full}");
        nodes.first.get(&tarball(&version)).send().await.expect(200);
    }
    // whole or not at all
    let came = nodes.first.get(&tarball("7.0.0")).send().await;
    match full["versions"].get("7.0.0") {
        Some(_) => assert_eq!(came.expect(200).body, torn.tarball),
        None => drop(came.expect(404)),
    }
    assert_eq!(full["maintainers"], json!([{"name": "ada", "email": ""}]));
}
