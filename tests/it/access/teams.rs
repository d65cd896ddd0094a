//! `/-/team…`, word for word, and who may do what.

use serde_json::{Value, json};

use super::{Garden, SEEDS};

#[tokio::test]
async fn a_team_is_made_filled_and_deleted() {
    let garden = Garden::start().await;
    let (root, ada, cy) = (&*garden.root, &*garden.ada, &*garden.cy);
    garden.root("PUT", "/-/org", json!({ "name": "house" })).await;
    garden.root("PUT", "/-/org/house/member", json!({ "user": "ada" })).await;
    let teams = "/-/org/house/team";
    let cooks = json!({ "name": "cooks", "description": "who cook" });
    let only_org = "[FORBIDDEN] Only org owner or admin can perform this action";
    assert_eq!(garden.refused(("PUT", teams), ada, cooks.clone(), 403).await, only_org);
    garden.refused(("PUT", teams), "", cooks.clone(), 401).await;
    garden.root("PUT", teams, cooks.clone()).await;
    let again = garden.refused(("PUT", teams), root, cooks, 403).await;
    assert_eq!(again, "[FORBIDDEN] Team \"cooks\" already exists");
    let seen = garden.get(&format!("{teams}?format=cli"), cy).await.expect(200).json();
    assert_eq!(seen, json!(["house:cooks", "house:developers"]));
    let seen = garden.get("/-/team/house/cooks", cy).await.expect(200).json();
    assert_eq!((&seen["name"], &seen["description"]), (&json!("cooks"), &json!("who cook")));

    let only_team = "[FORBIDDEN] Only team owner or admin can perform this action";
    let user = "/-/team/house/cooks/user";
    let outside = "[FORBIDDEN] User must be an org member before joining a team";
    let none = "[NOT_FOUND] User \"cy\" is not a member of this team";
    let role = "[UNPROCESSABLE_ENTITY] role is required and must be \"owner\" or \"member\"";
    let member = "/-/team/house/cooks/member/cy";
    for (method, target, token, body, status, error) in [
        ("PUT", user, ada, json!({ "user": "ada" }), 403, only_team),
        ("DELETE", user, ada, json!({ "user": "root" }), 403, only_team),
        ("DELETE", "/-/team/house/cooks", ada, Value::Null, 403, only_team),
        ("PUT", user, root, json!({}), 422, "[UNPROCESSABLE_ENTITY] user is required"),
        ("PUT", user, root, json!({ "user": "eve" }), 404, "[NOT_FOUND] User \"eve\" not found"),
        ("PUT", user, root, json!({ "user": "cy" }), 403, outside),
        ("PATCH", member, root, json!({ "role": "owner" }), 404, none),
        ("PATCH", member, root, json!({ "role": "admin" }), 422, role),
        ("PATCH", member, root, json!({}), 422, role),
        (
            "GET",
            "/-/team/house/maids",
            root,
            Value::Null,
            404,
            "[NOT_FOUND] Team \"maids\" not found",
        ),
        ("GET", "/-/team/x/maids", root, Value::Null, 404, "[NOT_FOUND] Org \"x\" not found"),
        (
            "DELETE",
            "/-/team/house/developers",
            root,
            Value::Null,
            403,
            "[FORBIDDEN] Cannot delete the developers team",
        ),
    ] {
        let refused = garden.refused((method, target), token, body, status).await;
        assert_eq!(refused, error, "{method} {target}");
    }

    garden.root("PUT", user, json!({ "user": "ada" })).await;
    garden.root("PATCH", "/-/team/house/cooks/member/ada", json!({ "role": "owner" })).await;
    // joining again takes no role away
    garden.root("PUT", user, json!({ "user": "ada" })).await;
    let seen = garden.get("/-/team/house/cooks/member", cy).await.expect(200).json();
    let both = json!([{ "user": "ada", "role": "owner" }, { "user": "root", "role": "owner" }]);
    assert_eq!(seen, both);
    // an owner of the team changes it, without being one of the org
    garden.root("PUT", "/-/org/house/member", json!({ "user": "bob" })).await;
    garden.send("PUT", user, ada, &json!({ "user": "bob" })).await.expect(200);
    garden.send("DELETE", user, ada, &json!({ "user": "root" })).await.expect(200);
    garden.send("DELETE", user, ada, &json!({ "user": "root" })).await.expect(200);
    assert_eq!(garden.get(user, cy).await.expect(200).json(), json!(["ada", "bob"]));
    garden.send("DELETE", "/-/team/house/cooks", ada, &Value::Null).await.expect(200);
    garden.get("/-/team/house/cooks", cy).await.expect(404);
    garden.mirror.finish().await;
}

#[tokio::test]
async fn a_team_is_granted_packages_by_who_has_a_say_about_them() {
    let garden = Garden::start().await;
    let (cy, bob) = (&*garden.cy, &*garden.bob);
    // in an open scope anybody has a team, and nobody gets packages by that
    garden.send("PUT", "/-/org/garden/team", cy, &json!({ "name": "mine" })).await.expect(200);
    let package = "/-/team/garden/mine/package";
    let seeds = json!({ "package": SEEDS, "permissions": "read-write" });
    let refused = garden.refused(("PUT", package), cy, seeds.clone(), 403).await;
    assert!(refused.contains("\"cy\" not authorized to modify @garden/seeds"), "{refused}");
    garden.refused(("PUT", package), bob, seeds.clone(), 403).await;
    let unknown = json!({ "package": "@garden/none" });
    let missing = garden.refused(("PUT", package), &garden.root, unknown, 404).await;
    assert_eq!(missing, "[NOT_FOUND] Package \"@garden/none\" not found");
    for (body, error) in [
        (json!({}), "[UNPROCESSABLE_ENTITY] package is required"),
        (
            json!({ "package": SEEDS, "permissions": "all" }),
            "[UNPROCESSABLE_ENTITY] permissions must be \"read-only\" or \"read-write\"",
        ),
    ] {
        assert_eq!(garden.refused(("PUT", package), &garden.root, body, 422).await, error);
    }
    garden.root("PUT", package, json!({ "package": SEEDS })).await;
    let seen = garden.get(package, cy).await.expect(200).json();
    assert_eq!(seen, json!({ SEEDS: "read" }));
    // a team's owner cannot take its package away, which might open it to everybody
    let gone = json!({ "package": SEEDS });
    garden.refused(("DELETE", package), cy, gone.clone(), 403).await;
    garden.refused(("DELETE", "/-/team/garden/mine"), cy, Value::Null, 403).await;
    garden.root("PUT", package, seeds).await;
    assert_eq!(garden.get(package, cy).await.expect(200).json(), json!({ SEEDS: "write" }));
    // one that may write has a say
    garden.send("DELETE", package, cy, &gone).await.expect(200);
    assert_eq!(garden.get(package, cy).await.expect(200).json(), json!({}));
    garden.root("DELETE", package, gone).await;
    garden.send("DELETE", "/-/team/garden/mine", cy, &Value::Null).await.expect(200);
    garden.mirror.finish().await;
}

#[tokio::test]
async fn what_somebody_has_is_listed_by_user_team_and_org() {
    let garden = Garden::start().await;
    garden.growers().await;
    let write = json!({ "package": "@garden/soil", "permissions": "read-write" });
    garden.root("PUT", "/-/team/garden/growers/package", write).await;
    garden.grant(SEEDS).await;
    let both = json!({ SEEDS: "read", "@garden/soil": "write" });
    for target in [
        "/-/org/bob/package",
        "/-/user/bob/package",
        "/-/org/garden/package",
        "/-/team/garden/growers/package",
    ] {
        assert_eq!(garden.get(target, &garden.bob).await.expect(200).json(), both, "{target}");
        // others may know that bob is there, and not what they cannot read
        let seen = garden.get(target, &garden.cy).await.expect(200).json();
        assert_eq!(seen, json!({}), "{target}");
    }
    assert_eq!(garden.get("/-/org/cy/package", "").await.expect(200).json(), json!({}));
    let unknown = garden.refused(("GET", "/-/org/eve/package"), "", Value::Null, 404).await;
    assert_eq!(unknown, "[NOT_FOUND] User \"eve\" not found");
    let collaborators = "/-/package/@garden%2fsoil/collaborators";
    let seen = garden.get(collaborators, &garden.bob).await.expect(200).json();
    assert_eq!(seen["bob"], "write");
    garden.mirror.finish().await;
}
