//! Each section, read from its rows.

use std::path::PathBuf;
use std::str::FromStr;

use actors::SyncPolicy;
use actors::clock::Clock;
use actors::deny::DenyRules;
use actors::hold::HoldPolicy;
use actors::hook_dispatcher::HookSettings;
use actors::policy::UnknownChoice;

use super::super::{ConfigError, ValueError, value};
use super::reader::{Reader, bad};
use super::sections::{
    HooksConfig, LimitsConfig, LogConfig, PublishConfig, SearchConfig, SecurityConfig,
    ServerConfig, StorageConfig, SyncConfig, UpstreamConfig,
};
use crate::accounts::passwords::COSTS;

impl Reader<'_> {
    pub(super) fn upstream(&self) -> Result<UpstreamConfig, ConfigError> {
        Ok(UpstreamConfig {
            url: self.optional("upstream.url", value::parse_address)?,
            feed: self.with("upstream.feed", value::parse_feed)?,
            feed_since: self.with("upstream.feed_since", value::parse_feed_start)?,
            feed_every: self.with("upstream.feed_every", value::parse_duration)?,
            feed_alarm: self.with("upstream.feed_alarm", value::parse_duration)?,
            token: self.some("upstream.token"),
            rate: self.count("upstream.rate")?,
            background_rate: self.count("upstream.background_rate")?,
            monthly: self.count("upstream.monthly")?,
            proxy: self.optional("upstream.proxy", value::parse_address)?,
            ca: self.some("upstream.ca").map(PathBuf::from),
            offline: self.flag("upstream.offline"),
        })
    }

    pub(super) fn sync(&self) -> Result<SyncConfig, ConfigError> {
        let workers: usize = self.count("sync.workers")?;
        let mode = self.text("sync.mode");
        // a name for two settings at once
        let (mode, on_miss) = match mode.as_str() {
            "proxy" => (String::from("none"), String::from("fetch")),
            _ => (mode, self.text("sync.on_miss")),
        };
        Ok(SyncConfig {
            mode,
            anonymous: self.flag("sync.anonymous"),
            workers: workers.max(1),
            max_tarball_bytes: self.with("sync.max_tarball", value::parse_size)?,
            on_miss,
            fresh_for: self.with("sync.fresh_for", value::parse_duration)?,
            sweep: self.with("sync.sweep", value::parse_duration)?,
            sweep_without_feed: self.with("sync.sweep_without_feed", value::parse_duration)?,
            compare_names: self.with("sync.compare_names", value::parse_duration)?,
            negative_for: self.with("sync.negative_for", value::parse_duration)?,
            high_water: self.count("sync.high_water")?,
            policy: SyncPolicy {
                signatures: self.with("sync.signatures", choice)?,
                removed: self.with("sync.removed", choice)?,
                removed_after: self.with("sync.removed_after", value::parse_duration)?,
                hold: HoldPolicy {
                    time: self.with("security.hold", value::parse_duration)?,
                    except: self.list("security.hold_except"),
                    published: self.flag("security.hold_published"),
                },
                deny: DenyRules {
                    names: self.list("security.deny_names"),
                    licences: self.list("security.deny_licences"),
                    larger_than_bytes: self.with("security.deny_larger_than", value::parse_size)?,
                    install_scripts: self.flag("security.deny_install_scripts"),
                    except: self.list("security.deny_except"),
                },
                clock: Clock::default(),
            },
        })
    }

    pub(super) fn security(&self) -> Result<SecurityConfig, ConfigError> {
        let key = "security.password_cost";
        let password_cost: u32 = self.count(key)?;
        if !COSTS.contains(&password_cost) {
            let rule = format!("must be {} to {}", COSTS.start(), COSTS.end());
            return Err(bad(key, ValueError { rule, given: password_cost.to_string() }));
        }
        Ok(SecurityConfig {
            registration_open: self.text("security.registration") == "open",
            always_auth: self.flag("security.always_auth"),
            password_cost,
            keep_audit_log: Some(self.with("security.keep_audit_log", value::parse_duration)?)
                .filter(|time| !time.is_zero()),
        })
    }

    pub(super) fn hooks(&self) -> Result<HooksConfig, ConfigError> {
        let attempts: u32 = self.count("hooks.attempts")?;
        let delivery = HookSettings {
            allow_private: self.ranges("hooks.allow_private")?,
            timeout: self.with("hooks.timeout", value::parse_duration)?,
            attempts: attempts.max(1),
            pause_after: self.with("hooks.pause_after", value::parse_duration)?,
            keep_history: self.with("hooks.keep_history", value::parse_duration)?,
            keep_paused: self.with("hooks.keep_paused", value::parse_duration)?,
            ..HookSettings::default()
        };
        Ok(HooksConfig { max_per_user: self.count("hooks.max_per_user")?, delivery })
    }

    pub(super) fn storage(&self) -> Result<StorageConfig, ConfigError> {
        Ok(StorageConfig {
            kind: self.text("storage.kind"),
            path: self.text("storage.path").into(),
            database: self.some("storage.database").filter(|text| text != "sqlite"),
            keep_free_bytes: self.with("storage.keep_free", value::parse_size)?,
            endpoint: self.optional("storage.endpoint", value::parse_address)?,
            bucket: self.text("storage.bucket"),
            region: self.text("storage.region"),
            access_key: self.text("storage.access_key"),
            secret_key: self.text("storage.secret_key"),
        })
    }

    pub(super) fn server(&self) -> Result<ServerConfig, ConfigError> {
        let tls = match (self.some("tls.cert"), self.some("tls.key")) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            (Some(_), None) => return Err(bad_pair("tls.cert", "tls.key")),
            (None, Some(_)) => return Err(bad_pair("tls.key", "tls.cert")),
        };
        Ok(ServerConfig {
            trusted_proxies: self.ranges("server.trusted_proxies")?,
            hosts: self.list("server.hosts"),
            tls,
        })
    }

    pub(super) fn limits(&self) -> Result<LimitsConfig, ConfigError> {
        Ok(LimitsConfig {
            sync_per_minute: self.count("limits.sync_per_minute")?,
            login_per_minute: self.count("limits.login_per_minute")?,
            token_per_minute: self.count("limits.token_per_minute")?,
        })
    }

    pub(super) fn publish(&self) -> Result<PublishConfig, ConfigError> {
        Ok(PublishConfig {
            enabled: self.flag("publish.enabled"),
            scopes: self.list("publish.scopes"),
            unscoped: self.flag("publish.unscoped"),
            max_tarball_bytes: self.with("publish.max_tarball", value::parse_size)?,
            strict: self.flag("publish.strict"),
        })
    }

    pub(super) fn search(&self) -> SearchConfig {
        SearchConfig { enabled: self.flag("search.enabled") }
    }

    pub(super) fn log(&self) -> LogConfig {
        LogConfig {
            format: self.text("log.format"),
            level: self.text("log.level"),
            access: self.text("log.access"),
        }
    }
}

/// A word that the table's own check let through.
fn choice<T: FromStr<Err = UnknownChoice>>(text: &str) -> Result<T, ValueError> {
    text.parse()
        .map_err(|error: UnknownChoice| ValueError { rule: error.to_string(), given: text.into() })
}

fn bad_pair(given: &str, missing: &str) -> ConfigError {
    let rule = format!("must be given together with `{missing}`");
    bad(given, ValueError { rule, given: "alone".into() })
}
