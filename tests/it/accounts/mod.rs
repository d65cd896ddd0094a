//! Accounts: logins, profiles, tokens and what each of them opens.

mod audited;
pub mod browser;
mod commands;
mod ended;
mod limits;
mod login;
mod profile;
mod reading;
mod tokens;

use serde_json::{Value, json};
use store::WriteFn;
use store::users::{self, NewUser, UserChange};

use crate::harness::{Answer, Builder, Package, TestMirror};

pub const PASSWORD: &str = "correct horse";

fn builder() -> Builder {
    let packages =
        [Package::new("lamp").version("1.0.0"), Package::new("@garden/ui").version("2.0.4")];
    TestMirror::builder().packages(&packages)
}

/// A mirror on which people make their own accounts.
pub async fn open() -> TestMirror {
    builder().serve(|settings| settings.registration_open = true).start().await
}

fn credentials(name: &str) -> Value {
    json!({
        "_id": format!("org.couchdb.user:{name}"),
        "name": name,
        "password": PASSWORD,
        "email": format!("{name}@garden.test"),
        "type": "user",
        "roles": [],
        "date": "2024-01-01T12:00:00.000Z",
    })
}

async fn put(mirror: &TestMirror, name: &str, body: &Value) -> Answer {
    let path = format!("/-/user/org.couchdb.user:{name}");
    mirror.request("PUT", &path).json(body).send().await
}

/// Makes an account as a person does; the token it gives.
pub async fn register(mirror: &TestMirror, name: &str) -> String {
    let answer = put(mirror, name, &credentials(name)).await.expect(201);
    answer.json()["token"].as_str().expect("a token").to_owned()
}

/// Makes an account as an operator does, without a password.
async fn add_user(mirror: &TestMirror, name: &str, admin: bool) {
    let user = NewUser { name: name.to_owned(), admin, ..NewUser::default() };
    let write: WriteFn = Box::new(move |rows| users::create(rows, &user).map(drop));
    mirror.engine().write(write).await.expect("a writable store");
}

async fn change_user(mirror: &TestMirror, name: &str, change: UserChange) {
    let name = name.to_owned();
    let write: WriteFn = Box::new(move |rows| users::change(rows, &name, &change).map(drop));
    mirror.engine().write(write).await.expect("a writable store");
}

async fn post(mirror: &TestMirror, path: &str, token: &str, body: &Value) -> Answer {
    mirror.request("POST", path).token(token).json(body).send().await
}

/// Makes a token over the wire; the answer.
async fn new_token(mirror: &TestMirror, token: &str, mut body: Value) -> Value {
    body["password"] = PASSWORD.into();
    post(mirror, "/-/npm/v1/tokens", token, &body).await.expect(201).json()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
