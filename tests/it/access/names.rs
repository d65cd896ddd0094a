//! Names that are none, too long, or made to be taken for something else.

use serde_json::{Value, json};

use super::Garden;

#[tokio::test]
async fn names_that_are_none_are_refused_before_anything_looks_for_them() {
    let garden = Garden::start().await;
    let root = &*garden.root;
    let long = "a".repeat(101);
    for name in ["", " ", "..", "A", "a/b", "a:b", "a\0b", "a b", "@a/b", "%61", "ä", &*long] {
        let body = json!({ "name": name });
        garden.refused(("PUT", "/-/org"), root, body.clone(), 422).await;
        garden.refused(("PUT", "/-/org/garden/team"), root, body, 422).await;
    }
    for description in ["a\0b".to_owned(), "a".repeat(1_025)] {
        let body = json!({ "name": "house", "description": description });
        garden.refused(("PUT", "/-/org"), root, body, 422).await;
    }
    for segment in ["..%2f..", "%2e%2e", "a%2fb", "%00", "A", "a%0ab", "%F0%9F%8C%B1", &*long] {
        for target in [
            format!("/-/org/{segment}"),
            format!("/-/org/{segment}/team"),
            format!("/-/org/{segment}/member"),
            format!("/-/org/{segment}/package"),
            format!("/-/org/garden/member/{segment}/team"),
            format!("/-/team/{segment}/growers"),
            format!("/-/team/garden/{segment}"),
            format!("/-/team/garden/{segment}/package"),
            format!("/-/user/{segment}/package"),
            format!("/-/user/{segment}/stars"),
        ] {
            garden.refused(("GET", &target), root, Value::Null, 404).await;
        }
    }
    for target in
        ["/-/org//team", "/-/org/%ff", "/-/team/garden", "/-/team", "/-/orgs", "/-/teams/a/b"]
    {
        let answer = garden.get(target, root).await;
        assert!(matches!(answer.status, 404 | 405), "{target}: {}", answer.status);
    }
    for user in ["../root", "a\0b", "Ada", &*long] {
        let body = json!({ "user": user });
        garden.refused(("PUT", "/-/org/garden/member"), root, body, 404).await;
    }
    for package in ["..", "@garden", "a\0b", "@garden/a/b"] {
        garden.growers().await;
        let body = json!({ "package": package });
        garden.refused(("PUT", "/-/team/garden/growers/package"), root, body, 422).await;
        garden.root("DELETE", "/-/team/garden/growers", Value::Null).await;
    }
    garden.mirror.finish().await;
}

#[tokio::test]
async fn bodies_that_are_none_are_refused() {
    let garden = Garden::start().await;
    for (body, status) in [("{", 400), ("[]", 422), ("null", 422), ("\"name\"", 422)] {
        for (method, target) in [
            ("PUT", "/-/org"),
            ("PUT", "/-/org/garden/team"),
            ("PUT", "/-/org/garden/member"),
            ("PUT", "/-/team/garden/growers/user"),
            ("DELETE", "/-/team/garden/growers/user"),
            ("PATCH", "/-/team/garden/growers/member/bob"),
            ("PUT", "/-/team/garden/growers/package"),
            ("PUT", "/-/user/v1/star"),
            ("POST", "/-/package/lamp/access"),
        ] {
            let request = garden.mirror.request(method, target).token(&garden.root);
            let answer = request.body("application/json", body).send().await;
            assert_eq!(answer.status, status, "{method} {target} {body}");
            answer.error();
        }
    }
    garden.mirror.finish().await;
}
