//! Who may change the index, downloads, and a mirror without a search.

use actors::clock::now_ms;
use npm::PackageName;
use serde_json::json;
use store::downloads::{Downloads, add, day_of};
use store::{OrgRole, Visibility, WriteFn, orgs, visibilities};

use super::{answer, described, finds, has, searching};
use crate::harness::{TestMirror, TokenKind};

#[tokio::test]
async fn a_mirror_without_a_search_says_so() {
    let mirror = TestMirror::with(&[]).await;
    let refused = mirror.get("/-/v1/search?text=lamp").send().await.expect(451);
    assert_eq!(
        refused.error(),
        "[UNAVAILABLE_FOR_LEGAL_REASONS] search feature not enabled in \
         `config.cnpmcore.enableElasticsearch`"
    );
    mirror.finish().await;
}

#[tokio::test]
async fn downloads_lift_a_package_but_not_above_the_exact_name() {
    let light = |name| described(name, "a light", &[]);
    let mirror = searching(&[light("lamp"), light("lamp-a"), light("lamp-b")]).await;
    let (user, _) = mirror.token("me", TokenKind::User).await;
    has(&mirror, 3).await;
    let name = PackageName::parse("lamp-b").expect("a name");
    let count = Downloads { name, version: "1.0.0".into(), day: day_of(now_ms()), count: 5_000 };
    let write: WriteFn = Box::new(move |rows| add(rows, &[count]));
    mirror.engine().write(write).await.expect("written");
    let path = "/-/v1/search/sync/lamp-b";
    let done = mirror.request("PUT", path).token(&user).send().await.expect(200).json();
    assert_eq!(done, json!({"package": "lamp-b"}));
    finds(&mirror, "lamp", &["lamp", "lamp-b", "lamp-a"]).await;
    let hits = answer(&mirror, "text=lamp").await;
    assert_eq!(hits["objects"][1]["downloads"], json!({"all": 5_000}));
    mirror.finish().await;
}

#[tokio::test]
async fn users_write_a_package_anew_and_admins_take_it_out() {
    let mirror = searching(&[described("@garden/ui", "", &[])]).await;
    let (user, _) = mirror.token("me", TokenKind::User).await;
    let (readonly, _) = mirror.token("me", TokenKind::Readonly).await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    finds(&mirror, "ui", &["@garden/ui"]).await;
    let path = "/-/v1/search/sync/@garden%2fui";
    let send = |method: &'static str, token: Option<&str>, path: &str| {
        let request = mirror.request(method, path);
        match token {
            Some(token) => request.token(token),
            None => request,
        }
        .send()
    };
    for (method, token, status) in [
        ("PUT", None, 401),
        ("DELETE", None, 401),
        ("PUT", Some(&*readonly), 403),
        ("DELETE", Some(&*user), 403),
        ("GET", Some(&*admin), 405),
        ("DELETE", Some(&*admin), 200),
        ("DELETE", Some(&*admin), 200),
    ] {
        let answer = send(method, token, path).await;
        assert_eq!(answer.status, status, "{method} {token:?}");
    }
    finds(&mirror, "ui", &[]).await;
    let done = send("PUT", Some(&user), "/-/v1/search/sync/@garden/ui").await.expect(200).json();
    assert_eq!(done, json!({"package": "@garden/ui"}));
    finds(&mirror, "ui", &["@garden/ui"]).await;
    let missing = send("PUT", Some(&user), "/-/v1/search/sync/none").await.expect(404);
    assert_eq!(missing.error(), "[NOT_FOUND] none not found");
    send("PUT", Some(&user), "/-/v1/search/sync/%2e%2e").await.expect(422);
    mirror.finish().await;
}

#[tokio::test]
async fn a_package_with_readers_of_its_own_is_found_by_them_alone() {
    let mirror =
        searching(&[described("@garden/seeds", "green", &[]), described("lamp", "green", &[])])
            .await;
    let (ada, _) = mirror.token("ada", TokenKind::User).await;
    let (bob, _) = mirror.token("bob", TokenKind::User).await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    has(&mirror, 2).await;
    let seeds = PackageName::parse("@garden/seeds").expect("a name");
    let write: WriteFn = Box::new(move |rows| {
        visibilities::set(rows, &seeds, Visibility::Restricted)?;
        orgs::set_member(rows, "garden", "ada", OrgRole::Owner)?;
        Ok(())
    });
    mirror.engine().write(write).await.expect("written");
    finds(&mirror, "scope:garden", &[]).await;
    for (token, found) in [(None, 1), (Some(&bob), 1), (Some(&ada), 2), (Some(&admin), 2)] {
        let request = mirror.get("/-/v1/search?text=green");
        let request = match token {
            Some(token) => request.token(token),
            None => request,
        };
        let answer = request.send().await.expect(200);
        let page = answer.json();
        assert_eq!(page["total"], found, "{token:?}");
        assert_eq!(page["objects"].as_array().map(Vec::len), Some(found), "{token:?}");
    }
    mirror.finish().await;
}
