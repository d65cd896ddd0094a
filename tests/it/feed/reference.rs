//! The reference implementation follows us: what it sends and what it makes of the answer, to the
//! letter. A first request of the root for `update_seq`, then `GET changeStream?since=n` with a
//! header and without `limit`; of each page the rows that have a seq and an id and whose seq, as
//! text, is not `since`; `last_seq` and `deleted` are not looked at.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Package, TestMirror};

/// How far below the newest number the reference begins.
const BEHIND: i64 = 10;

/// The follower's own state: the text of the last number it took.
struct Reference {
    since: String,
    names: BTreeSet<String>,
}

impl Reference {
    /// Begins as at its first start.
    async fn begin(mirror: &TestMirror) -> Self {
        let root = mirror.get("/").header("npm-replication-opt-in", "true");
        let root = root.send().await.expect(200).json();
        let newest = root["update_seq"].as_i64().expect("it gives up without update_seq");
        Self { since: (newest - BEHIND).max(0).to_string(), names: BTreeSet::new() }
    }

    /// One turn of its loop; how many rows it took.
    async fn turn(&mut self, mirror: &TestMirror) -> usize {
        let target = format!("/registry/_changes?since={}", self.since);
        let page = mirror.get(&target).header("npm-replication-opt-in", "true");
        let page = page.header("accept-encoding", "gzip").send().await.expect(200);
        let page: Value = serde_json::from_slice(&page.plain()).expect("a page");
        let mut taken = 0;
        for row in page["results"].as_array().expect("rows") {
            let (Some(seq), Some(id)) = (row["seq"].as_i64(), row["id"].as_str()) else { continue };
            let seq = seq.to_string();
            if seq != self.since {
                self.since = seq;
                self.names.insert(id.to_owned());
                taken += 1;
            }
        }
        taken
    }
}

#[tokio::test]
async fn the_reference_follows_while_packages_come_and_ends_with_every_name() {
    let mirror = TestMirror::with(&[]).await;
    let mut reference = Reference::begin(&mirror).await;
    let mut published = BTreeSet::new();
    for number in 0..40 {
        // three new ones, and an old one again: its row moves to the end while the pages are read
        let names = [format!("p{number}-a"), format!("@s/p{number}"), format!("p{number}-b")];
        for name in &names {
            mirror.upstream.publish(&Package::new(name).version("1.0.0"));
        }
        let old = format!("p{}-a", number / 2);
        mirror
            .upstream
            .publish(&Package::new(&old).version("1.0.0").version(&format!("2.{number}.0")));
        let names: Vec<&str> = names.iter().map(String::as_str).chain([old.as_str()]).collect();
        let (_, taken) = tokio::join!(mirror.sync(&names), reference.turn(&mirror));
        assert!(taken <= names.len() * (number + 1));
        published.extend(names.into_iter().map(str::to_owned));
    }
    while reference.turn(&mirror).await > 0 {}
    assert_eq!(reference.names, published);
    let newest = mirror.get("/").send().await.expect(200).json()["update_seq"].to_string();
    assert_eq!(reference.since, newest);
    mirror.finish().await;
}

/// One that starts late begins a little below the newest number and takes that much only.
#[tokio::test]
async fn the_reference_begins_a_little_below_the_newest_number() {
    let names: Vec<String> = (0..15).map(|number| format!("p{number:02}")).collect();
    let packages: Vec<_> = names.iter().map(|name| Package::new(name).version("1.0.0")).collect();
    let mirror = TestMirror::with(&packages).await;
    for name in &names {
        mirror.sync(&[name]).await;
    }
    let mut reference = Reference::begin(&mirror).await;
    assert_eq!(reference.turn(&mirror).await, 10);
    assert_eq!(reference.names, names.into_iter().skip(5).collect());
    assert_eq!(reference.turn(&mirror).await, 0, "what it has is not told again");
    mirror.finish().await;
}

#[tokio::test]
async fn a_since_that_is_no_number_is_refused_and_never_taken_for_the_beginning() {
    let mirror = TestMirror::with(&[Package::new("lamp").version("1.0.0")]).await;
    mirror.sync(&["lamp"]).await;
    for since in [
        "",
        "now",
        "null",
        "NaN",
        "undefined",
        "%221%22",
        "1.0",
        "1e3",
        "-1",
        "+1",
        "%201",
        "0x1",
        "1,2",
        "9223372036854775808",
        "%D9%A1",
    ] {
        for path in ["/_changes", "/registry/_changes"] {
            let answer = mirror.get(&format!("{path}?since={since}")).send().await.expect(422);
            let rule = "[INVALID_PARAM] since: must be integer, from 0 on";
            assert_eq!(answer.error(), rule, "{since}");
        }
    }
    // numbers as text are what a query has, with or without zeros in front, however large
    for (since, rows) in [("0", 1), ("00", 1), ("1", 0), ("01", 0), ("9223372036854775807", 0)] {
        let target = format!("/_changes?since={since}");
        let page = mirror.get(&target).send().await.expect(200).json();
        assert_eq!(page["results"].as_array().map(Vec::len), Some(rows), "{since}");
    }
    // said twice, the last one counts; without a value it is no number
    let page = mirror.get("/_changes?since=5&since=0").send().await.expect(200).json();
    assert_eq!(page["results"].as_array().map(Vec::len), Some(1));
    mirror.get("/_changes?since").send().await.expect(422);
    mirror.finish().await;
}
