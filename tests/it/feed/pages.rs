//! Pages of `/_changes` and `/_all_docs`, and the root that a follower starts from.

use serde_json::{Value, json};

use crate::harness::{Package, TestMirror};

async fn mirror_of(names: &[&str]) -> TestMirror {
    let packages: Vec<_> = names.iter().map(|name| Package::new(name).version("1.0.0")).collect();
    let mirror = TestMirror::with(&packages).await;
    for name in names {
        mirror.sync(&[name]).await; // one after another, so that seqs follow the order
    }
    mirror
}

fn ids(page: &Value, rows: &str) -> Vec<String> {
    let rows = page[rows].as_array().expect("rows");
    rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_follower_reads_what_changed_since_it_looked_last() {
    let mirror = mirror_of(&["lamp", "@garden/ui", "Old"]).await;
    let page = mirror.get("/_changes").send().await.expect(200).json();
    assert_eq!(ids(&page, "results"), ["lamp", "@garden/ui", "Old"]);
    let first = &page["results"][0];
    assert_eq!(first["type"], "PACKAGE_VERSION_ADDED");
    assert_eq!(first["changes"], json!([{"rev": "1-0123456789abcdef", "version": "1.0.0"}]));
    let document = mirror.get("/lamp").send().await.expect(200).json();
    assert_eq!(first["changes"][0]["rev"], document["_rev"]);
    let seqs: Vec<_> = (0..3).map(|row| page["results"][row]["seq"].as_i64().unwrap()).collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
    assert_eq!(page["last_seq"], seqs[2]);

    // exclusive, in pages, and again for the same seq
    let target = format!("/registry/_changes?since={}&limit=1", seqs[0]);
    for _ in 0..2 {
        let page = mirror.get(&target).send().await.expect(200).json();
        assert_eq!(
            (ids(&page, "results"), &page["last_seq"]),
            (vec!["@garden/ui".into()], &json!(seqs[1]))
        );
    }
    for since in [seqs[2], seqs[2] + 1, 1 << 40] {
        let target = format!("/_changes?since={since}");
        let page = mirror.get(&target).send().await.expect(200).json();
        assert_eq!(page, json!({"results": [], "last_seq": since}));
    }

    // a package that changes again moves to the end and leaves its old place
    mirror.upstream.publish(&Package::new("lamp").version("1.0.0").version("1.1.0"));
    mirror.sync(&["lamp"]).await;
    let page = mirror.get("/_changes").send().await.expect(200).json();
    assert_eq!(ids(&page, "results"), ["@garden/ui", "Old", "lamp"]);
    assert_eq!(page["results"][2]["changes"][0]["version"], "1.1.0");
    let root = mirror.get("/").send().await.expect(200).json();
    assert_eq!(root["update_seq"], page["last_seq"]);
    assert_eq!((&root["db_name"], &root["engine"]), (&json!("registry"), &json!("espejo")));
    assert_eq!(root["doc_count"], 3);
    mirror.finish().await;
}

#[tokio::test]
async fn the_list_of_names_is_paged_in_byte_order() {
    let mirror = mirror_of(&["b", "@s/a", "B", "a"]).await;
    let page = mirror.get("/_all_docs").send().await.expect(200).json();
    assert_eq!(ids(&page, "rows"), ["@s/a", "B", "a", "b"]);
    assert_eq!((&page["total_rows"], &page["offset"]), (&json!(4), &json!(0)));
    let row = json!({"id": "a", "key": "a", "value": {"rev": "1-0123456789abcdef"}});
    assert_eq!(page["rows"][2], row);
    let target = "/registry/_all_docs?startkey=%22B%22&limit=2";
    let page = mirror.get(target).send().await.expect(200).json();
    assert_eq!((ids(&page, "rows"), &page["offset"]), (vec!["B".into(), "a".into()], &json!(1)));
    let target = "/_all_docs?start_key=%22B%22&skip=1&limit=2";
    let page = mirror.get(target).send().await.expect(200).json();
    assert_eq!((ids(&page, "rows"), &page["offset"]), (vec!["a".into(), "b".into()], &json!(2)));
    let page = mirror.get("/_all_docs?startkey=%22z%22").send().await.expect(200).json();
    assert_eq!(page, json!({"total_rows": 4, "offset": 4, "rows": []}));
    mirror.finish().await;
}

#[tokio::test]
async fn what_the_feed_cannot_do_is_said_clearly() {
    let mirror = mirror_of(&[]).await;
    for (target, status, text) in [
        ("/_changes?since=now", 422, "[INVALID_PARAM] since: must be integer, from 0 on"),
        ("/_changes?limit=10001", 422, "[INVALID_PARAM] limit: must be integer, from 1 to 10000"),
        (
            "/_changes?feed=longpoll",
            400,
            "[BAD_REQUEST] feed: this feed has no such parameter; it has since and limit",
        ),
        (
            "/_all_docs?startkey=lamp",
            422,
            "[INVALID_PARAM] startkey: must be a JSON string, like \"lamp\"",
        ),
    ] {
        assert_eq!(mirror.get(target).send().await.expect(status).error(), text);
    }
    mirror.request("POST", "/_changes").body("application/json", "{}").send().await.expect(405);
    assert_eq!(mirror.upstream.asked().len(), 0, "no package of these names was looked for");
    mirror.finish().await;
}

#[tokio::test]
async fn a_large_page_is_packed_for_those_who_take_it() {
    let names: Vec<String> = (0..20).map(|number| format!("package-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mirror = mirror_of(&names).await;
    let plain = mirror.get("/_changes").send().await.expect(200);
    let packed = mirror.get("/_changes").header("accept-encoding", "gzip").send().await.expect(200);
    assert_eq!(packed.must("content-encoding"), "gzip");
    assert!(packed.body.len() * 2 < plain.body.len());
    assert_eq!(packed.plain(), plain.body);
    let head = mirror.head("/_changes").send().await.expect(200);
    assert!(head.body.is_empty());
    mirror.finish().await;
}
