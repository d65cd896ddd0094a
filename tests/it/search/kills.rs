//! `kill -9` leaves an index that is behind, and the next start catches up.

use serde_json::Value;

use super::described;
use crate::harness::{Espejo, FakeUpstream, Serving, until};

/// Packages of a round, and rounds that end in a kill.
const AT_ONCE: usize = 8;
const ROUNDS: usize = 4;

async fn search(serving: &Serving) -> Option<Value> {
    let answer = serving.get("/-/v1/search?size=250").send().await;
    (answer.status == 200).then(|| answer.json())
}

fn names(found: &Value) -> Vec<String> {
    let objects = found["objects"].as_array().expect("objects");
    let name = |one: &Value| one["package"]["name"].as_str().expect("a name").to_owned();
    let mut names: Vec<_> = objects.iter().map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_killed_mirror_finds_everything_once_after_its_next_start() {
    let upstream = FakeUpstream::start();
    let all: Vec<_> = (0..AT_ONCE * ROUNDS).map(|at| format!("bulb-{at:02}")).collect();
    all.iter().for_each(|name| upstream.publish(&described(name, "a light", &[])));
    let folder = tempfile::tempdir().expect("a scratch folder");
    let program = Espejo::new(folder.path());
    for (round, names) in all.chunks(AT_ONCE).enumerate() {
        let mut serving = program.serve(&upstream.url());
        for name in names {
            serving.get(&format!("/{name}")).send().await.expect(200);
        }
        if round % 2 == 0 {
            // in the middle of what is written for some of them
            until("a hit", || async {
                let found = search(&serving).await?;
                (found["total"].as_u64() > Some(0)).then_some(())
            })
            .await;
        }
        serving.kill();
    }
    let serving = program.serve(&upstream.url());
    for name in &all {
        serving.get(&format!("/{name}")).send().await.expect(200);
    }
    let found = until("everything", || async {
        let found = search(&serving).await?;
        (found["total"] == all.len()).then_some(found)
    })
    .await;
    assert_eq!(names(&found), all, "each of them once");
}
