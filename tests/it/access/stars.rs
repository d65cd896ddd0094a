//! `npm star`, `npm unstar`, `npm stars`, and pnpm's routes for the same.

use serde_json::{Value, json};

use super::{Garden, SEEDS};
use crate::harness::TokenKind;

#[tokio::test]
async fn a_package_is_starred_with_its_document() {
    let garden = Garden::start().await;
    let (ada, cy) = (&*garden.ada, &*garden.cy);
    // as npm does: read, add oneself, write
    let document = garden.get("/lamp?write=true", ada).await.expect(200).json();
    let body = |users: Value| json!({ "_id": "lamp", "_rev": document["_rev"], "users": users });
    let starred = body(json!({ "ada": true, "eve": true, "cy": false }));
    garden.send("PUT", "/lamp", "", &starred).await.expect(401);
    let (readonly, _) = garden.mirror.token("ada", TokenKind::Readonly).await;
    let refused = garden.refused(("PUT", "/lamp"), &readonly, starred.clone(), 403).await;
    assert!(refused.contains("Read-only Token"), "{refused}");
    for _ in 0..2 {
        let answer = garden.send("PUT", "/lamp", ada, &starred).await.expect(201).json();
        assert_eq!(answer, json!({ "ok": true }));
    }
    garden.send("PUT", "/@garden%2fsoil", ada, &body(json!({ "ada": true }))).await.expect(201);
    let rows = |user: &str| garden.get_owned(format!("/-/_view/starredByUser?key=%22{user}%22"));
    let row = |name: &str| json!({ "id": name, "key": "ada", "value": name });
    assert_eq!(rows("ada").await["rows"], json!([row("@garden/soil"), row("lamp")]));
    // a document stars for nobody but its sender
    for user in ["cy", "eve", "nobody", "%2e%2e"] {
        assert_eq!(rows(user).await["rows"], json!([]), "{user}");
    }
    let plain = garden.get("/-/_view/starredByUser?key=ada", "").await.expect(200).json();
    assert_eq!(plain["total_rows"], 2);
    let missing = garden.refused(("GET", "/-/_view/starredByUser"), "", Value::Null, 422).await;
    assert_eq!(missing, "[INVALID_PARAM] must have required property 'key'");
    // nothing was sent upstream, and the document is the one it was
    assert!(garden.mirror.upstream.asked().iter().all(|asked| !asked.path.contains("star")));
    let again = garden.get("/lamp?write=true", cy).await.expect(200).json();
    assert_eq!(again, document);

    garden.send("PUT", "/lamp", ada, &body(json!({}))).await.expect(201);
    assert_eq!(rows("ada").await["rows"], json!([row("@garden/soil")]));
    for (target, body, status) in [
        ("/nothing-here", json!({ "_id": "nothing-here", "users": { "ada": true } }), 404),
        ("/lamp", json!({ "_id": "lamp", "users": { "ada": "yes" } }), 422),
        ("/lamp", json!({ "_id": "lamp", "users": [] }), 422),
    ] {
        garden.refused(("PUT", target), ada, body, status).await;
    }
    garden.mirror.finish().await;
}

#[tokio::test]
async fn pnpm_stars_by_name() {
    let garden = Garden::start().await;
    let own = "/-/user/v1/star";
    let lamp = json!({ "name": "lamp", "package": "lamp" });
    garden.send("PUT", own, "", &lamp).await.expect(401);
    garden.get(own, "").await.expect(401);
    garden.send("PUT", own, &garden.ada, &lamp).await.expect(200);
    garden.send("PUT", own, &garden.ada, &json!({ "package": SEEDS })).await.expect(200);
    let seen = garden.get(own, &garden.ada).await.expect(200).json();
    assert_eq!(seen, json!([SEEDS, "lamp"]));
    let seen = garden.get("/-/user/ada/stars", "").await.expect(200).json();
    assert_eq!(seen, json!({ SEEDS: true, "lamp": true }));
    let unknown = garden.refused(("GET", "/-/user/eve/stars"), "", Value::Null, 404).await;
    assert_eq!(unknown, "[NOT_FOUND] User \"eve\" not found");
    garden.send("DELETE", own, &garden.ada, &lamp).await.expect(200);
    garden.send("DELETE", own, &garden.ada, &lamp).await.expect(200);
    assert_eq!(garden.get(own, &garden.ada).await.expect(200).json(), json!([SEEDS]));
    for (body, status) in [
        (json!({}), 422),
        (json!({ "name": "../lamp" }), 422),
        (json!({ "name": "nothing-here" }), 404),
    ] {
        garden.refused(("PUT", own), &garden.ada, body, status).await;
    }
    garden.mirror.finish().await;
}

#[tokio::test]
async fn what_somebody_may_not_read_he_does_not_star() {
    let garden = Garden::start().await;
    garden.growers().await;
    garden.grant(SEEDS).await;
    let seeds = json!({ "name": SEEDS });
    let refused = garden.refused(("PUT", "/-/user/v1/star"), &garden.cy, seeds.clone(), 403).await;
    assert_eq!(refused, "[FORBIDDEN] \"cy\" is not authorized to access @garden/seeds");
    garden.send("PUT", "/-/user/v1/star", &garden.bob, &seeds).await.expect(200);
    let by_bob = "/-/user/bob/stars";
    assert_eq!(garden.get(by_bob, &garden.bob).await.expect(200).json(), json!({ SEEDS: true }));
    assert_eq!(garden.get(by_bob, &garden.cy).await.expect(200).json(), json!({}));
    garden.mirror.finish().await;
}
