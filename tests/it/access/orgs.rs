//! `/-/org…`, word for word.

use serde_json::{Value, json};
use store::audit::{self, AuditFilter};

use super::Garden;
use crate::harness::{TestMirror, TokenKind};

#[tokio::test]
async fn an_admin_makes_an_org_and_its_owners_fill_it() {
    let garden = Garden::start().await;
    let house = json!({ "name": "house", "description": "rooms" });
    for (token, status, error) in [
        ("", 401, "[UNAUTHORIZED] Login first"),
        (&*garden.ada, 403, "[FORBIDDEN] Not allow to access"),
    ] {
        let refused = garden.refused(("PUT", "/-/org"), token, house.clone(), status).await;
        assert_eq!(refused, error);
    }
    let unnamed = garden.refused(("PUT", "/-/org"), &garden.root, json!({}), 422).await;
    assert_eq!(unnamed, "[UNPROCESSABLE_ENTITY] name is required");
    assert_eq!(garden.root("PUT", "/-/org", house.clone()).await, json!({ "ok": true }));
    let again = garden.refused(("PUT", "/-/org"), &garden.root, house, 403).await;
    assert_eq!(again, "[FORBIDDEN] Org \"house\" already exists");

    let seen = garden.get("/-/org/house", &garden.cy).await.expect(200).json();
    assert_eq!((&seen["name"], &seen["description"]), (&json!("house"), &json!("rooms")));
    assert!(seen["created"].as_str().is_some_and(|at| at.ends_with('Z')), "{seen}");
    let unknown = garden.refused(("GET", "/-/org/nowhere"), &garden.cy, Value::Null, 404).await;
    assert_eq!(unknown, "[NOT_FOUND] Org \"nowhere\" not found");
    garden.get("/-/org/house", "").await.expect(401);

    // its maker is its owner and one of its developers
    let members = "/-/org/house/member";
    assert_eq!(garden.root("GET", members, Value::Null).await, json!({ "root": "owner" }));
    let developers = "/-/team/house/developers/member";
    let all = garden.root("GET", developers, Value::Null).await;
    assert_eq!(all, json!([{ "user": "root", "role": "owner" }]));

    let ada = json!({ "user": "ada", "role": "owner" });
    let only_owners = "[FORBIDDEN] Only org owner or admin can perform this action";
    let refused = garden.refused(("PUT", members), &garden.ada, ada.clone(), 403).await;
    assert_eq!(refused, only_owners);
    garden.root("PUT", members, ada).await;
    let bob = json!({ "user": "bob" });
    garden.send("PUT", members, &garden.ada, &bob).await.expect(200);
    let seen = garden.get(members, &garden.cy).await.expect(200).json();
    assert_eq!(seen, json!({ "ada": "owner", "bob": "member", "root": "owner" }));
    let users = garden.get("/-/team/house/developers/user", &garden.cy).await.expect(200).json();
    assert_eq!(users, json!(["ada", "bob", "root"]));
    let teams = garden.get("/-/org/house/member/bob/team", &garden.cy).await.expect(200).json();
    let developer = json!({ "name": "developers", "description": "", "role": "member" });
    assert_eq!(teams, json!([developer]));

    for (method, target, body, status, error) in [
        ("PUT", members, json!({}), 422, "[UNPROCESSABLE_ENTITY] user is required"),
        ("PUT", members, json!({ "user": "eve" }), 404, "[NOT_FOUND] User \"eve\" not found"),
        (
            "DELETE",
            "/-/org/house/member/eve",
            Value::Null,
            404,
            "[NOT_FOUND] User \"eve\" not found",
        ),
        (
            "GET",
            "/-/org/house/member/eve/team",
            Value::Null,
            404,
            "[NOT_FOUND] User \"eve\" not found",
        ),
        ("DELETE", "/-/org/nowhere", Value::Null, 404, "[NOT_FOUND] Org \"nowhere\" not found"),
        (
            "PUT",
            members,
            json!({ "user": "bob", "role": "king" }),
            422,
            "[UNPROCESSABLE_ENTITY] role must be \"owner\", \"admin\", \"developer\" or \"member\"",
        ),
        ("PUT", members, json!({ "user": 7 }), 422, "[INVALID_PARAM] user: must be string"),
    ] {
        assert_eq!(garden.refused((method, target), &garden.root, body, status).await, error);
    }
    let refused =
        garden.refused(("DELETE", "/-/org/house/member/ada"), &garden.bob, Value::Null, 403).await;
    assert_eq!(refused, only_owners);

    // who leaves the org leaves its teams
    garden.send("DELETE", "/-/org/house/member/bob", &garden.ada, &Value::Null).await.expect(200);
    let users = garden.get("/-/team/house/developers/user", &garden.cy).await.expect(200).json();
    assert_eq!(users, json!(["ada", "root"]));

    garden.refused(("DELETE", "/-/org/house"), &garden.ada, Value::Null, 403).await;
    garden.root("DELETE", "/-/org/house", Value::Null).await;
    garden.get("/-/org/house", &garden.cy).await.expect(404);
    garden.get("/-/team/house/developers", &garden.cy).await.expect(404);
    // and nothing of it is there again with a new one of its name
    garden.root("PUT", "/-/org", json!({ "name": "house" })).await;
    assert_eq!(garden.root("GET", members, Value::Null).await, json!({ "root": "owner" }));
    garden.mirror.finish().await;
}

#[tokio::test]
async fn npm_has_its_own_words_for_members() {
    let garden = Garden::people(TestMirror::with(&[]).await).await;
    garden.root("PUT", "/-/org", json!({ "name": "house" })).await;
    let set = garden.root("PUT", "/-/org/house/user", json!({ "user": "ada", "role": "admin" }));
    let shown = json!({ "org": { "name": "house", "size": 2 }, "user": "ada", "role": "admin" });
    assert_eq!(set.await, shown);
    let set =
        garden.root("PUT", "/-/org/%40house/user", json!({ "user": "bob", "role": "developer" }));
    let shown =
        json!({ "org": { "name": "house", "size": 3 }, "user": "bob", "role": "developer" });
    assert_eq!(set.await, shown);
    let seen = garden.root("GET", "/-/org/house/user", Value::Null).await;
    assert_eq!(seen, json!({ "ada": "admin", "bob": "developer", "root": "owner" }));

    // an admin of the org manages members and teams, and no owners and admins
    let ada = &garden.ada;
    for (method, body) in [
        ("PUT", json!({ "user": "cy", "role": "owner" })),
        ("PUT", json!({ "user": "root", "role": "developer" })),
        ("PUT", json!({ "user": "ada", "role": "owner" })),
        ("DELETE", json!({ "user": "root" })),
    ] {
        let refused = garden.refused((method, "/-/org/house/user"), ada, body, 403).await;
        assert_eq!(refused, "[FORBIDDEN] Only org owner can make and unmake owners and admins");
    }
    let cy = json!({ "user": "cy" });
    garden.send("PUT", "/-/org/house/user", ada, &cy).await.expect(200);
    garden.send("DELETE", "/-/org/house/user", ada, &cy).await.expect(200);
    garden.send("DELETE", "/-/org/house/user", ada, &cy).await.expect(200);
    let team = json!({ "name": "cooks" });
    garden.send("PUT", "/-/org/house/team", ada, &team).await.expect(200);
    garden.refused(("PUT", "/-/org/house/team"), &garden.bob, json!({ "name": "x" }), 403).await;
    garden.mirror.finish().await;
}

#[tokio::test]
async fn an_open_scope_is_an_org_that_nobody_has_to_make() {
    let garden = Garden::start().await;
    let seen = garden.get("/-/org/garden", &garden.cy).await.expect(200).json();
    assert_eq!((&seen["name"], &seen["description"]), (&json!("garden"), &json!("")));
    let team = json!({ "name": "growers", "description": "who grow" });
    garden.send("PUT", "/-/org/garden/team", &garden.cy, &team).await.expect(200);
    let seen = garden.get("/-/org/garden/team", &garden.ada).await.expect(200).json();
    assert_eq!(seen, json!(["garden:growers"]));
    // nobody has to be a member of the org to be one of its teams
    let bob = json!({ "user": "bob" });
    garden.send("PUT", "/-/team/garden/growers/user", &garden.cy, &bob).await.expect(200);
    let members = garden.get("/-/team/garden/growers/member", &garden.ada).await.expect(200).json();
    let both = json!([{ "user": "bob", "role": "member" }, { "user": "cy", "role": "owner" }]);
    assert_eq!(members, both);
    // a scope that is bound here is private, and not everybody's
    let bind = json!({ "name": "@cellar", "registryId": "self" });
    garden.send("POST", "/-/scope", &garden.root, &bind).await.expect(201);
    garden.get("/-/org/cellar", &garden.cy).await.expect(404);
    garden.mirror.finish().await;
}

#[tokio::test]
async fn limited_tokens_change_no_org() {
    let garden = Garden::start().await;
    garden.root("PUT", "/-/org", json!({ "name": "house" })).await;
    garden.root("PUT", "/-/org/house/member", json!({ "user": "ada", "role": "owner" })).await;
    let (readonly, _) = garden.mirror.token("ada", TokenKind::Readonly).await;
    for (method, target, body) in [
        ("PUT", "/-/org/house/member", json!({ "user": "bob" })),
        ("DELETE", "/-/org/house/member/ada", Value::Null),
        ("PUT", "/-/org/house/user", json!({ "user": "bob" })),
        ("PUT", "/-/org/house/team", json!({ "name": "cooks" })),
        ("DELETE", "/-/team/house/developers", Value::Null),
        ("PUT", "/-/team/house/developers/user", json!({ "user": "bob" })),
        ("PATCH", "/-/team/house/developers/member/ada", json!({ "role": "member" })),
        ("PUT", "/-/team/house/developers/package", json!({ "package": "lamp" })),
        ("DELETE", "/-/team/house/developers/package", json!({ "package": "lamp" })),
        ("POST", "/-/package/lamp/access", json!({ "access": "restricted" })),
    ] {
        let refused = garden.refused((method, target), &readonly, body, 403).await;
        assert!(refused.starts_with("[FORBIDDEN] Read-only Token"), "{method} {target}: {refused}");
    }
    garden.get("/-/org/house", &readonly).await.expect(200);
    garden.mirror.finish().await;
}

#[tokio::test]
async fn every_change_stands_in_the_audit_log() {
    let garden = Garden::start().await;
    garden.root("PUT", "/-/org", json!({ "name": "house" })).await;
    garden.root("PUT", "/-/org/house/member", json!({ "user": "bob" })).await;
    garden.growers().await;
    garden.grant(super::SEEDS).await;
    garden.revoke(super::SEEDS).await;
    garden
        .root("POST", "/-/package/@garden%2fseeds/access", json!({ "access": "restricted" }))
        .await;
    garden.root("PATCH", "/-/team/garden/growers/member/bob", json!({ "role": "owner" })).await;
    garden.root("DELETE", "/-/team/garden/growers/user", json!({ "user": "bob" })).await;
    garden.root("DELETE", "/-/team/garden/growers", Value::Null).await;
    garden.root("DELETE", "/-/org/house/member/bob", Value::Null).await;
    garden.root("DELETE", "/-/org/house", Value::Null).await;
    let filter = AuditFilter { limit: 100, who: Some("root".into()), ..AuditFilter::default() };
    let log = garden.mirror.store().read(move |rows| audit::list(rows, &filter)).await.unwrap();
    let told: Vec<_> =
        log.iter().rev().map(|row| format!("{} {}", row.action, row.subject)).collect();
    assert_eq!(
        told,
        [
            "org.add house",
            "org.member house",
            "team.add garden:growers",
            "team.member garden:growers",
            "package.grant @garden/seeds",
            "package.grant @garden/seeds",
            "package.access @garden/seeds",
            "team.member garden:growers",
            "team.member garden:growers",
            "team.remove garden:growers",
            "org.member house",
            "org.remove house",
        ]
    );
    let grant = &log[log.len() - 5];
    assert_eq!(grant.after, Some(json!({ "team": "garden:growers", "permission": "read" })));
    assert_eq!((grant.by.who.as_str(), grant.by.origin.as_str()), ("root", "127.0.0.1"));
    garden.mirror.finish().await;
}
