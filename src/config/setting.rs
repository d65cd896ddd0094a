//! The one table of settings: name, kind, default and meaning.
//!
//! The parser, `config show`, `config check`, `config init` and the repository's `config.toml`
//! are all made from it, so none of them can know a setting the others do not.

use super::value::{Value, ValueError};

/// What a setting may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Free text.
    Text,
    /// `ADDRESS:PORT`; `localhost` is understood.
    Listen,
    /// `ADDRESS:PORT`, or empty for "off".
    OptionalListen,
    /// An absolute `http` or `https` address, or empty.
    Address,
    /// A file or folder.
    Path,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number from 0.
    Count,
    /// A number of bytes with a unit: `500MiB`.
    Size,
    /// A span of time with a unit: `5m`.
    Duration,
    /// A list of texts; in an environment variable separated by commas.
    List,
    /// A list of addresses and ranges (`10.0.0.0/8`).
    Ranges,
    /// A list of package names, `@scope/*`, and other patterns with `*`.
    Names,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name with section: `sync.mode`.
    pub key: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// The default, written as in the environment.
    pub default: &'static str,
    /// One line: meaning, unit, values.
    pub about: &'static str,
    /// Never shown, and may come from a file named by `…_FILE`.
    pub secret: bool,
}

impl Setting {
    /// The environment variable of this setting: `ESPEJO_SYNC__MODE`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("ESPEJO_{}", self.key.to_ascii_uppercase().replace('.', "__"))
    }

    /// The default as a value.
    ///
    /// # Errors
    /// When the table itself is wrong; a test reads every row.
    pub fn default_value(&self) -> Result<Value, ValueError> {
        Value::from_text(self.kind, self.default)
    }
}

const fn setting(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting { key, kind, default, about, secret: false }
}

const fn secret(key: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting { key, kind: Kind::Text, default, about, secret: true }
}

/// Every setting of this version, in the order of `config.toml`.
pub const SETTINGS: &[Setting] = &[
    setting("listen", Kind::Listen, "127.0.0.1:7001", "where the registry listens"),
    setting(
        "public_url",
        Kind::Address,
        "",
        "how clients reach us, used in tarball links; empty: taken from the request",
    ),
    setting(
        "ops_listen",
        Kind::OptionalListen,
        "127.0.0.1:7002",
        "/livez /readyz /metrics; \"\" turns it off; a taken port is a warning, not a stop",
    ),
    setting("admins", Kind::List, "", "names that are admins; they cannot be self-registered"),
    setting(
        "upstream.url",
        Kind::Address,
        "",
        "leave out to use npm's own setting; see: espejo config show upstream",
    ),
    secret("upstream.token", "", "bearer token, sent to the upstream's own origin only"),
    setting(
        "upstream.feed",
        Kind::Text,
        "auto",
        "auto: the upstream's own /_changes, if it has one | off | address of the changes feed",
    ),
    setting(
        "upstream.feed_since",
        Kind::Text,
        "auto",
        "where a feed never read begins: auto (head; 0 with sync.mode = all) | head | a number",
    ),
    setting(
        "upstream.feed_every",
        Kind::Duration,
        "10s",
        "wait between two looks at a feed that had nothing new",
    ),
    setting(
        "upstream.feed_alarm",
        Kind::Duration,
        "30m",
        "a feed silent for so long is an alarm; longer for small registries, 0s: never",
    ),
    setting(
        "upstream.rate",
        Kind::Count,
        "0",
        "requests per second, 0 = no limit; Retry-After is obeyed always",
    ),
    setting(
        "upstream.background_rate",
        Kind::Count,
        "50",
        "requests per second of feed and sweep, for which nobody waits: documents and tarballs each; 0 = no limit",
    ),
    setting(
        "upstream.monthly",
        Kind::Count,
        "0",
        "requests a month (UTC), never exceeded, people first; 0 = no limit",
    ),
    setting(
        "upstream.proxy",
        Kind::Address,
        "",
        "HTTP proxy for everything asked of upstreams; the environment has no say",
    ),
    setting(
        "upstream.ca",
        Kind::Path,
        "",
        "file of further certificate authorities, PEM, beside those of the system",
    ),
    setting("upstream.offline", Kind::Flag, "false", "true: serve what is here, ask nobody"),
    setting(
        "sync.mode",
        Kind::Choice(&["none", "admin", "exist", "all", "proxy"]),
        "exist",
        "none | admin | exist | all: what may be brought in, and by whom; proxy: none, and misses are fetched",
    ),
    setting(
        "sync.anonymous",
        Kind::Flag,
        "false",
        "true: whoever reaches the mirror may ask for a sync without a token",
    ),
    setting("sync.workers", Kind::Count, "48", "packages synced at the same time"),
    setting(
        "sync.max_tarball",
        Kind::Size,
        "500MiB",
        "a larger tarball is not fetched; its version is listed all the same",
    ),
    setting(
        "sync.on_miss",
        Kind::Choice(&["fetch", "redirect", "none"]),
        "fetch",
        "fetch | redirect | none: what a reader of a package not here gets",
    ),
    setting(
        "sync.fresh_for",
        Kind::Duration,
        "5m",
        "an older document is served at once and checked in the background",
    ),
    setting(
        "sync.sweep",
        Kind::Duration,
        "30d",
        "every package here is asked for anew in this time, those read here in a quarter; 0s: never",
    ),
    setting(
        "sync.sweep_without_feed",
        Kind::Duration,
        "1d",
        "without a changes feed every package here is checked in this time; 0s: never",
    ),
    setting(
        "sync.compare_names",
        Kind::Duration,
        "7d",
        "how often the upstream's list of names is compared with what is here; 0s: never",
    ),
    setting(
        "sync.negative_for",
        Kind::Duration,
        "10s",
        "how long \"upstream does not have it\" is believed",
    ),
    setting(
        "sync.high_water",
        Kind::Count,
        "50000",
        "with so many tasks waiting a synced package adds none for its dependencies, 0 = no limit",
    ),
    setting(
        "sync.signatures",
        Kind::Choice(&["record", "require", "off"]),
        "record",
        "record | require | off: require withholds versions without a valid registry signature",
    ),
    setting(
        "sync.removed",
        Kind::Choice(&["hide", "keep", "block", "delete"]),
        "hide",
        "hide | keep | block | delete: what becomes of what upstream takes away",
    ),
    setting(
        "sync.removed_after",
        Kind::Duration,
        "1h",
        "a package counts as gone when a second answer this much later says so, too",
    ),
    setting(
        "security.registration",
        Kind::Choice(&["closed", "open"]),
        "closed",
        "closed | open: whether people make their own accounts; logins work in both",
    ),
    setting(
        "security.always_auth",
        Kind::Flag,
        "false",
        "true: every read needs a token, too; only logins and health answer without",
    ),
    setting(
        "security.password_cost",
        Kind::Count,
        "11",
        "how slowly passwords are hashed, 4 to 16; each is twice the time of the one before",
    ),
    setting(
        "security.keep_audit_log",
        Kind::Duration,
        "365d",
        "how long the audit log is kept, refused logins 30d at most; 0d: for good",
    ),
    setting(
        "security.hold",
        Kind::Duration,
        "0d",
        "quarantine: keep back versions younger than this",
    ),
    setting(
        "security.hold_except",
        Kind::Names,
        "",
        "names, @scope/* and other patterns with * that are never kept back",
    ),
    setting(
        "security.hold_published",
        Kind::Flag,
        "false",
        "true: what is published here is kept back as well",
    ),
    setting(
        "security.deny_names",
        Kind::Names,
        "",
        "names, @scope/* and other patterns with * that readers never get (451)",
    ),
    setting(
        "security.deny_licences",
        Kind::List,
        "",
        "SPDX ids and patterns with * that readers never get; none: without a licence",
    ),
    setting(
        "security.deny_larger_than",
        Kind::Size,
        "0B",
        "readers never get tarballs larger than this; 0B: of any size",
    ),
    setting(
        "security.deny_install_scripts",
        Kind::Flag,
        "false",
        "true: readers never get versions that run something when they are installed",
    ),
    setting(
        "security.deny_except",
        Kind::Names,
        "",
        "names, @scope/* and other patterns with * that no rule of deny_ is about",
    ),
    setting(
        "limits.login_per_minute",
        Kind::Count,
        "20",
        "logins per address and account, 0 = no limit",
    ),
    setting(
        "limits.token_per_minute",
        Kind::Count,
        "30",
        "new tokens per address and account, 0 = no limit; admins have none",
    ),
    setting(
        "limits.sync_per_minute",
        Kind::Count,
        "600",
        "requests for a sync per address and account, 0 = no limit; admins have none",
    ),
    setting(
        "hooks.allow_private",
        Kind::Ranges,
        "",
        "ranges that hooks may reach although they are not public, for example 10.0.0.0/8",
    ),
    setting("hooks.max_per_user", Kind::Count, "20", "most hooks of a user"),
    setting(
        "hooks.timeout",
        Kind::Duration,
        "10s",
        "longest time of one delivery, from connecting to the end of the answer",
    ),
    setting(
        "hooks.attempts",
        Kind::Count,
        "8",
        "tries before a delivery is parked; they take two hours in all",
    ),
    setting(
        "hooks.pause_after",
        Kind::Duration,
        "1d",
        "a hook that failed so long without one success is paused",
    ),
    setting(
        "hooks.keep_history",
        Kind::Duration,
        "7d",
        "how long ended deliveries are shown; never more than the newest 100,000",
    ),
    setting(
        "hooks.keep_paused",
        Kind::Duration,
        "7d",
        "how long deliveries wait for a paused hook; never more than the newest 100,000 of each",
    ),
    setting(
        "publish.enabled",
        Kind::Flag,
        "true",
        "false: nothing may be published or changed by publishers",
    ),
    setting(
        "publish.scopes",
        Kind::List,
        "",
        "private scopes: published here only by any user, no upstream is ever asked for them",
    ),
    setting(
        "publish.unscoped",
        Kind::Flag,
        "false",
        "true: any user may publish new names without a scope that no upstream has",
    ),
    setting("publish.max_tarball", Kind::Size, "200MiB", "a larger tarball is refused with 413"),
    setting(
        "publish.strict",
        Kind::Flag,
        "false",
        "true: dependencies, scripts, bin and license of the tarball must be those that are sent",
    ),
    setting(
        "search.enabled",
        Kind::Flag,
        "true",
        "a full-text index of what is here, in the data folder; false: searches answer 451",
    ),
    setting(
        "storage.kind",
        Kind::Choice(&["local", "s3"]),
        "local",
        "local | s3 (then storage.endpoint, bucket, access_key, secret_key)",
    ),
    setting(
        "storage.path",
        Kind::Path,
        "espejo-data",
        "data folder in every case: token, socket, lock; --data sets it",
    ),
    secret(
        "storage.database",
        "sqlite",
        "sqlite | a postgres address (better in ESPEJO_STORAGE__DATABASE_FILE)",
    ),
    setting(
        "storage.keep_free",
        Kind::Size,
        "2GiB",
        "with less free space fetching pauses, serving goes on",
    ),
    setting("storage.endpoint", Kind::Address, "", "address of the S3 service"),
    setting("storage.bucket", Kind::Text, "", "bucket of the S3 service"),
    setting("storage.region", Kind::Text, "", "region of the S3 service, when it wants one"),
    secret("storage.access_key", "", "access key of the S3 service"),
    secret("storage.secret_key", "", "secret key of the S3 service"),
    setting(
        "server.trusted_proxies",
        Kind::Ranges,
        "",
        "addresses and ranges whose forwarded headers are believed",
    ),
    setting(
        "server.hosts",
        Kind::List,
        "",
        "the only Host names answered, others get 400; empty: all",
    ),
    setting("tls.cert", Kind::Path, "", "certificate chain, PEM; with tls.key turns on https"),
    setting("tls.key", Kind::Path, "", "private key, PEM"),
    setting(
        "log.format",
        Kind::Choice(&["auto", "text", "json"]),
        "auto",
        "auto: text on a terminal, JSON lines otherwise",
    ),
    setting("log.level", Kind::Text, "info", "error | warn | info | debug | trace, or a filter"),
    setting(
        "log.access",
        Kind::Choice(&["errors", "all"]),
        "errors",
        "errors | all: which requests get a line",
    ),
];

/// The row of a name.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}
