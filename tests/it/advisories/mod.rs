//! Audits: from local advisories, through the upstreams, and without either.

mod commands;

use npm::advisory::osv::Record;
use serde_json::{Value, json};
use store::{WriteFn, advisories};

use crate::harness::{Fault, Package, TestMirror, gzip};

const BULK: &str = "/-/npm/v1/security/advisories/bulk";

/// A record about one package, bad before a version.
pub fn record(id: &str, name: &str, fixed: &str) -> Value {
    json!({
        "id": id, "summary": format!("{name} burns"),
        "affected": [{
            "package": { "ecosystem": "npm", "name": name },
            "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": fixed }] }],
        }],
        "references": [{ "type": "ADVISORY", "url": format!("http://garden.example/{id}") }],
        "database_specific": { "severity": "HIGH", "cwe_ids": ["CWE-79"] },
    })
}

/// What an upstream says of a package.
fn advisory(name: &str, range: &str) -> Value {
    json!([{
        "id": 7, "url": format!("http://garden.example/{name}"), "title": "It burns",
        "severity": "critical", "vulnerable_versions": range, "cwe": ["CWE-79"],
        "cvss": { "score": 9.8, "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" },
    }])
}

pub async fn load(mirror: &TestMirror, records: &[Value]) {
    let records: Vec<Record> = records
        .iter()
        .map(|record| Record::parse(record.to_string().as_bytes()).expect("a record"))
        .collect();
    let write: WriteFn = Box::new(move |rows| advisories::put(rows, &records).map(drop));
    mirror.engine().write(write).await.expect("written");
}

async fn audit(mirror: &TestMirror, asked: &Value) -> Value {
    mirror.request("POST", BULK).json(asked).send().await.expect(200).json()
}

#[tokio::test]
async fn local_advisories_answer_and_nobody_else_is_asked() {
    let mirror = TestMirror::with(&[]).await;
    load(&mirror, &[record("GHSA-1", "lamp", "1.2.3"), record("MAL-1", "@garden/ui", "9.0.0")])
        .await;
    let asked = json!({
        "lamp": ["1.0.0", "2.0.0"], "@garden/ui": ["9.1.0"], "other": ["1.0.0"], "..": ["1"],
    });
    let told = audit(&mirror, &asked).await;
    assert_eq!(told.as_object().expect("names").keys().collect::<Vec<_>>(), ["lamp"]);
    let one = &told["lamp"][0];
    for (key, value) in [
        ("title", json!("lamp burns")),
        ("url", json!("http://garden.example/GHSA-1")),
        ("severity", json!("high")),
        ("vulnerable_versions", json!("<1.2.3")),
        ("cwe", json!(["CWE-79"])),
    ] {
        assert_eq!(one[key], value, "{key}");
    }
    assert!(one["id"].is_u64() && one["cvss"]["score"].is_number(), "{one}");
    assert_eq!(audit(&mirror, &json!({ "lamp": ["1.2.3"] })).await, json!({}));
    // as npm sends it
    let packed = gzip(asked.to_string().as_bytes());
    let request = mirror.request("POST", BULK).header("content-encoding", "gzip");
    let answer = request.body("application/json", packed).send().await.expect(200);
    assert_eq!(answer.json(), told);
    assert!(mirror.upstream.asked().is_empty());
    mirror.finish().await;
}

#[tokio::test]
async fn without_local_ones_each_registry_is_asked_for_its_names_and_no_others() {
    let mirror = TestMirror::builder()
        .engine(|engine| engine.private_scopes = vec!["@house".to_owned()])
        .start()
        .await;
    mirror.upstream.put_json(
        BULK,
        &json!({ "lamp": advisory("lamp", "<2.0.0"), "unasked": advisory("unasked", "*") }),
    );
    let told = audit(&mirror, &json!({ "lamp": ["1.0.0"], "@house/door": ["1.0.0"] })).await;
    assert_eq!(told, json!({ "lamp": advisory("lamp", "<2.0.0") }));
    let asked = mirror.upstream.asked();
    assert_eq!(asked.len(), 1);
    let body: Value = serde_json::from_slice(&asked[0].body).expect("JSON");
    assert_eq!(body, json!({ "lamp": ["1.0.0"] }), "private names stay here");
    // only private names: nobody hears of it
    assert_eq!(audit(&mirror, &json!({ "@house/door": ["1.0.0"] })).await, json!({}));
    assert_eq!(mirror.upstream.asked().len(), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn an_upstream_that_cannot_say_leaves_an_empty_answer_with_a_notice() {
    let mirror = TestMirror::with(&[]).await;
    let faults = [
        Fault::status(501),
        Fault::status(410),
        Fault::status(500),
        Fault::Answer { status: 200, headers: Vec::new(), body: "<html>".into() },
        Fault::Answer { status: 200, headers: Vec::new(), body: "[]".into() },
        Fault::Answer {
            status: 302,
            headers: vec![("location".to_owned(), "/elsewhere".to_owned())],
            body: "".into(),
        },
        Fault::Cut { after: 1 },
    ];
    mirror.upstream.put_json(BULK, &json!({}));
    for (number, fault) in faults.into_iter().enumerate() {
        mirror.upstream.fault(BULK, fault, 1);
        let request = mirror.request("POST", BULK).json(&json!({ "lamp": ["1.0.0"] }));
        let answer = request.send().await.expect(200);
        assert_eq!(answer.json(), json!({}), "{number}");
        assert!(answer.must("npm-notice").contains("nothing was audited"), "{number}");
    }
    assert!(mirror.upstream.asked().iter().all(|asked| asked.path == BULK));
    let request = mirror.request("POST", BULK).json(&json!({ "lamp": ["1.0.0"] }));
    assert!(request.send().await.expect(200).header("npm-notice").is_none());
    mirror.finish().await;
}

#[tokio::test]
async fn older_clients_send_a_tree_and_get_the_places() {
    let mirror = TestMirror::with(&[]).await;
    load(&mirror, &[record("GHSA-1", "b", "2.0.0")]).await;
    let tree = json!({
        "name": "app", "version": "1.0.0", "requires": { "a": "^1" }, "install": [], "remove": [],
        "metadata": {}, "dependencies": {
            "a": { "version": "1.0.0", "requires": { "b": "^1" } },
            "b": { "version": "1.5.0", "dev": true, "integrity": "sha512-x" },
        },
    });
    for path in ["audits", "audits/quick"] {
        let request = mirror.request("POST", &format!("/-/npm/v1/security/{path}"));
        let packed = gzip(tree.to_string().as_bytes());
        let request = request.header("content-encoding", "gzip").body("application/json", packed);
        let report = request.send().await.expect(200).json();
        let found = report["advisories"].as_object().expect("advisories");
        assert_eq!(found.len(), 1);
        let (id, one) = found.iter().next().expect("one");
        assert_eq!(id, &one["id"].to_string());
        assert_eq!((&one["module_name"], &one["severity"]), (&json!("b"), &json!("high")));
        assert_eq!(one["patched_versions"], json!(">=2.0.0"));
        let finding = json!({
            "version": "1.5.0", "paths": ["a>b"], "dev": true, "optional": false, "bundled": false,
        });
        assert_eq!(one["findings"], json!([finding]));
        let action = &report["actions"][0];
        assert_eq!((&action["action"], &action["module"]), (&json!("review"), &json!("b")));
        assert_eq!(action["resolves"][0]["path"], json!("a>b"));
        assert_eq!(
            report["metadata"],
            json!({
                "vulnerabilities": { "info": 0, "low": 0, "moderate": 0, "high": 1, "critical": 0 },
                "dependencies": 1, "devDependencies": 1, "optionalDependencies": 0,
                "totalDependencies": 2,
            })
        );
    }
    mirror.finish().await;
}

#[tokio::test]
async fn bodies_that_are_none_are_refused_and_large_ones_not_unpacked() {
    let mirror = TestMirror::with(&[Package::new("lamp").version("1.0.0")]).await;
    for (body, status) in [("", 400), ("{", 400), ("[]", 422), (r#"{"lamp": "1.0.0"}"#, 422)] {
        let request = mirror.request("POST", BULK).body("application/json", body.to_owned());
        request.send().await.expect(status).error();
    }
    let packed = |body: Vec<u8>| {
        let request = mirror.request("POST", BULK).header("content-encoding", "gzip");
        request.body("application/json", body)
    };
    packed(b"no gzip".to_vec()).send().await.expect(400);
    packed(gzip(&vec![b' '; 40 << 20])).send().await.expect(413);
    let other = mirror.request("POST", BULK).header("content-encoding", "br");
    other.body("application/json", "{}".to_owned()).send().await.expect(400);
    mirror.get(BULK).send().await.expect(405);
    mirror.request("POST", "/-/npm/v1/security/other").send().await.expect(404);
    mirror.finish().await;
}
