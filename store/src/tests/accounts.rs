//! Users, tokens, and ways to an account that are under way.

use crate::sign_ins::LoginState;
use crate::testing::on_each_database;
use crate::{TokenKind, sign_ins, tokens, users};

#[test]
fn tokens_belong_to_users() {
    on_each_database(|test| {
        let key = npm::Sha512Digest::of(b"token");
        let token = tokens::NewToken {
            key,
            user: "admin".into(),
            mark: "npm_ab...yz".into(),
            limits: tokens::TokenLimits {
                kind: TokenKind::Granular,
                name: Some("ci".into()),
                description: Some("builds".into()),
                readonly: true,
                automation: false,
                cidr: vec!["192.0.2.0/24".into()],
                packages: vec!["lamp".into()],
                scopes: vec!["@garden".into()],
                expires_at_ms: Some(77),
            },
        };
        test.write(|c| users::ensure(c, "admin", true));
        test.write(|c| users::ensure(c, "admin", true));
        assert!(test.write(|c| tokens::create(c, &token)));
        let row = test.read(|c| tokens::find(c, &key)).unwrap();
        assert_eq!((row.user.as_str(), row.admin, row.disabled), ("admin", true, false));
        assert_eq!(row.limits, token.limits);
        assert_eq!((row.mark.as_str(), row.last_used_at_ms), ("npm_ab...yz", None));

        let of_name = |name: Option<&str>, text: &str| tokens::NewToken {
            key: npm::Sha512Digest::of(text.as_bytes()),
            limits: tokens::TokenLimits { name: name.map(str::to_owned), ..Default::default() },
            ..token.clone()
        };
        assert!(!test.write(|c| tokens::create(c, &of_name(Some("ci"), "b"))), "the name is taken");
        assert!(test.write(|c| tokens::create(c, &of_name(None, "c"))));
        assert!(test.write(|c| tokens::create(c, &of_name(None, "d"))), "no name is no name");
        assert_eq!(test.read(|c| tokens::of_user(c, "admin")).len(), 3);
        assert_eq!(test.read(|c| tokens::of_user(c, "nobody")).len(), 0);
        let first = test.read(|c| tokens::list(c, None, 2));
        let rest = test.read(|c| tokens::list(c, first.last().map(|row| &row.key), 2));
        assert_eq!((first.len(), rest.len()), (2, 1));

        test.write(|c| tokens::touch(c, &[(key, 99)]));
        test.write(|c| tokens::touch(c, &[(key, 98), (npm::Sha512Digest::of(b"c"), 5)]));
        test.write(|c| users::ensure(c, "admin", false));
        let row = test.read(|c| tokens::find(c, &key)).unwrap();
        assert_eq!((row.admin, row.last_used_at_ms), (false, Some(99)));
        assert!(!test.read(|c| users::find(c, "admin")).unwrap().admin);
        assert!(test.write(|c| tokens::delete(c, &key)));
        assert!(!test.write(|c| tokens::delete(c, &key)));
        assert!(test.read(|c| tokens::find(c, &key)).is_none());
        assert_eq!(test.write(|c| tokens::delete_of_user(c, "admin")), 2);
    });
}

#[test]
fn ended_tokens_are_deleted_a_few_at_a_time() {
    on_each_database(|test| {
        test.write(|c| users::ensure(c, "ada", false));
        let now = test.read(crate::dialect::now_ms);
        for (text, expires_at_ms) in
            [("a", Some(1)), ("b", Some(2)), ("c", Some(now - 1_000)), ("d", None)]
        {
            let token = tokens::NewToken {
                key: npm::Sha512Digest::of(text.as_bytes()),
                user: "ada".into(),
                mark: text.into(),
                limits: tokens::TokenLimits { expires_at_ms, ..Default::default() },
            };
            assert!(test.write(|c| tokens::create(c, &token)));
        }
        let marks = || {
            let rows = test.read(|c| tokens::of_user(c, "ada"));
            let mut marks: Vec<_> = rows.into_iter().map(|row| row.mark).collect();
            marks.sort_unstable();
            marks
        };
        assert_eq!(test.write(|c| tokens::delete_ended(c, 3_600_000, 1)), 1);
        assert_eq!(marks(), ["b", "c", "d"]);
        assert_eq!(test.write(|c| tokens::delete_ended(c, 3_600_000, 9)), 1);
        assert_eq!(marks(), ["c", "d"], "not yet, and never");
    });
}

#[test]
fn a_hash_gives_way_to_another_of_the_same_password_alone() {
    on_each_database(|test| {
        let hash = |text: &str| users::PasswordHash(text.into());
        let ada = users::NewUser {
            name: "ada".into(),
            password: Some(hash("old")),
            ..Default::default()
        };
        assert!(test.write(|c| users::create(c, &ada)));
        assert!(test.write(|c| users::rehash(c, "ada", &hash("old"), &hash("new"))));
        assert!(!test.write(|c| users::rehash(c, "ada", &hash("old"), &hash("late"))));
        assert!(!test.write(|c| users::rehash(c, "bea", &hash("old"), &hash("new"))));
        let row = test.read(|c| users::find(c, "ada")).unwrap();
        assert_eq!(row.password, Some(hash("new")));
    });
}

#[test]
fn users_are_made_once_and_changed_in_parts() {
    on_each_database(|test| {
        let ada = users::NewUser {
            name: "ada".into(),
            email: Some("ada@garden.test".into()),
            password: Some(users::PasswordHash("slow".into())),
            ..Default::default()
        };
        assert!(test.write(|c| users::create(c, &ada)));
        let again = users::NewUser { admin: true, email: None, ..ada.clone() };
        assert!(!test.write(|c| users::create(c, &again)));
        let row = test.read(|c| users::find(c, "ada")).unwrap();
        assert_eq!((row.admin, row.disabled, &row.email), (false, false, &ada.email));
        assert!(!format!("{row:?}").contains("slow"), "a hash is not for logs");

        let locked = users::UserChange { disabled: Some(true), ..Default::default() };
        assert!(test.write(|c| users::change(c, "ada", &locked)));
        assert!(!test.write(|c| users::change(c, "nobody", &locked)));
        let row = test.read(|c| users::find(c, "ada")).unwrap();
        assert_eq!((row.disabled, &row.email, &row.password), (true, &ada.email, &ada.password));
        let change = users::UserChange {
            admin: Some(true),
            email: Some(None),
            password: Some(users::PasswordHash("other".into())),
            ..Default::default()
        };
        assert!(test.write(|c| users::change(c, "ada", &change)));
        let row = test.read(|c| users::find(c, "ada")).unwrap();
        assert_eq!((row.admin, row.disabled, row.email), (true, true, None));
        assert_eq!(row.password, change.password);

        test.write(|c| users::ensure(c, "bea", false));
        let names = |after: &str, limit| {
            let rows = test.read(|c| users::list(c, after, limit));
            rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
        };
        assert_eq!(names("", 1), ["ada"]);
        assert_eq!(names("ada", 9), ["bea"]);
    });
}

#[test]
fn a_login_is_approved_once_and_gives_its_token_once() {
    on_each_database(|test| {
        let key = |text: &str| npm::Sha512Digest::of(text.as_bytes());
        let login = |done: &str, page: &str, lives_ms| sign_ins::NewLogin {
            done_key: key(done),
            login_key: key(page),
            hostname: Some("desk".into()),
            address: Some("192.0.2.1".into()),
            lives_ms,
        };
        test.write(|c| sign_ins::begin(c, &login("done", "page", 600_000)));
        let row = test.read(|c| sign_ins::by_page(c, &key("page"))).unwrap();
        assert_eq!((row.hostname.as_deref(), row.user), (Some("desk"), None));
        assert!(test.read(|c| sign_ins::by_page(c, &key("done"))).is_none(), "another secret");
        let state = |done: &str| test.read(|c| sign_ins::state(c, &key(done)));
        assert_eq!(state("done"), LoginState::Pending);
        assert!(!test.write(|c| sign_ins::approve(c, &key("done"), "ada")));
        assert!(test.write(|c| sign_ins::approve(c, &key("page"), "ada")));
        assert!(!test.write(|c| sign_ins::approve(c, &key("page"), "eve")), "once");
        assert_eq!(state("done"), LoginState::Done("ada".into()));
        assert!(test.write(|c| sign_ins::finish(c, &key("done"))));
        assert!(!test.write(|c| sign_ins::finish(c, &key("done"))));
        assert_eq!(state("done"), LoginState::Unknown);

        test.write(|c| sign_ins::begin(c, &login("late", "late page", 0)));
        assert_eq!(state("late"), LoginState::Unknown);
        assert!(!test.write(|c| sign_ins::approve(c, &key("late page"), "ada")));
        for late in ["later", "latest"] {
            test.write(|c| sign_ins::begin(c, &login(late, &format!("{late} page"), 0)));
        }
        test.write(|c| sign_ins::begin(c, &login("next", "next page", 600_000)));
        assert_eq!(test.write(|c| sign_ins::delete_ended_logins(c, 2)), 2);
        assert_eq!(test.write(|c| sign_ins::delete_ended_logins(c, 2)), 1);
        assert_eq!(test.write(|c| sign_ins::delete_ended_logins(c, 2)), 0);
        assert!(!test.write(|c| sign_ins::finish(c, &key("late"))), "it is gone");
        assert_eq!(state("next"), LoginState::Pending);
    });
}

#[test]
fn a_sign_in_link_opens_one_account_once() {
    on_each_database(|test| {
        let key = npm::Sha512Digest::of(b"link");
        let late = npm::Sha512Digest::of(b"late");
        test.write(|c| sign_ins::make_link(c, &late, "ada", 0));
        assert_eq!(test.read(|c| sign_ins::of_link(c, &late)), None);
        assert!(!test.write(|c| sign_ins::use_link(c, &late)));
        test.write(|c| sign_ins::make_link(c, &key, "ada", 600_000));
        assert_eq!(test.write(|c| sign_ins::delete_ended_links(c, 9)), 1);
        assert_eq!(test.write(|c| sign_ins::delete_ended_links(c, 9)), 0);
        assert_eq!(test.read(|c| sign_ins::of_link(c, &key)).as_deref(), Some("ada"));
        assert!(test.write(|c| sign_ins::use_link(c, &key)));
        assert!(!test.write(|c| sign_ins::use_link(c, &key)));
        assert_eq!(test.read(|c| sign_ins::of_link(c, &key)), None);
    });
}
