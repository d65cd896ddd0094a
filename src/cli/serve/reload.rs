//! SIGHUP: rereads the settings, uses what can be used at once, names what needs a restart.

use actors::EngineHandle;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{
        problem::Problem,
        upstream::{instance_id, refuse_own_address, upstream_settings},
    },
    config::{Config, LoadRequest, Source},
};

/// Follows SIGHUP until the process ends.
///
/// # Errors
/// When the system refuses.
pub fn follow(request: LoadRequest, config: Config, engine: EngineHandle) -> Result<(), Problem> {
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| Problem::failed("cannot listen for signals").why(error))?;
    tokio::spawn(async move {
        let mut config = config;
        while hangup.recv().await.is_some() {
            match Config::load(&request) {
                Ok(new) => config = apply(&config, new, &engine),
                Err(error) => tracing::error!("settings refused, the old ones stay: {error}"),
            }
        }
    });
    Ok(())
}

fn apply(old: &Config, mut new: Config, engine: &EngineHandle) -> Config {
    keep_upstream(old, &mut new);
    let changed = changed_keys(old, &new);
    if changed.is_empty() {
        tracing::info!("settings read again, nothing changed");
        return new;
    }
    let (about_readers, others): (Vec<&str>, Vec<&str>) =
        changed.into_iter().partition(|key| is_about_readers(key));
    if !about_readers.is_empty() {
        let policy = &new.sync.policy;
        engine.change_reader_rules(policy.hold.clone(), policy.deny.clone());
        tracing::info!(settings = about_readers.join(" "), "settings changed and in use");
    }
    let (now, later): (Vec<&str>, Vec<&str>) =
        others.into_iter().partition(|key| key.starts_with("upstream."));
    if !now.is_empty() {
        match use_upstream(&new, engine) {
            Ok(()) => tracing::info!(settings = now.join(" "), "settings changed and in use"),
            Err(problem) => tracing::error!("the new upstream is refused: {problem}"),
        }
    }
    if !later.is_empty() {
        tracing::warn!(settings = later.join(" "), "settings changed; they need a restart");
    }
    new
}

/// What was stored or discovered is no part of the file: it stays unless the file names another.
fn keep_upstream(old: &Config, new: &mut Config) {
    let Some(row) = old.row("upstream.url") else { return };
    if matches!(row.source, Source::Stored(_) | Source::Discovered(_)) {
        let given = crate::config::Given {
            key: row.setting.key,
            value: row.value.clone(),
            source: row.source.clone(),
        };
        // It was accepted before.
        let _ = new.add(&given);
    }
}

fn changed_keys(old: &Config, new: &Config) -> Vec<&'static str> {
    let rows = old.rows.iter().zip(&new.rows);
    rows.filter(|(old, new)| old.value != new.value).map(|(_, new)| new.setting.key).collect()
}

/// What readers are not given: judged at every read, so it can change at any moment.
fn is_about_readers(key: &str) -> bool {
    ["security.hold", "security.deny_"].iter().any(|start| key.starts_with(start))
}

fn use_upstream(config: &Config, engine: &EngineHandle) -> Result<(), Problem> {
    let settings = match config.upstream.url.clone() {
        Some(url) => {
            refuse_own_address(config, &url)?;
            let instance_id = instance_id(engine.store())?;
            Some(upstream_settings(config, url, instance_id)?)
        }
        // npm's answer came after the start and is not in these settings.
        None => return Ok(()),
    };
    engine.set_upstream(settings).map_err(|error| Problem::failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, Value};

    fn given(key: &'static str, text: &str, source: Source) -> Given {
        Given { key, value: Value::Text(text.into()), source }
    }

    #[test]
    fn a_stored_upstream_stays_and_other_changes_are_named() {
        let stored = given("upstream.url", "http://127.0.0.1:1/", Source::Stored("x".into()));
        let old = Config::from_layers(&[stored], None).unwrap();
        let file = Source::File { path: "config.toml".into(), line: 1 };
        let mut new =
            Config::from_layers(&[given("sync.mode", "all", file.clone())], None).unwrap();
        keep_upstream(&old, &mut new);
        assert_eq!(changed_keys(&old, &new), ["sync.mode"]);

        let other = given("upstream.url", "http://127.0.0.1:2/", file);
        let mut new = Config::from_layers(&[other], None).unwrap();
        keep_upstream(&old, &mut new);
        assert_eq!(changed_keys(&old, &new), ["upstream.url"]);
    }
}
