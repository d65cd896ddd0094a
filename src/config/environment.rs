//! Settings from environment variables: `ESPEJO_SECTION__KEY`, for secrets also `…_FILE`.

use super::{
    ConfigError, Given, Source,
    setting::{SETTINGS, Setting},
    suggest::nearest,
    value::Value,
};

/// Variables that are no settings of the table.
pub const OTHER_VARIABLES: &[(&str, &str)] = &[
    ("ESPEJO_CONFIG", "the configuration file, like --config"),
    ("ESPEJO_UPSTREAM", "short for ESPEJO_UPSTREAM__URL"),
    ("ESPEJO_SERVER", "the server that commands speak to, like --server"),
    ("ESPEJO_TOKEN", "an admin's token for it, like --token"),
];

/// The setting that `ESPEJO_UPSTREAM` is short for.
const UPSTREAM: &str = "upstream.url";

/// Reads all settings that `variables` hold.
///
/// An unknown `ESPEJO_SECTION__KEY` is refused; names without a section are left alone, because
/// container platforms make such variables up from service names.
///
/// # Errors
/// When a name is unknown, a value is refused or a secret's file cannot be read.
pub fn read(
    variables: &[(String, String)],
    read_file: impl Fn(&str) -> std::io::Result<String>,
) -> Result<Vec<Given>, ConfigError> {
    refuse_unknown(variables)?;
    let find = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let mut given = Vec::new();
    for setting in SETTINGS {
        let name = setting.variable();
        let file_name = format!("{name}_FILE");
        let short = if setting.key == UPSTREAM { find("ESPEJO_UPSTREAM") } else { None };
        let from_file = if setting.secret { find(&file_name) } else { None };
        match (find(&name), from_file, short) {
            (Some(_), Some(_), _) => {
                return Err(ConfigError::GivenTwice { first: name, second: file_name });
            }
            (Some(value), None, _) => given.push(one(setting, value, Source::Environment(name))?),
            (None, Some(path), _) => {
                let text = read_file(path).map_err(|error| ConfigError::Unreadable {
                    path: path.into(),
                    why: format!("{error} (named by {file_name})"),
                })?;
                given.push(one(setting, text.trim(), Source::EnvironmentFile(file_name))?);
            }
            (None, None, Some(value)) if !value.is_empty() => {
                let source = Source::Environment("ESPEJO_UPSTREAM".into());
                given.push(one(setting, value, source)?);
            }
            (None, None, _) => {}
        }
    }
    Ok(given)
}

fn one(setting: &'static Setting, text: &str, source: Source) -> Result<Given, ConfigError> {
    let value = Value::from_text(setting.kind, text).map_err(|mut error| {
        if setting.secret {
            error.given = "the value given".into();
        }
        ConfigError::BadValue { place: source.place(), key: setting.key.into(), error }
    })?;
    Ok(Given { key: setting.key, value, source })
}

fn refuse_unknown(variables: &[(String, String)]) -> Result<(), ConfigError> {
    for (name, _) in variables {
        if !name.starts_with("ESPEJO_") || !name.contains("__") {
            continue;
        }
        let known = SETTINGS.iter().any(|setting| {
            let variable = setting.variable();
            *name == variable || (setting.secret && *name == format!("{variable}_FILE"))
        });
        if !known {
            let all: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
            return Err(ConfigError::UnknownKey {
                place: "environment".into(),
                key: name.clone(),
                suggestion: nearest(name, all.iter().map(String::as_str)),
                file: None,
            });
        }
    }
    Ok(())
}
