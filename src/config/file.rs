//! The configuration file: where it is looked for, and its settings with their lines.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    ConfigError, Given, Source,
    setting::{self, SETTINGS},
    suggest::nearest,
    value::Value,
};

/// A configuration file that was read.
#[derive(Debug, Clone, Default)]
pub struct ConfigFile {
    /// Where it was found; `None` when there is none.
    pub path: Option<PathBuf>,
    /// Its settings in file order.
    pub given: Vec<Given>,
}

/// Reads the first file that exists; a file asked for by name has to exist.
///
/// # Errors
/// When a file is unreadable, no TOML, or holds an unknown key or a refused value.
pub fn load(asked: Option<&Path>, candidates: &[PathBuf]) -> Result<ConfigFile, ConfigError> {
    if let Some(path) = asked {
        let text = read(path)?.ok_or_else(|| ConfigError::Unreadable {
            path: path.to_owned(),
            why: "there is no such file".into(),
        })?;
        return parse(path, &text);
    }
    for path in candidates {
        if let Some(text) = read(path)? {
            return parse(path, &text);
        }
    }
    Ok(ConfigFile::default())
}

/// Where a file is looked for when none was named, in this order.
#[must_use]
pub fn candidates(data_folder: &Path, variable: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("config.toml"), data_folder.join("config.toml")];
    let user = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")));
    found.extend(user.map(|folder| folder.join("espejo/config.toml")));
    found.push(PathBuf::from("/etc/espejo/config.toml"));
    found
}

fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => {
            Err(ConfigError::Unreadable { path: path.to_owned(), why: error.to_string() })
        }
    }
}

/// Reads the text of a file; `path` is only for messages and sources.
///
/// # Errors
/// When the text is no TOML, or holds an unknown key or a refused value.
pub fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut file = ConfigFile { path: Some(path.to_owned()), given: Vec::new() };
    let mut reader = Reader { path, text, given: &mut file.given };
    reader.table("", table.get_ref())?;
    Ok(file)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    given: &'a mut Vec<Given>,
}

impl Reader<'_> {
    fn table(&mut self, section: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (name, value) in table.iter() {
            let key = match section {
                "" => name.get_ref().to_string(),
                section => format!("{section}.{}", name.get_ref()),
            };
            self.entry(&key, name.span().start, value)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        key: &str,
        start: usize,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), ConfigError> {
        let line = line_of(self.text, start);
        if let Some(setting) = setting::find(key) {
            let value = Value::from_toml(setting.kind, value.get_ref()).map_err(|error| {
                ConfigError::BadValue { place: self.place(line), key: key.to_owned(), error }
            })?;
            let source = Source::File { path: self.path.to_owned(), line };
            self.given.push(Given { key: setting.key, value, source });
            return Ok(());
        }
        match value.get_ref() {
            DeValue::Table(inner) if is_section(key) => self.table(key, inner),
            _ => Err(ConfigError::UnknownKey {
                place: self.place(line),
                key: key.to_owned(),
                suggestion: nearest(key, SETTINGS.iter().map(|setting| setting.key)),
                file: Some(self.path.to_owned()),
            }),
        }
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

fn is_section(key: &str) -> bool {
    SETTINGS
        .iter()
        .any(|setting| setting.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
