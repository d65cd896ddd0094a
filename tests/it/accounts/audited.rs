//! Logins in the audit log: who was let in and who was not, from where, how often.

use serde_json::json;
use store::audit::{self, AuditFilter, AuditRow};

use super::browser::{begin, form_of, send};
use super::{PASSWORD, builder, credentials, open, post, put, register};
use crate::harness::{TestMirror, until};

/// The rows of an action, newest first.
async fn rows(mirror: &TestMirror, action: &str) -> Vec<AuditRow> {
    let action = Some(action.to_owned());
    let filter = AuditFilter { action, limit: 100, ..AuditFilter::default() };
    mirror.store().read(move |rows| audit::list(rows, &filter)).await.expect("a log")
}

fn wrong(name: &str) -> serde_json::Value {
    let mut body = credentials(name);
    body["password"] = json!("wrong horse");
    body
}

#[tokio::test]
async fn who_logs_in_is_written_down_with_the_token() {
    let mirror = open().await;
    register(&mirror, "ada").await;
    let token = register(&mirror, "ada").await;
    let accepted = rows(&mirror, "login.accept").await;
    let told: Vec<_> =
        accepted.iter().map(|row| (&*row.by.who, &*row.by.origin, &*row.subject)).collect();
    assert_eq!(told, [("ada", "127.0.0.1", "ada"); 2]);
    let how = accepted[0].after.as_ref().expect("how");
    assert_eq!(how["way"], "password");
    let mark = how["mark"].as_str().expect("a mark");
    assert!(token.starts_with(&mark[..6]) && mark.len() < 12, "{mark} is not the token");

    let (page, done) = begin(&mirror).await;
    let (form, cookie) = form_of(&mirror.get(&page).send().await.expect(200));
    let fields = [("form", form.as_str()), ("name", "ada"), ("password", PASSWORD)];
    send(&mirror, &page, &cookie, &fields).await.expect(200);
    assert_eq!(rows(&mirror, "login.accept").await[0].after, Some(json!({ "way": "browser" })));
    assert!(rows(&mirror, "token.add").await.is_empty());
    mirror.get(&done).send().await.expect(200);
    let given = rows(&mirror, "token.add").await;
    assert_eq!((given.len(), &*given[0].by.who, &*given[0].by.origin), (1, "ada", "127.0.0.1"));
    mirror.finish().await;
}

#[tokio::test]
async fn who_is_refused_is_written_down_and_a_storm_is_counted() {
    let mut mirror = open().await;
    register(&mirror, "ada").await;
    put(&mirror, "ada", &wrong("ada")).await.expect(401);
    let first = until("the first refusal", || async {
        rows(&mirror, "login.refuse").await.into_iter().next()
    })
    .await;
    assert_eq!((&*first.by.who, &*first.by.origin, &*first.subject), ("ada", "127.0.0.1", "ada"));
    let once = json!({ "way": "password", "reason": "wrong password", "times": 1 });
    assert_eq!(first.after, Some(once));

    // those behind it are gathered, and written when the mirror stops at the latest
    for _ in 0..5 {
        put(&mirror, "ada", &wrong("ada")).await.expect(401);
    }
    let (page, _) = begin(&mirror).await;
    let (form, cookie) = form_of(&mirror.get(&page).send().await.expect(200));
    let fields = [("form", form.as_str()), ("name", "My Secret"), ("password", "wrong horse")];
    send(&mirror, &page, &cookie, &fields).await.expect(401);
    mirror.restart().await;
    let mut told: Vec<_> = rows(&mirror, "login.refuse")
        .await
        .into_iter()
        .map(|row| (row.subject, row.after.expect("how")))
        .collect();
    told.sort_by_key(|(subject, how)| (subject.clone(), how["times"].as_u64()));
    let how = |way: &str, reason: &str, times: u64| json!({ "way": way, "reason": reason, "times": times });
    assert_eq!(
        told,
        [
            ("(not a name)".to_owned(), how("browser", "no such account", 1)),
            ("ada".to_owned(), how("password", "wrong password", 1)),
            ("ada".to_owned(), how("password", "wrong password", 5)),
        ]
    );
    mirror.finish().await;
}

/// What is told of refusals after the mirror has written all of them: who, from where, and how.
async fn refusals(mirror: &mut TestMirror) -> Vec<(String, String, serde_json::Value)> {
    mirror.restart().await;
    let rows = rows(mirror, "login.refuse").await.into_iter();
    let mut told: Vec<_> =
        rows.map(|row| (row.by.who, row.by.origin, row.after.expect("how"))).collect();
    told.sort_by_key(|(who, origin, how)| (who.clone(), origin.clone(), how.to_string()));
    told
}

/// How often the refusals of a way and a reason were counted.
fn times(told: &[(String, String, serde_json::Value)], way: &str, reason: &str) -> u64 {
    let alike = told.iter().filter(|(.., how)| how["way"] == way && how["reason"] == reason);
    alike.map(|(.., how)| how["times"].as_u64().expect("a number")).sum()
}

#[tokio::test]
async fn wrong_passwords_of_those_who_are_logged_in_are_written_down_too() {
    let mut mirror = open().await;
    let token = register(&mirror, "ada").await;
    for _ in 0..2 {
        let body = json!({ "password": { "old": "wrong horse", "new": "battery staple" } });
        post(&mirror, "/-/npm/v1/user", &token, &body).await.expect(401);
        let body = json!({ "password": "wrong horse" });
        post(&mirror, "/-/npm/v1/tokens", &token, &body).await.expect(401);
    }
    let body = json!({ "password": "wrong horse", "name": "ci", "expires": 3 });
    post(&mirror, "/-/npm/v1/tokens/gat", &token, &body).await.expect(401);
    let body = json!({ "password": PASSWORD });
    post(&mirror, "/-/npm/v1/tokens", &token, &body).await.expect(201);
    let told = refusals(&mut mirror).await;
    assert!(told.iter().all(|(who, origin, _)| (&**who, &**origin) == ("ada", "127.0.0.1")));
    assert_eq!(times(&told, "profile", "wrong password"), 2, "{told:?}");
    assert_eq!(times(&told, "token", "wrong password"), 3, "{told:?}");
    let all: Option<u64> = told.iter().map(|(.., how)| how["times"].as_u64()).sum();
    assert_eq!(all, Some(5), "{told:?}");
    mirror.finish().await;
}

const TOO_MANY: &str = "too many in a minute";

#[tokio::test]
async fn an_account_that_is_tried_too_often_has_a_row_and_not_one_for_each_try() {
    let proxied = builder().serve(|settings| {
        settings.registration_open = true;
        settings.login_per_minute = 3;
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a range")];
    });
    let mut mirror = proxied.start().await;
    let path = "/-/user/org.couchdb.user:ada";
    let token = register(&mirror, "ada").await;
    let mut statuses = vec![];
    for number in 0..30 {
        let request = mirror.request("PUT", path).json(&wrong("ada"));
        let from = format!("192.0.2.{number}");
        statuses.push(request.header("x-forwarded-for", &from).send().await.status);
    }
    assert_eq!(statuses[..2], [401; 2]);
    assert!(statuses[2..].iter().filter(|status| **status == 429).count() > 20, "{statuses:?}");
    let refused = statuses.iter().filter(|status| **status == 429).count() as u64;
    // whoever has a token is counted with the others
    let body = json!({ "password": PASSWORD });
    let answer = post(&mirror, "/-/npm/v1/tokens", &token, &body).await;
    let more = u64::from(answer.status == 429);
    let told = refusals(&mut mirror).await;
    let too_many: Vec<_> = told.iter().filter(|(.., how)| how["reason"] == TOO_MANY).collect();
    let whose = |(who, origin, _): &&(String, String, serde_json::Value)| {
        (&**who, &**origin) == ("ada", "(any address)")
    };
    assert!(too_many.iter().all(whose), "{told:?}");
    // the first at once, the rest together; and those of the other way
    assert!(too_many.len() <= 3, "{told:?}");
    assert_eq!(times(&told, "password", TOO_MANY), refused);
    assert_eq!(times(&told, "token", TOO_MANY), more);
    mirror.finish().await;
}

#[tokio::test]
async fn an_address_that_tries_too_often_has_a_row_whatever_names_it_tries() {
    let mut mirror = builder().serve(|settings| settings.login_per_minute = 4).start().await;
    let mut refused = 0;
    for number in 0..60 {
        let name = format!("guess{number}");
        let body = json!({ "name": name, "password": "wrong horse", "type": "user" });
        let answer = put(&mirror, &name, &body).await;
        refused += u64::from(answer.status == 429);
    }
    assert!(refused > 40, "{refused}");
    let begun = mirror.request("POST", "/-/v1/login").json(&json!({})).send().await;
    let browser = u64::from(begun.status == 429);
    let told = refusals(&mut mirror).await;
    let too_many: Vec<_> = told.iter().filter(|(.., how)| how["reason"] == TOO_MANY).collect();
    let whose = |(who, origin, _): &&(String, String, serde_json::Value)| {
        (&**who, &**origin) == ("(any name)", "127.0.0.1")
    };
    assert!(too_many.iter().all(whose), "{told:?}");
    assert!(too_many.len() <= 3, "{told:?}");
    assert_eq!(times(&told, "password", TOO_MANY), refused);
    assert_eq!(times(&told, "browser", TOO_MANY), browser);
    // what else was refused has its names still
    assert!(told.iter().any(|(who, ..)| who == "guess0"), "{told:?}");
    mirror.finish().await;
}
