use std::{io, path::Path, time::Duration};

use super::*;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn no_file(_: &str) -> io::Result<String> {
    Err(io::Error::from(io::ErrorKind::NotFound))
}

fn from_env(pairs: &[(&str, &str)]) -> Result<Vec<Given>, ConfigError> {
    environment::read(&variables(pairs), no_file)
}

fn from_file(text: &str) -> Result<Vec<Given>, ConfigError> {
    file::parse(Path::new("config.toml"), text).map(|file| file.given)
}

#[test]
fn every_default_of_the_table_is_accepted_and_typed() {
    let config = Config::from_layers(&[], None).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7001");
    assert_eq!(config.sync.workers, 48);
    assert_eq!(config.sync.max_tarball_bytes, 500 * 1024 * 1024);
    assert_eq!(config.sync.fresh_for, Duration::from_secs(300));
    assert_eq!(config.storage.keep_free_bytes, 2 << 30);
    assert_eq!(config.upstream.background_rate, 50);
    assert!(config.storage.database.is_none() && config.upstream.url.is_none());
    assert!(config.rows.iter().all(|row| row.source == Source::Default));
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_what_is_stored() {
    let flags = LoadRequest {
        flags: vec![("listen", "127.0.0.1:1".into(), "--listen")],
        ..LoadRequest::default()
    }
    .flag_values()
    .unwrap();
    let env = from_env(&[("ESPEJO_LISTEN", "127.0.0.1:2"), ("ESPEJO_SYNC__MODE", "all")]).unwrap();
    let file = from_file("listen = \"127.0.0.1:3\"\nsync.mode = \"none\"\nsync.workers = 7\n");
    let layers: Vec<Given> = [flags, env, file.unwrap()].concat();
    let mut config = Config::from_layers(&layers, None).unwrap();
    let stored = Given {
        key: "sync.workers",
        value: Value::Count(9),
        source: Source::Stored("test".into()),
    };
    config.add(&stored).unwrap();
    let stored = Given {
        key: "upstream.url",
        value: Value::Text("http://127.0.0.1:9/".into()),
        source: Source::Stored("first run".into()),
    };
    config.add(&stored).unwrap();

    assert_eq!(config.listen.port(), 1);
    assert_eq!(config.row("listen").unwrap().source, Source::Flag("--listen".into()));
    assert_eq!(config.sync.mode, "all");
    assert_eq!(config.row("sync.mode").unwrap().source.to_string(), "env ESPEJO_SYNC__MODE");
    assert_eq!(config.sync.workers, 7);
    assert_eq!(config.row("sync.workers").unwrap().source.to_string(), "file config.toml:3");
    assert_eq!(config.upstream.url.as_ref().unwrap().as_str(), "http://127.0.0.1:9/");
    assert_eq!(config.row("upstream.url").unwrap().source.layer(), "stored");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
    let error = from_file("# one\n\n[sync]\nworker = 3\n").unwrap_err();
    let ConfigError::UnknownKey { suggestion, .. } = &error else { panic!("{error}") };
    assert_eq!(suggestion.as_deref(), Some("sync.workers"));
    assert_eq!(error.to_string(), "config.toml:4: unknown key `sync.worker`");

    let error = from_file("mode = \"all\"").unwrap_err();
    let ConfigError::UnknownKey { suggestion, .. } = &error else { panic!("{error}") };
    assert_eq!(suggestion.as_deref(), Some("sync.mode"));

    let error = from_file("[surprise]\nx = 1").unwrap_err();
    let ConfigError::UnknownKey { suggestion, key, .. } = &error else { panic!("{error}") };
    assert_eq!((key.as_str(), suggestion.as_deref()), ("surprise", None));
}

#[test]
fn an_unknown_variable_is_refused_unless_it_has_no_section() {
    let error = from_env(&[("ESPEJO_SYNC__MOED", "all")]).unwrap_err();
    let ConfigError::UnknownKey { suggestion, .. } = &error else { panic!("{error}") };
    assert_eq!(suggestion.as_deref(), Some("ESPEJO_SYNC__MODE"));
    assert!(from_env(&[("ESPEJO_SERVICE_HOST", "10.0.0.1")]).unwrap().is_empty());
}

#[test]
fn values_are_checked_with_the_rule_in_the_message() {
    for (text, part) in [
        ("sync.mode = \"alle\"", "must be one of none, admin, exist, all, proxy"),
        ("sync.workers = -1", "must be a whole number from 0"),
        ("sync.max_tarball = \"big\"", "must be a size like 500MiB"),
        ("sync.fresh_for = \"soon\"", "must be a time like 5m"),
        ("listen = 7001", "must be a text in quotes, not a number"),
        ("upstream.url = \"registry\"", "must be an http or https address"),
        ("upstream.offline = \"yes\"", "must be true or false, not a text"),
        ("server.trusted_proxies = [\"ten\"]", "ranges like 10.0.0.0/8"),
        ("server.hosts = [1]", "must be a list of texts"),
    ] {
        let error = from_file(text).unwrap_err().to_string();
        assert!(error.starts_with("config.toml:1: ") && error.contains(part), "{error}");
    }
    let error = from_file("listen = ").unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { line: 1, .. }), "{error}");
}

#[test]
fn a_secret_may_come_from_a_file_but_not_twice() {
    let read = |path: &str| match path {
        "/run/key" => Ok("hush\n".to_owned()),
        _ => no_file(path),
    };
    let pairs = variables(&[("ESPEJO_STORAGE__SECRET_KEY_FILE", "/run/key")]);
    let given = environment::read(&pairs, read).unwrap();
    let config = Config::from_layers(&given, None).unwrap();
    assert_eq!(config.storage.secret_key, "hush");
    let row = config.row("storage.secret_key").unwrap();
    assert_eq!(row.shown(), "(hidden)");
    assert_eq!(row.source.to_string(), "env file ESPEJO_STORAGE__SECRET_KEY_FILE");

    let twice = variables(&[
        ("ESPEJO_STORAGE__SECRET_KEY", "a"),
        ("ESPEJO_STORAGE__SECRET_KEY_FILE", "/run/key"),
    ]);
    assert!(matches!(environment::read(&twice, read), Err(ConfigError::GivenTwice { .. })));
    // Only secrets have the file form.
    assert!(from_env(&[("ESPEJO_SYNC__MODE_FILE", "/run/key")]).is_err());
}

#[test]
fn the_short_upstream_variable_is_weaker_than_the_long_one() {
    let given = from_env(&[("ESPEJO_UPSTREAM", "http://127.0.0.1:1/")]).unwrap();
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].source.place(), "ESPEJO_UPSTREAM");
    let given = from_env(&[
        ("ESPEJO_UPSTREAM", "http://127.0.0.1:1/"),
        ("ESPEJO_UPSTREAM__URL", "http://127.0.0.1:2/"),
    ]);
    assert_eq!(given.unwrap()[0].value, Value::Text("http://127.0.0.1:2/".into()));
}

#[test]
fn tables_and_dotted_keys_mean_the_same() {
    let dotted =
        from_file("sync.mode = \"all\"\nsync.workers = 2\nupstream.offline = true").unwrap();
    let tables = from_file("[sync]\nmode = \"all\"\nworkers = 2\n[upstream]\noffline = true");
    let values = |given: Vec<Given>| -> Vec<_> {
        given.into_iter().map(|given| (given.key, given.value)).collect()
    };
    assert_eq!(values(dotted), values(tables.unwrap()));
}

#[test]
fn credentials_in_an_address_are_not_shown() {
    let given = from_env(&[("ESPEJO_UPSTREAM", "http://ada:pass@127.0.0.1:1/")]).unwrap();
    let config = Config::from_layers(&given, None).unwrap();
    assert_eq!(config.row("upstream.url").unwrap().shown(), "http://127.0.0.1:1/");
}

#[test]
fn the_file_of_the_repository_is_what_config_init_writes_and_changes_nothing() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml");
    let committed = std::fs::read_to_string(path).unwrap();
    assert_eq!(committed, template::config_toml().unwrap());
    assert!(from_file(&committed).unwrap().is_empty());
    // Every line is a valid setting once its comment sign is taken away.
    let lines = committed.lines().filter_map(|line| line.strip_prefix("# "));
    let active: Vec<&str> =
        lines.filter(|line| SETTINGS.iter().any(|row| line.starts_with(row.key))).collect();
    let given = from_file(&active.join("\n")).unwrap();
    assert_eq!(given.len(), SETTINGS.len());
    for one in given {
        let setting = setting::find(one.key).unwrap();
        assert_eq!(one.value, setting.default_value().unwrap(), "{}", one.key);
    }
}

#[test]
fn the_certificate_and_its_key_go_together() {
    let given = from_file("tls.cert = \"a.pem\"").unwrap();
    assert!(Config::from_layers(&given, None).is_err());
}

#[test]
fn only_the_first_existing_file_is_read_and_a_named_one_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("absent.toml");
    let second = folder.path().join("second.toml");
    let third = folder.path().join("third.toml");
    std::fs::write(&second, "sync.workers = 2").unwrap();
    std::fs::write(&third, "nonsense").unwrap();
    let found = file::load(None, &[first.clone(), second.clone(), third]).unwrap();
    assert_eq!(found.path.as_deref(), Some(second.as_path()));
    assert!(matches!(file::load(Some(&first), &[second]), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn a_proxy_brings_in_what_is_missed_and_nothing_else() {
    let text = "sync.mode = \"proxy\"\nsync.on_miss = \"none\"\n";
    let config = Config::from_layers(&from_file(text).unwrap(), None).unwrap();
    assert_eq!((config.sync.mode.as_str(), config.sync.on_miss.as_str()), ("none", "fetch"));
}
