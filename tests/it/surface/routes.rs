//! Every route of the registry, and what it answers to whom. The routes are read from the URL table
//! itself: one without a row here fails, and so does a method that has none.

use std::collections::BTreeSet;

use crate::harness::{Package, TestMirror, TokenKind};

/// The URL table.
const TABLE: &str = include_str!("../../../src/routes.rs");

/// The pattern in the table, a request of it, and what it answers to: nobody, a wrong token, a
/// read-only token, a user, an admin.
struct Row {
    pattern: &'static str,
    method: &'static str,
    target: &'static str,
    body: &'static str,
    answers: [u16; 5],
}

const fn row(
    pattern: &'static str,
    method: &'static str,
    target: &'static str,
    answers: [u16; 5],
) -> Row {
    Row { pattern, method, target, body: "", answers }
}

const ALL: [u16; 5] = [200; 5];
/// Open to everybody, but a token that is sent has to be good.
const OPEN: [u16; 5] = [200, 401, 200, 200, 200];

const LOGIN: &str = "/v1/login/request/session/{id}";
/// A login and a link that are not there.
const NO_SESSION: &str = "00000000-0000-4000-8000-000000000000";
/// For admins alone.
const ADMIN: [u16; 5] = [401, 401, 403, 403, 200];
/// An answer without an end is not asked for here.
const ENDLESS: u16 = 0;
/// What an admin has to say more of.
const OPERATED_422: [u16; 5] = [401, 401, 403, 403, 422];
/// The same of something that is not there.
const NONE: [u16; 5] = [401, 401, 403, 403, 404];
const SECURITY: &str = "/npm/v1/security/{rest:.*}";
/// For those who are logged in, of something that is not there.
const USER_NONE: [u16; 5] = [401, 401, 404, 404, 404];
/// The same, where a limited token may not.
const SET_NONE: [u16; 5] = [401, 401, 403, 404, 404];
/// Open to everybody; a token is looked at where a package was closed to some.
const OPEN_SO_FAR: [u16; 5] = ALL;
const ORG: &str = "/org{rest:(/.*)?}";
const TEAM: &str = "/team{rest:(/.*)?}";
const SEARCH: &str = "/v1/search/sync/{name:.*}";
const PROFILE: &str = "[/npm/v1/user, /npm/v1/user/]";
const HOOKS: &str = "/npm/v1/hooks{rest:(/.*)?}";
const TOKENS: &str = "/npm/v1/tokens{rest:(/.*)?}";

/// `{task}` is a task of nobody in particular that ended, `{own}` one that the user asked for.
const ROWS: &[Row] = &[
    row("/ping", "GET", "/-/ping", ALL),
    row("/livez", "GET", "/-/livez", ALL),
    row("/readyz", "GET", "/-/readyz", ALL),
    row("/metrics", "GET", "/-/metrics", ALL),
    row("/whoami", "GET", "/-/whoami", [401, 401, 200, 200, 200]),
    row("/user/{rest:.*}", "GET", "/-/user/org.couchdb.user:me", OPEN),
    Row { body: "{}", ..row("/user/{rest:.*}", "PUT", "/-/user/org.couchdb.user:me", [422; 5]) },
    row("/user/{rest:.*}", "DELETE", "/-/user/token/none", [200, 401, 422, 422, 422]),
    row(PROFILE, "GET", "/-/npm/v1/user", [401, 401, 200, 200, 200]),
    Row {
        body: "{\"email\":\"me@garden.example\"}",
        ..row(PROFILE, "POST", "/-/npm/v1/user", [401, 401, 403, 200, 200])
    },
    row(TOKENS, "GET", "/-/npm/v1/tokens", [401, 401, 403, 200, 200]),
    row(TOKENS, "GET", "/-/npm/v1/tokens/gat", [401, 401, 403, 200, 200]),
    Row {
        body: "{\"readonly\":true}",
        ..row(TOKENS, "POST", "/-/npm/v1/tokens", [401, 401, 403, 422, 422])
    },
    Row { body: "{}", ..row(TOKENS, "POST", "/-/npm/v1/tokens/gat", [401, 401, 403, 422, 422]) },
    row(TOKENS, "DELETE", "/-/npm/v1/tokens/token/none", [401, 401, 403, 404, 404]),
    row(TOKENS, "DELETE", "/-/npm/v1/tokens/gat/none", [401, 401, 403, 404, 404]),
    row(HOOKS, "GET", "/-/npm/v1/hooks", [401, 401, 200, 200, 200]),
    Row { body: "{}", ..row(HOOKS, "POST", "/-/npm/v1/hooks/hook", [422; 5]) },
    Row {
        body: "{\"type\":\"package\",\"name\":\"lamp\",\"endpoint\":\"https://hooks.example/\",\
               \"secret\":\"x\"}",
        ..row(HOOKS, "POST", "/-/npm/v1/hooks/hook", [401, 401, 403, 201, 201])
    },
    Row {
        body: "{\"endpoint\":\"https://hooks.example/\",\"secret\":\"x\"}",
        ..row(HOOKS, "PUT", "/-/npm/v1/hooks/hook/none", [401, 401, 403, 404, 404])
    },
    row(HOOKS, "GET", "/-/npm/v1/hooks/hook/none", [401, 401, 404, 404, 404]),
    row(HOOKS, "DELETE", "/-/npm/v1/hooks/hook/none", [401, 401, 403, 404, 404]),
    row(HOOKS, "GET", "/-/npm/v1/hooks/hook/none/deliveries", [401, 401, 404, 404, 404]),
    row(HOOKS, "GET", "/-/npm/v1/hooks/hook/none/deliveries/none", [401, 401, 404, 404, 404]),
    row(
        HOOKS,
        "POST",
        "/-/npm/v1/hooks/hook/none/deliveries/none/redeliver",
        [401, 401, 403, 404, 404],
    ),
    row(HOOKS, "POST", "/-/npm/v1/hooks/hook/none/test", [401, 401, 403, 404, 404]),
    Row { body: "{}", ..row("/v1/login", "POST", "/-/v1/login", ALL) },
    row(LOGIN, "GET", "/-/v1/login/request/session/{none}", [404; 5]),
    row(LOGIN, "POST", "/-/v1/login/request/session/{none}", [404; 5]),
    row("/ui/join/{link}", "GET", "/-/ui/join/{none}", [404; 5]),
    row("/ui/join/{link}", "POST", "/-/ui/join/{none}", [404; 5]),
    row("/v1/login/done/session/{id}", "GET", "/-/v1/login/done/session/{none}", [404; 5]),
    row("/audit", "GET", "/-/audit", ADMIN),
    row("/registry", "GET", "/-/registry", ALL),
    Row { body: "{}", ..row("/registry", "POST", "/-/registry", [401, 401, 403, 403, 422]) },
    row("/registry/{id}", "GET", "/-/registry/default", ALL),
    Row { body: "{}", ..row("/registry/{id}", "PATCH", "/-/registry/none", NONE) },
    row("/registry/{id}", "DELETE", "/-/registry/none", ADMIN),
    row("/registry/{id}/scopes", "GET", "/-/registry/default/scopes", ALL),
    row("/registry/{id}/sync", "POST", "/-/registry/none/sync", NONE),
    Row { body: "{}", ..row("/scope", "POST", "/-/scope", [401, 401, 403, 403, 422]) },
    row("/scope/{id}", "DELETE", "/-/scope/none", ADMIN),
    row("/status", "GET", "/-/espejo/v1/status", ADMIN),
    // for an admin it goes on for as long as somebody listens: see `afar`
    row("/events", "GET", "/-/espejo/v1/events", [401, 401, 403, 403, ENDLESS]),
    row("/missing", "GET", "/-/espejo/v1/missing", ADMIN),
    row("/tasks", "GET", "/-/espejo/v1/tasks", ADMIN),
    row("/tasks/{id}", "GET", "/-/espejo/v1/tasks/{task}", ADMIN),
    row("/tasks/{id}/log", "GET", "/-/espejo/v1/tasks/{task}/log", ADMIN),
    row("/tasks/{id}/log/stream", "GET", "/-/espejo/v1/tasks/{task}/log/stream", ADMIN),
    row("/tasks/{id}/cancel", "POST", "/-/espejo/v1/tasks/{task}/cancel", ADMIN),
    row("/tasks/{id}/retry", "POST", "/-/espejo/v1/tasks/{task}/retry", ADMIN),
    Row { body: "{\"names\":[]}", ..row("/sync", "POST", "/-/espejo/v1/sync", ADMIN) },
    row("/blocks", "GET", "/-/espejo/v1/blocks", ADMIN),
    Row { body: "{}", ..row("/blocks", "POST", "/-/espejo/v1/blocks", OPERATED_422) },
    Row { body: "{}", ..row("/blocks/remove", "POST", "/-/espejo/v1/blocks/remove", OPERATED_422) },
    row("/hooks", "GET", "/-/espejo/v1/hooks", ADMIN),
    Row { body: "{}", ..row("/hooks", "POST", "/-/espejo/v1/hooks", OPERATED_422) },
    row("/hooks/{id}/change", "POST", "/-/espejo/v1/hooks/none/change", NONE),
    row("/hooks/{id}/remove", "POST", "/-/espejo/v1/hooks/none/remove", NONE),
    row("/hooks/{id}/test", "POST", "/-/espejo/v1/hooks/none/test", NONE),
    row("/hooks/{id}/deliveries", "GET", "/-/espejo/v1/hooks/none/deliveries", NONE),
    row("/hooks/redeliver/{id}", "POST", "/-/espejo/v1/hooks/redeliver/none", OPERATED_422),
    row("/holds", "GET", "/-/espejo/v1/holds", ADMIN),
    Row { body: "{}", ..row("/denials", "POST", "/-/espejo/v1/denials", ADMIN) },
    Row { body: "{}", ..row("/releases", "POST", "/-/espejo/v1/releases", OPERATED_422) },
    Row {
        body: "{}",
        ..row("/releases/remove", "POST", "/-/espejo/v1/releases/remove", OPERATED_422)
    },
    Row {
        body: "{}",
        ..row("/registries/test", "POST", "/-/espejo/v1/registries/test", OPERATED_422)
    },
    Row { body: "{}", ..row("/registries/list", "POST", "/-/espejo/v1/registries/list", ADMIN) },
    Row {
        body: "{}",
        ..row("/registries/change", "POST", "/-/espejo/v1/registries/change", OPERATED_422)
    },
    Row {
        body: "{\"after\":\"\",\"limit\":10}",
        ..row("/users/list", "POST", "/-/espejo/v1/users/list", ADMIN)
    },
    Row {
        body: "{\"name\":\"me\"}",
        ..row("/users/find", "POST", "/-/espejo/v1/users/find", ADMIN)
    },
    Row { body: "{}", ..row("/users/add", "POST", "/-/espejo/v1/users/add", OPERATED_422) },
    Row { body: "{}", ..row("/users/change", "POST", "/-/espejo/v1/users/change", OPERATED_422) },
    Row { body: "{}", ..row("/users/link", "POST", "/-/espejo/v1/users/link", OPERATED_422) },
    Row { body: "{}", ..row("/tokens/list", "POST", "/-/espejo/v1/tokens/list", ADMIN) },
    Row { body: "{}", ..row("/tokens/add", "POST", "/-/espejo/v1/tokens/add", OPERATED_422) },
    Row { body: "{}", ..row("/tokens/remove", "POST", "/-/espejo/v1/tokens/remove", OPERATED_422) },
    Row { body: "{\"query\":{}}", ..row("/audit/list", "POST", "/-/espejo/v1/audit/list", ADMIN) },
    Row {
        body: "{}",
        ..row("/advisories/put", "POST", "/-/espejo/v1/advisories/put", OPERATED_422)
    },
    Row {
        body: "{\"after\":\"\",\"limit\":10}",
        ..row("/advisories/list", "POST", "/-/espejo/v1/advisories/list", ADMIN)
    },
    Row { body: "{}", ..row("/advisories/count", "POST", "/-/espejo/v1/advisories/count", ADMIN) },
    Row { body: "{}", ..row("/advisories/clear", "POST", "/-/espejo/v1/advisories/clear", ADMIN) },
    Row { body: "{}", ..row("/verify", "POST", "/-/espejo/v1/verify", ADMIN) },
    Row { body: "{\"dry_run\":true}", ..row("/gc", "POST", "/-/espejo/v1/gc", ADMIN) },
    row("[blocks]", "GET", "/-/package/lamp/blocks", ALL),
    Row {
        body: "{}",
        ..row("[blocks]", "PUT", "/-/package/lamp/blocks", [401, 401, 403, 403, 422])
    },
    row("[blocks]", "DELETE", "/-/package/lamp/blocks", ADMIN),
    Row {
        body: "{}",
        ..row("[blocks, version]", "PUT", "/-/package/lamp/blocks/1.0.0", [401, 401, 403, 403, 422])
    },
    row("[blocks, version]", "DELETE", "/-/package/lamp/blocks/1.0.0", ADMIN),
    row("[releases, version]", "PUT", "/-/package/lamp/releases/9.9.9", NONE),
    row("[releases, version]", "DELETE", "/-/package/lamp/releases/9.9.9", ADMIN),
    row(ORG, "GET", "/-/org/none", USER_NONE),
    row(ORG, "GET", "/-/org/none/member", USER_NONE),
    row(ORG, "GET", "/-/org/none/user", USER_NONE),
    row(ORG, "GET", "/-/org/none/team", USER_NONE),
    row(ORG, "GET", "/-/org/none/member/me/team", USER_NONE),
    row(ORG, "GET", "/-/org/me/package", OPEN_SO_FAR),
    row(ORG, "PUT", "/-/org", [401, 401, 403, 403, 422]),
    row(ORG, "PUT", "/-/org/none/member", [401, 401, 403, 422, 422]),
    Row { body: "{\"user\":\"me\"}", ..row(ORG, "PUT", "/-/org/none/user", SET_NONE) },
    Row { body: "{\"name\":\"cooks\"}", ..row(ORG, "PUT", "/-/org/none/team", SET_NONE) },
    row(ORG, "DELETE", "/-/org/none", NONE),
    row(ORG, "DELETE", "/-/org/none/member/me", SET_NONE),
    Row { body: "{\"user\":\"me\"}", ..row(ORG, "DELETE", "/-/org/none/user", SET_NONE) },
    row(TEAM, "GET", "/-/team/none/cooks", USER_NONE),
    row(TEAM, "GET", "/-/team/none/cooks/user", USER_NONE),
    row(TEAM, "GET", "/-/team/none/cooks/member", USER_NONE),
    row(TEAM, "GET", "/-/team/none/cooks/package", USER_NONE),
    row(TEAM, "DELETE", "/-/team/none/cooks", SET_NONE),
    Row { body: "{\"user\":\"me\"}", ..row(TEAM, "PUT", "/-/team/none/cooks/user", SET_NONE) },
    Row { body: "{\"user\":\"me\"}", ..row(TEAM, "DELETE", "/-/team/none/cooks/user", SET_NONE) },
    Row {
        body: "{\"role\":\"owner\"}",
        ..row(TEAM, "PATCH", "/-/team/none/cooks/member/me", SET_NONE)
    },
    Row {
        body: "{\"package\":\"lamp\"}",
        ..row(TEAM, "PUT", "/-/team/none/cooks/package", SET_NONE)
    },
    Row {
        body: "{\"package\":\"lamp\"}",
        ..row(TEAM, "DELETE", "/-/team/none/cooks/package", SET_NONE)
    },
    row("[collaborators]", "GET", "/-/package/lamp/collaborators", OPEN),
    row("[visibility]", "GET", "/-/package/lamp/visibility", OPEN_SO_FAR),
    Row {
        body: "{\"access\":\"restricted\"}",
        ..row("[access]", "POST", "/-/package/lamp/access", [401, 401, 403, 403, 403])
    },
    row("/_view/starredByUser", "GET", "/-/_view/starredByUser?key=me", OPEN_SO_FAR),
    row("/user/{rest:.*}", "GET", "/-/user/me/package", OPEN_SO_FAR),
    row("/user/{rest:.*}", "GET", "/-/user/me/stars", OPEN_SO_FAR),
    row("/user/{rest:.*}", "GET", "/-/user/v1/star", [401, 401, 200, 200, 200]),
    Row {
        body: "{\"name\":\"lamp\"}",
        ..row("/user/{rest:.*}", "PUT", "/-/user/v1/star", [401, 401, 403, 200, 200])
    },
    Row {
        body: "{\"name\":\"lamp\"}",
        ..row("/user/{rest:.*}", "DELETE", "/-/user/v1/star", [401, 401, 403, 200, 200])
    },
    row("/all", "GET", "/-/all", [410; 5]),
    row("/npm/v1/keys", "GET", "/-/npm/v1/keys", [404; 5]),
    row("/npm/v1/attestations/{spec:.*}", "GET", "/-/npm/v1/attestations/lamp@1.0.0", [404; 5]),
    Row { body: "{}", ..row(SECURITY, "POST", "/-/npm/v1/security/advisories/bulk", ALL) },
    Row { body: "{}", ..row(SECURITY, "POST", "/-/npm/v1/security/audits", ALL) },
    row(SECURITY, "GET", "/-/npm/v1/security/no-such", [404; 5]),
    row("/v1/search", "GET", "/-/v1/search?text=lamp", [451; 5]),
    row(SEARCH, "PUT", "/-/v1/search/sync/lamp", [401, 401, 403, 451, 451]),
    row(SEARCH, "DELETE", "/-/v1/search/sync/lamp", [401, 401, 403, 403, 451]),
    row("/tasks", "GET", "/-/tasks", OPEN),
    row("/tasks", "GET", "/-/tasks?author=me", [401, 401, 200, 200, 200]),
    row("/tasks/{id}", "GET", "/-/tasks/{task}", OPEN),
    row("/tasks/{id}/cancel", "POST", "/-/tasks/{task}/cancel", [401, 401, 403, 403, 409]),
    row("/tasks/{id}/cancel", "POST", "/-/tasks/{own}/cancel", [401, 401, 403, 409, 409]),
    row("/tasks/{id}/retry", "POST", "/-/tasks/{task}/retry", [401, 401, 403, 403, 200]),
    row("/tasks/{id}/retry", "POST", "/-/tasks/{own}/retry", [401, 401, 403, 200, 200]),
    row("/package/{rest:.*}", "GET", "/-/package/lamp/no-such", [404; 5]),
    row("[dist-tags]", "GET", "/-/package/lamp/dist-tags", ALL),
    Row {
        body: "\"1.0.0\"",
        ..row(
            "[dist-tags, tag]",
            "PUT",
            "/-/package/lamp/dist-tags/beta",
            [401, 401, 403, 403, 403],
        )
    },
    row("[dist-tags, tag]", "DELETE", "/-/package/lamp/dist-tags/beta", [401, 401, 403, 403, 403]),
    row("[syncs]", "PUT", "/-/package/lamp/syncs", [401, 401, 403, 201, 201]),
    Row {
        body: "{\"force\":true}",
        ..row("[syncs]", "PUT", "/-/package/lamp/syncs", [401, 401, 403, 403, 201])
    },
    row("[syncs, task]", "GET", "/-/package/lamp/syncs/{task}", ALL),
    row("[syncs, _]", "GET", "/-/package/lamp/syncs/none", [404; 5]),
    row("[syncs, task, log]", "GET", "/-/package/lamp/syncs/{task}/log", ALL),
    row("[syncs, _, log]", "GET", "/-/package/lamp/syncs/none/log", [404; 5]),
    row("[syncs, task, log, stream]", "GET", "/-/package/lamp/syncs/{task}/log/stream", ALL),
    row("[syncs, _, log, stream]", "GET", "/-/package/lamp/syncs/none/log/stream", [404; 5]),
    row("/", "GET", "/", ALL),
    row("/_changes", "GET", "/_changes", ALL),
    row("/_all_docs", "GET", "/_all_docs", ALL),
    row("/registry/_changes", "GET", "/registry/_changes", ALL),
    row("/registry/_all_docs", "GET", "/registry/_all_docs", ALL),
    row("Packument", "GET", "/lamp", ALL),
    Row {
        body: "{\"_id\":\"lamp\",\"users\":{\"me\":true}}",
        ..row("Packument", "PUT", "/lamp", [401, 401, 403, 201, 201])
    },
    // what is not npm's own command is refused, whoever sends it
    row("Packument", "PUT", "/lamp/-rev/1-a", [400; 5]),
    row("Packument", "DELETE", "/lamp/-rev/1-a", [400; 5]),
    row("Tarball", "GET", "/lamp/-/lamp-1.0.0.tgz", ALL),
    row("Manifest", "GET", "/lamp/1.0.0", ALL),
    row("Manifest", "PUT", "/lamp/sync", [401, 401, 403, 201, 201]),
    row("SyncLog", "GET", "/lamp/sync/log/{task}", ALL),
    row("Other", "GET", "/downloads/range/last-week/lamp", ALL),
    row("Other", "GET", "/downloads/total/last-week", ALL),
    row("Other", "GET", "/-/lamp/x/y", [404; 5]),
];

/// The URL table of the registry: not those of the ops listener, which only reads, and of the
/// owner's socket, which only the owner can open.
fn registry_table() -> String {
    let code = TABLE.split("#[cfg(test)]").next().expect("code");
    let mut kept = String::new();
    let mut skipping = false;
    for line in code.lines() {
        skipping |= line.starts_with("pub fn ops(") || line.starts_with("pub fn owner(");
        if !skipping && !line.trim_start().starts_with("//") {
            kept.push_str(line);
            kept.push(' ');
        }
        skipping &= line != "}";
    }
    kept
}

/// What stands between `open` and `close`, everywhere.
fn between<'a>(text: &'a str, open: &str, close: char) -> impl Iterator<Item = &'a str> {
    let pieces: Vec<&str> = text.split(open).skip(1).collect();
    pieces.into_iter().filter_map(move |piece| piece.split(close).next())
}

/// Every pattern of the table.
fn declared() -> BTreeSet<String> {
    let table = registry_table();
    let flat: String =
        table.split_whitespace().collect::<Vec<_>>().join(" ").replace("( \"", "(\"");
    let mut patterns = BTreeSet::new();
    for call in ["read(\"", "command(\"", "resource(\"", "several(\"", "page(\""] {
        patterns.extend(between(&flat, call, '"').map(str::to_owned));
    }
    // the arms of `match segments.as_slice()`, and the kinds of package paths
    let arms = between(&flat, "[\"", ']').map(|arm| {
        let parts = arm.split(',').map(|part| part.trim().trim_matches('"'));
        format!("[{}]", parts.collect::<Vec<_>>().join(", "))
    });
    patterns.extend(arms);
    let kinds = between(&flat, "PackagePath::", ' ');
    let kinds = kinds.map(|kind| kind.split(|c: char| !c.is_alphanumeric()).next().unwrap_or(""));
    patterns.extend(kinds.filter(|kind| *kind != "parse").map(str::to_owned));
    patterns
}

#[test]
fn every_route_has_a_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.pattern.to_owned()).collect();
    let declared = declared();
    assert!(declared.len() > 20, "the table was not read: {declared:?}");
    let missing: Vec<_> = declared.difference(&rows).collect();
    assert!(missing.is_empty(), "routes without a row in tests/it/surface/routes.rs: {missing:?}");
    let gone: Vec<_> = rows.difference(&declared).collect();
    assert!(gone.is_empty(), "rows of routes that are not there: {gone:?}");
}

/// Tokens by identity, and tasks to ask about.
struct World {
    mirror: TestMirror,
    tokens: [Option<String>; 5],
    task: String,
    own: String,
}

impl World {
    async fn start() -> Self {
        let mirror = TestMirror::with(&[Package::new("lamp").version("1.0.0")]).await;
        let task = mirror.sync(&["lamp"]).await[0].id.to_string();
        let (user, _) = mirror.token("me", TokenKind::User).await;
        let (readonly, _) = mirror.token("me", TokenKind::Readonly).await;
        let (admin, _) = mirror.token("root", TokenKind::Admin).await;
        let wrong = format!("npm_{}", "0".repeat(36));
        let asked = mirror.request("PUT", "/-/package/lamp/syncs").token(&user).send().await;
        let own = asked.expect(201).json()["id"].as_str().expect("an id").to_owned();
        let tokens = [None, Some(wrong), Some(readonly), Some(user), Some(admin)];
        let world = Self { mirror, tokens, task, own };
        world.settle().await;
        world
    }

    /// Waits until every task has ended.
    async fn settle(&self) {
        crate::harness::until("the end of all tasks", || async {
            let counts = self.mirror.store().read(store::tasks::counts).await.expect("counts");
            (counts.waiting + counts.processing == 0).then_some(())
        })
        .await;
    }

    async fn status(&self, method: &str, target: &str, body: &str, identity: usize) -> u16 {
        let target = target
            .replace("{none}", NO_SESSION)
            .replace("{task}", &self.task)
            .replace("{own}", &self.own);
        let mut request = self.mirror.request(method, &target);
        if let Some(token) = &self.tokens[identity] {
            request = request.token(token);
        }
        if !body.is_empty() {
            request = request.body("application/json", body);
        }
        let answer = request.send().await;
        let is_page =
            answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        if answer.status >= 400 && answer.status != 501 && !is_page {
            answer.error(); // the common envelope, always
        }
        assert_eq!(answer.must("x-content-type-options"), "nosniff", "{method} {target}");
        answer.must("content-security-policy");
        self.settle().await;
        answer.status
    }
}

#[tokio::test]
async fn each_route_answers_each_identity_as_decided() {
    let world = World::start().await;
    let mut wrong = Vec::new();
    for row in ROWS {
        let mut found = [0; 5];
        for (identity, status) in found.iter_mut().enumerate() {
            if row.answers[identity] == ENDLESS {
                continue;
            }
            *status = world.status(row.method, row.target, row.body, identity).await;
        }
        if found != row.answers {
            wrong.push(format!(
                "{} {} answers {found:?}, not {:?}",
                row.method, row.target, row.answers
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.mirror.finish().await;
}

/// A method that nobody wrote down must not be there, not even for an admin.
#[tokio::test]
async fn a_method_without_a_row_is_405_or_404() {
    let world = World::start().await;
    let mut open = Vec::new();
    for row in ROWS.iter().filter(|row| !row.target.contains('?')) {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let known = |other: &Row| other.pattern == row.pattern && other.method == method;
            // what has no method of its own answers to all of them alike
            let any = matches!(row.answers, [404 | 410 | 501, ..]);
            if any || ROWS.iter().any(known) {
                continue;
            }
            let status = world.status(method, row.target, "", 4).await;
            if !matches!(status, 404 | 405) {
                open.push(format!("{method} {} answers {status}", row.target));
            }
        }
    }
    assert!(open.is_empty(), "{open:#?}");
    world.mirror.finish().await;
}
