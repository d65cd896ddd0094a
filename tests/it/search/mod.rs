//! `/-/v1/search`: what is here is found, in the shapes that package managers read, and nothing
//! that readers must not get.

mod index;
mod kills;
mod rights;
mod withheld;

use serde_json::{Value, json};

use crate::harness::{Package, TestMirror, until};

/// A mirror with a search, with these packages synced.
pub async fn searching(packages: &[Package]) -> TestMirror {
    let mirror = TestMirror::builder().packages(packages).search().start().await;
    let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    mirror.sync(&names).await;
    mirror
}

/// The answer of a search, once there is an index.
pub async fn answer(mirror: &TestMirror, query: &str) -> Value {
    until("an index", || async {
        let answer = mirror.get(&format!("/-/v1/search?{query}")).send().await;
        (answer.status != 503).then_some(answer)
    })
    .await
    .expect(200)
    .json()
}

/// The names that a search finds, in order.
pub async fn names(mirror: &TestMirror, text: &str) -> Vec<String> {
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("text", text).finish();
    names_of(&answer(mirror, &query).await)
}

fn names_of(answer: &Value) -> Vec<String> {
    let objects = answer["objects"].as_array().expect("objects");
    objects.iter().map(|one| one["package"]["name"].as_str().expect("a name").to_owned()).collect()
}

/// Waits until a search finds just these, in this order.
pub async fn finds(mirror: &TestMirror, text: &str, wanted: &[&str]) {
    until(&format!("{text:?} to find {wanted:?}"), || async {
        (names(mirror, text).await == wanted).then_some(())
    })
    .await;
}

/// Waits until so many packages are in the index.
pub async fn has(mirror: &TestMirror, wanted: usize) {
    until(&format!("{wanted} packages in the index"), || async {
        (answer(mirror, "").await["total"] == wanted).then_some(())
    })
    .await;
}

/// A package with a description and keywords.
pub fn described(name: &str, description: &str, keywords: &[&str]) -> Package {
    Package::new(name).version_with("1.0.0", |version| {
        version.member("description", json!(description)).member("keywords", json!(keywords))
    })
}

fn shop() -> Vec<Package> {
    vec![
        described("lamp", "Light for a room", &["light"]),
        described("lamp-post", "Light for a street", &["light", "street"]),
        described("@garden/ui-kit", "Managing widgets", &["css grid"]),
        Package::new("torch").version_with("0.3.0", |version| {
            version
                .member("description", json!("Burns. A lamp of old"))
                .member("author", json!({"name": "Cy", "email": "cy@garden.example"}))
                .member("deprecated", json!("use lamp"))
        }),
    ]
}

#[tokio::test]
async fn names_words_beginnings_and_misspellings_are_found() {
    let mirror = searching(&shop()).await;
    has(&mirror, 4).await;
    for (text, wanted) in [
        ("LAMP", &["lamp", "lamp-post", "torch"][..]),
        ("lamp-post", &["lamp-post"]),
        ("post lamp", &["lamp-post"]),
        ("lamppost", &["lamp-post"]),
        ("lamppos", &["lamp-post"]),
        ("gard", &["@garden/ui-kit"]),
        ("@garden/ui-kit", &["@garden/ui-kit"]),
        ("manage the widget", &["@garden/ui-kit"]),
        ("tocrh", &["torch"]),
        ("street light", &["lamp-post"]),
        ("nothing-of-the-kind", &[]),
    ] {
        assert_eq!(names(&mirror, text).await, wanted, "{text}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn qualifiers_narrow_a_search() {
    let mirror = searching(&shop()).await;
    has(&mirror, 4).await;
    for (text, wanted) in [
        ("keywords:street", &["lamp-post"][..]),
        ("light keywords:light,-street", &["lamp"]),
        ("keywords:light+street", &["lamp-post"]),
        ("keywords:\"css grid\"", &["@garden/ui-kit"]),
        ("scope:garden", &["@garden/ui-kit"]),
        ("scope:@garden ui", &["@garden/ui-kit"]),
        ("author:cy", &["torch"]),
        ("author:cy@garden.example", &["torch"]),
        ("lamp not:deprecated", &["lamp", "lamp-post"]),
        ("is:deprecated", &["torch"]),
        ("is:unstable", &["torch"]),
        ("lamp not:unstable not:insecure", &["lamp", "lamp-post"]),
        ("is:insecure", &[]),
    ] {
        assert_eq!(names(&mirror, text).await, wanted, "{text}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn pages_have_bounds_and_totals() {
    let packages: Vec<_> = (0..30).map(|at| described(&format!("bulb-{at:02}"), "", &[])).collect();
    let mirror = searching(&packages).await;
    until("all bulbs", || async {
        (answer(&mirror, "text=bulb").await["total"] == 30).then_some(())
    })
    .await;
    let mut seen = Vec::new();
    for from in [0, 20] {
        let page = answer(&mirror, &format!("text=bulb&from={from}")).await;
        assert_eq!(page["total"], 30);
        seen.extend(names_of(&page));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 30, "two pages hold each of them once");
    assert_eq!(names_of(&answer(&mirror, "size=250").await).len(), 30, "no text finds everything");
    assert!(names_of(&answer(&mirror, "text=bulb&size=0").await).is_empty());
    assert!(names_of(&answer(&mirror, "text=bulb&from=30").await).is_empty());
    for (query, text) in [
        ("size=251", "[INVALID_PARAM] size: must be integer, from 0 to 250"),
        ("from=-1", "[INVALID_PARAM] from: must be integer, from 0 to 10000"),
        (
            "text=is:nice",
            "[INVALID_PARAM] text: is:nice is not known, there are deprecated, insecure, unstable",
        ),
    ] {
        let refused = mirror.get(&format!("/-/v1/search?{query}")).send().await.expect(422);
        assert_eq!(refused.error(), text);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_hit_has_what_the_contract_and_package_managers_read() {
    let whole = Package::new("@garden/rake")
        .version_with("1.0.0", |version| version.member("description", json!("old")))
        .version_with("1.2.0", |version| {
            version
                .member("description", json!("Rakes \"leaves\""))
                .member("keywords", json!(["leaves", "garden"]))
                .member("license", json!("MIT"))
                .member("author", json!("Ada <ada@garden.example>"))
                .member("repository", json!({"type": "git", "url": "git://garden.example/rake"}))
                .member("_npmUser", json!({"name": "ada", "email": "ada@garden.example"}))
        })
        .member("_rev", json!("3-abc"))
        .member("maintainers", json!([{"name": "ada", "email": "ada@garden.example"}]));
    let mirror = searching(&[whole]).await;
    finds(&mirror, "rake", &["@garden/rake"]).await;
    let mut answer = answer(&mirror, "text=rake").await;
    assert!(answer["time"].as_str().is_some_and(|time| time.ends_with('Z')));
    let hit = &mut answer["objects"][0];
    assert!(hit["searchScore"].as_f64().is_some_and(|score| score > 0.0));
    assert_eq!(hit["score"]["final"], hit["searchScore"]);
    for part in ["quality", "popularity", "maintenance"] {
        assert!(hit["score"]["detail"][part].is_number(), "{part}");
    }
    let ada = json!({"username": "ada", "name": "ada", "email": "ada@garden.example"});
    let author = json!({"username": "Ada", "name": "Ada", "email": "ada@garden.example"});
    let package = &hit["package"];
    let document = mirror.get("/@garden/rake").send().await.expect(200).json();
    let at = &document["time"]["1.2.0"];
    assert_eq!(package["date"], *at);
    let ms = humantime::parse_rfc3339_weak(at.as_str().expect("a time")).expect("a time");
    let ms = ms.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let wanted = json!({
        "name": "@garden/rake", "version": "1.2.0", "_rev": "3-abc", "scope": "garden",
        "keywords": ["leaves", "garden"], "versions": ["1.0.0", "1.2.0"],
        "description": "Rakes \"leaves\"", "license": "MIT", "maintainers": [ada],
        "author": author, "dist-tags": {"latest": "1.2.0"}, "date": at,
        "created": document["time"]["created"], "modified": document["time"]["modified"],
        "publish_time": ms, "_npmUser": ada, "publisher": ada,
        "links": {"repository": "git://garden.example/rake"},
        "_source_registry_name": "default",
    });
    assert_eq!(*package, wanted);
    assert_eq!(hit["downloads"], json!({"all": 0}));
    mirror.finish().await;
}
