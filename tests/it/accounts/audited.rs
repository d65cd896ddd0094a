//! Logins in the audit log: who was let in and who was not, from where, how often.

use serde_json::json;
use store::audit::{self, AuditFilter, AuditRow};

use super::browser::{begin, form_of, send};
use super::{PASSWORD, credentials, open, put, register};
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
