//! What is closed to somebody does not show in what is told of everything.

use serde_json::{Value, json};

use super::{Garden, SEEDS};

/// What lists packages, or tells something of one.
const TELLS: [&str; 14] = [
    "/_changes",
    "/registry/_changes?since=0&limit=10",
    "/_all_docs",
    "/registry/_all_docs?startkey=%22%40garden%2Fs%22",
    "/-/package/@garden%2fseeds/dist-tags",
    "/-/package/@garden%2fseeds/collaborators",
    "/-/package/@garden%2fseeds/visibility",
    "/-/package/@garden%2fseeds/blocks",
    "/-/npm/v1/attestations/@garden%2fseeds@1.0.0",
    "/downloads/point/last-week/@garden/seeds",
    "/downloads/range/last-week/@garden/seeds",
    "/-/_view/starredByUser?key=%22bob%22",
    "/-/user/bob/stars",
    "/-/org/bob/package",
];

#[tokio::test]
async fn a_closed_package_is_in_nothing_that_a_stranger_is_told() {
    let garden = Garden::start().await;
    garden.growers().await;
    let star = json!({ "name": SEEDS, "package": SEEDS });
    garden.send("PUT", "/-/user/v1/star", &garden.bob, &star).await.expect(200);
    garden.grant(SEEDS).await;
    for target in TELLS {
        for token in ["", &*garden.cy] {
            let answer = garden.get(target, token).await;
            let text = answer.text();
            let told = match answer.status {
                200 => text.contains("seeds"),
                // what a refusal repeats is what was asked for
                401 | 403 => text.contains("1.1.0"),
                status => panic!("{target}: {status} {text}"),
            };
            assert!(!told, "{target} tells: {text}");
            let names_one = target.contains("seeds");
            assert_eq!(answer.status == 200, !names_one, "{target}: {text}");
        }
    }
    // and those who may read it are told
    for target in TELLS.into_iter().filter(|target| !target.contains("attestations")) {
        let told = garden.get(target, &garden.bob).await.expect(200);
        let by_name = target.contains("seeds");
        assert!(by_name || told.text().contains(SEEDS), "{target}: {}", told.text());
    }
    garden.mirror.finish().await;
}

#[tokio::test]
async fn tasks_of_a_package_that_became_closed_are_told_to_its_readers_alone() {
    let garden = Garden::start().await;
    garden.growers().await;
    let list = garden.get("/-/tasks", "").await.expect(200).json();
    let tasks = list["tasks"].as_array().expect("tasks");
    assert_eq!(tasks.len(), 3, "{list}");
    let of_seeds = tasks.iter().find(|task| task["name"] == SEEDS).expect("its task");
    let id = of_seeds["id"].as_str().expect("an id").to_owned();
    let one = |base: &str| format!("{base}/{id}");
    let routes = [
        one("/-/tasks"),
        one("/-/package/@garden%2fseeds/syncs"),
        one("/-/package/lamp/syncs"),
        one("/-/package/lamp/syncs") + "/log",
        one("/-/package/@garden%2fseeds/syncs") + "/log",
        one("/-/package/lamp/syncs") + "/log/stream",
        one("/lamp/sync/log"),
    ];
    for route in &routes {
        garden.get(route, "").await.expect(200);
    }
    garden.grant(SEEDS).await;
    for token in ["", &*garden.cy] {
        for list in ["/-/tasks", "/-/tasks?name=@garden%2fseeds", "/-/tasks?limit=3"] {
            let told = garden.get(list, token).await.expect(200).text();
            assert!(!told.contains("seeds"), "{list} tells: {told}");
        }
        for route in &routes {
            let refused = garden.get(route, token).await.expect(404);
            let of_name = route.contains("seeds");
            assert!(of_name || !refused.text().contains("seeds"), "{route}: {}", refused.text());
        }
        let put = garden.send("PUT", "/-/package/@garden%2fseeds/syncs", token, &json!({})).await;
        put.expect(if token.is_empty() { 401 } else { 403 });
    }
    for route in &routes {
        garden.get(route, &garden.bob).await.expect(200);
    }
    let told = garden.get("/-/tasks", &garden.bob).await.expect(200).text();
    assert!(told.contains(SEEDS), "{told}");
    garden.mirror.finish().await;
}

#[tokio::test]
async fn nothing_that_is_kept_from_a_reader_is_counted_for_him() {
    let garden = Garden::start().await;
    garden.growers().await;
    garden.grant(SEEDS).await;
    for (token, total, behind_seeds) in [("", 2, 0), (&*garden.cy, 2, 0), (&*garden.bob, 3, 1)] {
        let page = garden.get("/_all_docs?limit=1", token).await.expect(200).json();
        assert_eq!((&page["total_rows"], &page["offset"]), (&json!(total), &json!(0)));
        let target = "/_all_docs?startkey=%22%40garden%2Fsoil%22";
        let page = garden.get(target, token).await.expect(200).json();
        assert_eq!((&page["total_rows"], &page["offset"]), (&json!(total), &json!(behind_seeds)));
    }
    let page = garden.get("/_all_docs?startkey=%22z%22", "").await.expect(200).json();
    assert_eq!((&page["total_rows"], &page["offset"]), (&json!(2), &json!(2)));
    garden.mirror.finish().await;
}

#[tokio::test]
async fn a_page_of_names_is_full_although_some_are_not_shown() {
    let garden = Garden::start().await;
    garden.growers().await;
    garden.grant(SEEDS).await;
    let names = |page: &Value| -> Vec<String> {
        let rows = page["rows"].as_array().expect("rows");
        rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
    };
    for (target, shown) in [
        ("/_all_docs?limit=1", &["@garden/soil"][..]),
        ("/_all_docs?limit=2", &["@garden/soil", "lamp"]),
        ("/_all_docs?limit=9", &["@garden/soil", "lamp"]),
        ("/_all_docs?startkey=%22%40garden%2Fsoil%22&skip=1&limit=1", &["lamp"]),
    ] {
        let page = garden.get(target, "").await.expect(200).json();
        assert_eq!(names(&page), shown, "{target}");
    }
    // the feed goes on behind what it does not show
    let everything = garden.get("/_changes", &garden.bob).await.expect(200).json();
    let first = &everything["results"][0];
    assert_eq!(first["id"], SEEDS);
    let page = garden.get("/_changes?limit=1", "").await.expect(200).json();
    assert_eq!(page, json!({ "results": [], "last_seq": first["seq"] }));
    garden.mirror.finish().await;
}
