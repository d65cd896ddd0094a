//! Packages with readers of their own.

use serde_json::{Value, json};

use super::{Garden, SEEDS};
use crate::harness::{Package, TestMirror, TokenKind, until};

/// Everything that tells something of one package.
const READS: [&str; 9] = [
    "/@garden/seeds",
    "/@garden%2fseeds",
    "/%40garden%2Fseeds",
    "/@garden/seeds/1.0.0",
    "/@garden/seeds/latest",
    "/@garden/seeds/^1.0",
    "/@garden/seeds/-/seeds-1.0.0.tgz",
    "/@garden/seeds/-/@garden/seeds-1.1.0.tgz",
    "/-/package/@garden%2fseeds/dist-tags",
];

async fn all(garden: &Garden, token: &str, status: u16) {
    for target in READS {
        for method in ["GET", "HEAD"] {
            let answer = garden.send(method, target, token, &Value::Null).await;
            assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_granted_package_is_read_by_its_teams_alone_and_at_once() {
    let garden = Garden::start().await;
    garden.growers().await;
    all(&garden, "", 200).await;
    let etag = garden.get("/@garden/seeds", "").await.must("etag").to_owned();
    garden.grant(SEEDS).await;
    all(&garden, "", 401).await;
    all(&garden, &garden.bob, 200).await;
    all(&garden, &garden.root, 200).await;
    all(&garden, &garden.cy, 403).await;
    for target in READS {
        assert_eq!(garden.get(target, "").await.error(), "[UNAUTHORIZED] Login first", "{target}");
        let error = garden.get(target, &garden.cy).await.error();
        assert_eq!(
            error, "[FORBIDDEN] \"cy\" is not authorized to access @garden/seeds",
            "{target}"
        );
        let answer = garden.get(target, &garden.bob).await;
        assert_eq!(answer.must("cache-control"), "private, no-store", "{target}");
    }
    // nor is anybody told that what he has is still the newest
    let conditional = |token: &str| {
        let request = garden.mirror.get("/@garden/seeds").header("if-none-match", &etag);
        if token.is_empty() { request.send() } else { request.token(token).send() }
    };
    conditional("").await.expect(401);
    let unmodified = conditional(&garden.bob).await.expect(304);
    assert_eq!(unmodified.must("cache-control"), "private, no-store");
    let part = garden.mirror.get(READS[6]).header("range", "bytes=0-9");
    part.send().await.expect(401);
    // others are as they were
    garden.get("/@garden/soil", "").await.expect(200);
    let lamp = garden.get("/lamp/-/lamp-1.0.0.tgz", "").await.expect(200);
    assert_eq!(lamp.must("cache-control"), "public, max-age=31536000, immutable");

    // out of the team, and in again
    let bob = json!({ "user": "bob" });
    garden.root("DELETE", "/-/team/garden/growers/user", bob.clone()).await;
    all(&garden, &garden.bob, 403).await;
    garden.root("PUT", "/-/team/garden/growers/user", bob).await;
    all(&garden, &garden.bob, 200).await;
    garden.revoke(SEEDS).await;
    all(&garden, "", 200).await;
    garden.grant(SEEDS).await;
    garden.root("DELETE", "/-/team/garden/growers", Value::Null).await;
    all(&garden, "", 200).await;
    garden.mirror.finish().await;
}

#[tokio::test]
async fn what_somebody_said_of_a_package_counts_for_more_than_grants() {
    let garden = Garden::start().await;
    garden.growers().await;
    let access = "/-/package/@garden%2fseeds/access";
    let visibility = "/-/package/@garden%2fseeds/visibility";
    let seen = garden.get(visibility, "").await.expect(200).json();
    assert_eq!(seen, json!({ "public": true }));
    for (token, status) in [("", 401), (&*garden.bob, 403)] {
        garden.refused(("POST", access), token, json!({ "access": "restricted" }), status).await;
    }
    garden.root("POST", access, json!({ "access": "restricted" })).await;
    all(&garden, "", 401).await;
    all(&garden, &garden.bob, 403).await;
    all(&garden, &garden.root, 200).await;
    garden.get(visibility, "").await.expect(401);
    garden.get(visibility, &garden.bob).await.expect(403);
    let seen = garden.get(visibility, &garden.root).await.expect(200);
    assert_eq!(seen.json(), json!({ "public": false }));
    // a grant lets its team in, and its end lets nobody in
    garden.grant(SEEDS).await;
    all(&garden, &garden.bob, 200).await;
    garden.revoke(SEEDS).await;
    all(&garden, &garden.bob, 403).await;
    all(&garden, "", 401).await;
    garden.root("POST", access, json!({ "access": "public" })).await;
    garden.grant(SEEDS).await;
    all(&garden, "", 200).await;
    garden.mirror.finish().await;
}

#[tokio::test]
async fn what_cannot_be_said_of_a_package_is_refused() {
    let garden = Garden::start().await;
    let seeds = "/-/package/@garden%2fseeds/access";
    let two = json!({ "publish_requires_tfa": true, "automation_token_overrides_tfa": false });
    for (target, body, status, error) in [
        (seeds, json!({}), 422, "[UNPROCESSABLE_ENTITY] access is required"),
        (
            seeds,
            json!({ "access": "secret" }),
            422,
            "[INVALID_PARAM] access: must be \"public\" or \"restricted\"",
        ),
        (
            seeds,
            two,
            422,
            "[UNPROCESSABLE_ENTITY] publish_requires_tfa: there is no second factor here",
        ),
        (
            "/-/package/lamp/access",
            json!({ "access": "restricted" }),
            403,
            "[FORBIDDEN] Can't modify npm public package \"lamp\"",
        ),
        (
            "/-/package/@garden%2fnone/access",
            json!({ "access": "public" }),
            404,
            "[NOT_FOUND] @garden/none not found",
        ),
    ] {
        assert_eq!(garden.refused(("POST", target), &garden.root, body, status).await, error);
    }
    garden.root("POST", seeds, json!({ "publish_requires_tfa": false })).await;
    garden.get("/-/package/@garden%2fnone/visibility", "").await.expect(404);
    let missing =
        garden.refused(("GET", "/-/package/none/collaborators"), "", Value::Null, 403).await;
    assert_eq!(missing, "[FORBIDDEN] Forbidden");
    let lamp = garden.get("/-/package/lamp/collaborators", "").await.expect(200).json();
    assert_eq!(lamp, json!({ "ada": "write" }));
    garden.mirror.finish().await;
}

#[tokio::test]
async fn who_manages_the_org_of_a_scope_reads_what_is_in_it() {
    let garden = Garden::start().await;
    garden.root("PUT", "/-/org/garden/member", json!({ "user": "ada", "role": "owner" })).await;
    garden.root("PUT", "/-/org/garden/member", json!({ "user": "cy" })).await;
    garden.growers().await;
    garden.grant(SEEDS).await;
    all(&garden, &garden.ada, 200).await;
    all(&garden, &garden.cy, 403).await;
    // a read-only token reads, and one that is bad does not
    let (readonly, _) = garden.mirror.token("bob", TokenKind::Readonly).await;
    all(&garden, &readonly, 200).await;
    let (expired, _) = garden.mirror.token("bob", TokenKind::Expired).await;
    all(&garden, &expired, 401).await;
    garden.root("DELETE", "/-/org/garden/member/ada", Value::Null).await;
    all(&garden, &garden.ada, 403).await;
    garden.root("DELETE", "/-/org/garden", Value::Null).await;
    all(&garden, "", 200).await;
    garden.mirror.finish().await;
}

#[tokio::test]
async fn a_package_of_an_upstream_has_no_readers_of_its_own_until_its_scope_is_ours() {
    let mirror = TestMirror::with(&[Package::new(SEEDS).version("1.0.0").version("1.1.0")]).await;
    mirror.sync(&[SEEDS]).await;
    let garden = Garden::people(mirror).await;
    garden.root("PUT", "/-/org", json!({ "name": "garden" })).await;
    garden.growers_of_org().await;
    garden.grant(SEEDS).await;
    all(&garden, "", 200).await;
    let bind = json!({ "name": "@garden", "registryId": "self" });
    garden.send("POST", "/-/scope", &garden.root, &bind).await.expect(201);
    until("the scope to be ours for readers", || async {
        (garden.get("/@garden/seeds", "").await.status == 401).then_some(())
    })
    .await;
    all(&garden, "", 401).await;
    all(&garden, &garden.bob, 200).await;
    // what is not there is not there for strangers either
    for (token, status) in [("", 401), (&*garden.cy, 403), (&*garden.bob, 404)] {
        for target in ["/@garden/seeds/-/seeds-9.9.9.tgz", "/@garden/seeds/9.9.9"] {
            assert_eq!(garden.get(target, token).await.status, status, "{target}");
        }
    }
    garden.mirror.finish().await;
}

#[tokio::test]
async fn nobody_is_let_in_by_a_restart() {
    let mut garden = Garden::start().await;
    garden.growers().await;
    garden.grant(SEEDS).await;
    garden.mirror.restart().await;
    all(&garden, "", 401).await;
    all(&garden, &garden.cy, 403).await;
    all(&garden, &garden.bob, 200).await;
    garden.mirror.finish().await;
}

#[tokio::test]
async fn a_maintainer_reads_closes_and_grants() {
    let garden = Garden::start().await;
    garden.maintain(SEEDS, &["ada"]).await;
    let (ada, cy) = (&*garden.ada, &*garden.cy);
    let access = "/-/package/@garden%2fseeds/access";
    let restricted = json!({ "access": "restricted" });
    let theirs = "[FORBIDDEN] \"cy\" not authorized to modify @garden/seeds, please contact \
                  maintainers: \"ada\"";
    assert_eq!(garden.refused(("POST", access), cy, restricted.clone(), 403).await, theirs);
    garden.send("POST", access, ada, &restricted).await.expect(200);
    all(&garden, "", 401).await;
    all(&garden, cy, 403).await;
    all(&garden, ada, 200).await;
    // it shows to its maintainer, in lists, too
    let has = |page: &Value| page.to_string().contains(SEEDS);
    for target in ["/_changes", "/_all_docs", "/-/user/ada/package"] {
        assert!(has(&garden.get(target, ada).await.expect(200).json()), "{target}");
        assert!(!has(&garden.get(target, cy).await.expect(200).json()), "{target}");
    }
    let own = garden.get("/-/user/ada/package", ada).await.expect(200).json();
    assert_eq!(own, json!({ SEEDS: "write" }));
    let collaborators = "/-/package/@garden%2fseeds/collaborators";
    let seen = garden.get(collaborators, ada).await.expect(200).json();
    assert_eq!(seen, json!({ "ada": "write" }));

    for (token, team) in [(ada, "friends"), (cy, "others")] {
        let team = json!({ "name": team });
        garden.send("PUT", "/-/org/garden/team", token, &team).await.expect(200);
    }
    let bob = json!({ "user": "bob" });
    garden.send("PUT", "/-/team/garden/friends/user", ada, &bob).await.expect(200);
    let seeds = json!({ "package": SEEDS, "permissions": "read-only" });
    let others = "/-/team/garden/others/package";
    assert_eq!(garden.refused(("PUT", others), cy, seeds.clone(), 403).await, theirs);
    let refused = garden.refused(("PUT", others), ada, seeds.clone(), 403).await;
    assert_eq!(refused, "[FORBIDDEN] Only team owner or admin can perform this action");
    let friends = "/-/team/garden/friends/package";
    garden.send("PUT", friends, ada, &seeds).await.expect(200);
    all(&garden, &garden.bob, 200).await;
    let seen = garden.get(collaborators, ada).await.expect(200).json();
    assert_eq!(seen, json!({ "ada": "write", "bob": "read" }));
    garden.send("DELETE", friends, ada, &seeds).await.expect(200);
    all(&garden, &garden.bob, 403).await;
    all(&garden, "", 401).await;
    garden.mirror.finish().await;
}
