//! Signing in with a browser: the two addresses, the page, its form, and links.

use serde_json::{Value, json};
use store::WriteFn;
use store::sign_ins;

use super::{PASSWORD, add_user, builder, credentials, open, put, register, text};
use crate::harness::{Answer, TestMirror};

/// The path of an address on the mirror.
fn path<'a>(mirror: &TestMirror, url: &'a str) -> &'a str {
    url.strip_prefix(&mirror.url()).unwrap_or_else(|| panic!("{url} leads elsewhere"))
}

pub async fn begin(mirror: &TestMirror) -> (String, String) {
    let body = json!({ "hostname": "desk <b>" });
    let begun = mirror.request("POST", "/-/v1/login").json(&body).send().await.expect(200).json();
    let own = |field: &str| path(mirror, text(&begun[field])).to_owned();
    (own("loginUrl"), own("doneUrl"))
}

/// The secret of a page's form; the cookie that goes with it.
pub fn form_of(page: &Answer) -> (String, String) {
    let html = page.text();
    let (_, rest) = html.split_once("name=\"form\" value=\"").expect("a form");
    let (secret, _) = rest.split_once('"').expect("a value");
    let cookie = page.must("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let (cookie, _) = cookie.split_once(';').expect("attributes");
    (secret.to_owned(), cookie.to_owned())
}

pub async fn send(
    mirror: &TestMirror,
    path: &str,
    cookie: &str,
    fields: &[(&str, &str)],
) -> Answer {
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+")));
    let body = pairs.collect::<Vec<_>>().join("&");
    let request = mirror.request("POST", path).header("cookie", cookie);
    request.body("application/x-www-form-urlencoded", body).send().await
}

#[tokio::test]
async fn a_program_waits_until_a_person_has_signed_in_and_gets_the_token_once() {
    let mirror = open().await;
    register(&mirror, "ada").await;
    let (page, done) = begin(&mirror).await;
    assert_ne!(page.rsplit('/').next(), done.rsplit('/').next(), "two secrets");
    let waiting = mirror.get(&done).send().await.expect(202);
    assert_eq!(
        (waiting.must("retry-after"), waiting.json()),
        ("1", json!({ "message": "processing" }))
    );

    let shown = mirror.get(&page).send().await.expect(200);
    let policy = shown.must("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert_eq!((shown.must("cache-control"), shown.must("x-frame-options")), ("no-store", "DENY"));
    let html = shown.text();
    assert!(html.contains("127.0.0.1") && html.contains("desk &#60;b&#62;"), "{html}");
    assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next());
    let digest = sha256(style.expect("a style").as_bytes());
    assert!(policy.contains(&digest), "the style of the page is not the allowed one");

    let (form, cookie) = form_of(&shown);
    let wrong = [("form", form.as_str()), ("name", "ada"), ("password", "wrong horse")];
    let wrong = send(&mirror, &page, &cookie, &wrong).await.expect(401);
    assert!(wrong.text().contains("Please check your login name and password"));
    mirror.get(&done).send().await.expect(202);
    let right = [("form", form.as_str()), ("name", "ada"), ("password", PASSWORD)];
    let over = send(&mirror, &page, &cookie, &right).await.expect(200);
    assert!(over.text().contains("You are ada"), "{}", over.text());

    mirror.request("HEAD", &done).send().await.expect(405);
    let given: Value = mirror.get(&done).send().await.expect(200).json();
    let me = mirror.get("/-/whoami").token(text(&given["token"])).send().await.expect(200);
    assert_eq!(me.json(), json!({ "username": "ada" }));
    let again = mirror.get(&done).send().await.expect(404);
    assert_eq!(again.error(), "[NOT_FOUND] session not found");
    mirror.get(&page).send().await.expect(404);
    mirror.finish().await;
}

fn sha256(bytes: &[u8]) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(bytes))
}

#[tokio::test]
async fn a_form_of_another_page_signs_nobody_in() {
    let mirror = open().await;
    register(&mirror, "ada").await;
    let (page, done) = begin(&mirror).await;
    let (form, cookie) = form_of(&mirror.get(&page).send().await.expect(200));
    let right = [("form", form.as_str()), ("name", "ada"), ("password", PASSWORD)];
    let other = "espejo-form=00000000-0000-4000-8000-000000000000";
    for (cookie, fields) in [("", &right[..]), (other, &right), (&cookie, &right[1..])] {
        send(&mirror, &page, cookie, fields).await.expect(403);
    }
    let foreign = mirror.request("POST", &page).header("cookie", &cookie);
    let foreign = foreign.header("sec-fetch-site", "cross-site");
    let body = format!("form={form}&name=ada&password={}", PASSWORD.replace(' ', "+"));
    foreign.body("application/x-www-form-urlencoded", body).send().await.expect(403);
    mirror.get(&done).send().await.expect(202);
    // the secret of a page is kept for the next one of the same browser
    let again = mirror.get(&page).header("cookie", &cookie).send().await.expect(200);
    assert_eq!(form_of(&again).0, form);
    mirror.finish().await;
}

#[tokio::test]
async fn a_new_account_is_made_by_who_asks_for_it_where_that_is_allowed() {
    let mut mirror = builder().start().await;
    for open in [false, true] {
        mirror.change_serve(|settings| settings.registration_open = open).await;
        let (page, done) = begin(&mirror).await;
        let shown = mirror.get(&page).send().await.expect(200);
        assert_eq!(shown.text().contains("name=\"create\""), open);
        let (form, cookie) = form_of(&shown);
        let login = [("form", form.as_str()), ("name", "bea"), ("password", PASSWORD)];
        send(&mirror, &page, &cookie, &login).await.expect(401);
        let create = [login[0], login[1], login[2], ("create", "yes")];
        let answer = send(&mirror, &page, &cookie, &create).await;
        assert_eq!(answer.status, if open { 200 } else { 401 });
        mirror.get(&done).send().await.expect(if open { 200 } else { 202 });
    }
    mirror.finish().await;
}

#[tokio::test]
async fn what_is_no_session_is_told_so() {
    let mirror = open().await;
    let short = mirror.get("/-/v1/login/done/session/abc").send().await.expect(422);
    let rule = "[INVALID_PARAM] sessionId: must NOT have fewer than 36 characters";
    assert_eq!(short.error(), rule);
    let nobody = "00000000-0000-4000-8000-000000000000";
    mirror.get(&format!("/-/v1/login/done/session/{nobody}")).send().await.expect(404);
    let page = mirror.get(&format!("/-/v1/login/request/session/{nobody}")).send().await;
    assert!(page.expect(404).must("content-type").starts_with("text/html"));
    let long = json!({ "hostname": "x".repeat(101) });
    mirror.request("POST", "/-/v1/login").json(&long).send().await.expect(422);
    mirror.get("/-/v1/login").send().await.expect(405);
    mirror.finish().await;
}

#[tokio::test]
async fn a_link_lets_its_user_choose_a_password_once() {
    let mirror = builder().serve(|settings| settings.always_auth = true).start().await;
    add_user(&mirror, "ada", false).await;
    let key = npm::Sha512Digest::of(b"link-1");
    let write: WriteFn = Box::new(move |rows| sign_ins::make_link(rows, &key, "ada", 600_000));
    mirror.engine().write(write).await.expect("a writable store");
    let page = "/-/ui/join/link-1";
    let (form, cookie) = form_of(&mirror.get(page).send().await.expect(200));
    let fields = |password: &'static str, again: &'static str| {
        [("form", form.clone()), ("password", password.into()), ("again", again.into())]
    };
    for (fields, status, words) in [
        (fields("short", "short"), 422, "must NOT have fewer than 8 characters"),
        (fields("correct horse", "other horse"), 422, "The two passwords differ"),
        (fields("correct horse", "correct horse"), 200, "npm login --registry="),
        (fields("correct horse", "correct horse"), 404, "works once"),
    ] {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = send(&mirror, page, &cookie, &fields).await.expect(status);
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    mirror.get(page).send().await.expect(404);
    let mut login = credentials("ada");
    login["email"] = Value::Null;
    put(&mirror, "ada", &login).await.expect(201);
    mirror.finish().await;
}
