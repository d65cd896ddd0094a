//! Checked rows by the kind of their value.

use ipnet::IpNet;

use super::super::{ConfigError, Row, Value, ValueError, value};

/// The refusal of a setting by a rule about more than its own text.
pub(super) fn bad(key: &str, error: ValueError) -> ConfigError {
    ConfigError::BadValue { place: "settings".into(), key: key.into(), error }
}

/// Turns checked rows into typed fields.
pub(super) struct Reader<'a> {
    pub(super) rows: &'a [Row],
}

impl Reader<'_> {
    fn row(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.setting.key == key)
    }

    pub(super) fn text(&self, key: &str) -> String {
        match self.row(key).map(|row| &row.value) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    pub(super) fn with<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, ConfigError> {
        let place = self.row(key).map(|row| row.source.place()).unwrap_or_default();
        parse(&self.text(key)).map_err(|error| ConfigError::BadValue {
            place,
            key: key.to_owned(),
            error,
        })
    }

    pub(super) fn optional<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<Option<T>, ConfigError> {
        if self.text(key).is_empty() { Ok(None) } else { self.with(key, parse).map(Some) }
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.row(key).is_some_and(|row| row.value == Value::Flag(true))
    }

    pub(super) fn count<T: TryFrom<u64>>(&self, key: &str) -> Result<T, ConfigError> {
        let number = match self.row(key).map(|row| &row.value) {
            Some(Value::Count(number)) => *number,
            _ => 0,
        };
        T::try_from(number).map_err(|_| ConfigError::BadValue {
            place: self.row(key).map(|row| row.source.place()).unwrap_or_default(),
            key: key.to_owned(),
            error: ValueError {
                rule: "must be a smaller number".into(),
                given: number.to_string(),
            },
        })
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        match self.row(key).map(|row| &row.value) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn some(&self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    pub(super) fn ranges(&self, key: &str) -> Result<Vec<IpNet>, ConfigError> {
        let ranges = self.list(key);
        let ranges: Result<_, ValueError> =
            ranges.iter().map(|text| value::parse_range(text)).collect();
        ranges.map_err(|error| bad(key, error))
    }
}
