//! What the body of `PUT /-/package/:fullname/syncs` asks for.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::error::ApiError;

/// Most characters of a remark.
const LONGEST_TIPS: usize = 1024;
/// Characters of a version.
const VERSION_CHARACTERS: std::ops::RangeInclusive<usize> = 5..=256;

/// A request for a sync, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Leave the dependencies alone.
    pub skip_dependencies: bool,
    /// Fetch download counts only.
    pub sync_download_data: bool,
    /// Run at once, fetch again.
    pub force: bool,
    /// Fetch every version again.
    pub force_sync_history: bool,
    /// A remark for the log.
    pub tips: Option<String>,
    /// The registry to take the package from.
    pub registry: Option<String>,
    /// Only these versions; none asks for all.
    pub specific_versions: Option<Vec<String>>,
}

impl Wish {
    /// Reads a body; none stands for the empty object, and what it does not know it ignores.
    ///
    /// # Errors
    /// 400 for a body that is no JSON, 422 with the first broken rule.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let value = serde_json::from_slice(body)
            .map_err(|error| ApiError::BadRequest(format!("the body is no JSON: {error}")))?;
        let Value::Object(fields) = value else { return Err(invalid("must be object")) };
        let flag = |name: &str| fields.get(name).is_some_and(is_truthy);
        Ok(Self {
            skip_dependencies: flag("skipDependencies"),
            sync_download_data: flag("syncDownloadData"),
            force: flag("force"),
            force_sync_history: flag("forceSyncHistory"),
            tips: tips(&fields)?,
            registry: text(&fields, "registryName")?.filter(|name| !name.is_empty()),
            specific_versions: specific_versions(&fields)?,
        })
    }
}

fn invalid(rule: impl Into<String>) -> ApiError {
    ApiError::Invalid(rule.into())
}

/// The reference takes any value for a flag and asks JavaScript what it is worth.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
        Some(_) => Err(invalid(format!("{name}: must be string"))),
    }
}

fn tips(fields: &Map<String, Value>) -> Result<Option<String>, ApiError> {
    let tips = text(fields, "tips")?.filter(|tips| !tips.is_empty());
    match tips {
        Some(tips) if tips.chars().count() > LONGEST_TIPS => {
            Err(invalid(format!("tips: must NOT have more than {LONGEST_TIPS} characters")))
        }
        tips => Ok(tips),
    }
}

/// A JSON array, or the text of one. An empty one asks for nothing in particular.
fn specific_versions(fields: &Map<String, Value>) -> Result<Option<Vec<String>>, ApiError> {
    let refused = || invalid("specificVersions: must match format \"unique-semver-version-array\"");
    let versions: Vec<String> = match fields.get("specificVersions") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| refused())?,
        Some(array) => serde_json::from_value(array.clone()).map_err(|_| refused())?,
    };
    let mut seen = HashSet::with_capacity(versions.len());
    let good = versions.iter().all(|version| {
        let length = VERSION_CHARACTERS.contains(&version.chars().count());
        length && npm::is_version(version) && seen.insert(version.as_str())
    });
    if !good {
        return Err(refused());
    }
    Ok(Some(versions).filter(|versions| !versions.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Wish, String> {
        Wish::parse(body.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_field_is_read_and_none_is_needed() {
        assert_eq!(parse(""), Ok(Wish::default()));
        assert_eq!(parse(" {} "), Ok(Wish::default()));
        let body = r#"{"skipDependencies":true,"syncDownloadData":false,"force":true,
            "forceSyncHistory":1,"tips":"  for a friend ","registryName":"default",
            "specificVersions":"[\"1.0.0\",\"1.0.1\"]","unknown":{}}"#;
        let wish = Wish {
            skip_dependencies: true,
            sync_download_data: false,
            force: true,
            force_sync_history: true,
            tips: Some("for a friend".into()),
            registry: Some("default".into()),
            specific_versions: Some(vec!["1.0.0".into(), "1.0.1".into()]),
        };
        assert_eq!(parse(body), Ok(wish));
    }

    #[test]
    fn versions_come_as_an_array_or_as_the_text_of_one() {
        for body in [r#"["1.0.0","2.0.0-rc.1"]"#, r#""[\"1.0.0\",\"2.0.0-rc.1\"]""#] {
            let wish = parse(&format!(r#"{{"specificVersions":{body}}}"#)).unwrap();
            let versions = Some(vec!["1.0.0".to_owned(), "2.0.0-rc.1".to_owned()]);
            assert_eq!(wish.specific_versions, versions);
        }
        for body in ["null", "[]", "\"[]\"", "\"\""] {
            let wish = parse(&format!(r#"{{"specificVersions":{body}}}"#)).unwrap();
            assert_eq!(wish.specific_versions, None, "{body}");
        }
    }

    #[test]
    fn the_first_broken_rule_is_named_in_the_words_of_the_contract() {
        let versions = "specificVersions: must match format \"unique-semver-version-array\"";
        let long = format!(r#"{{"tips":"{}"}}"#, "x".repeat(1025));
        for (body, error) in [
            (r#"[]"#, "must be object"),
            (r#""text""#, "must be object"),
            (r#"{"tips":7}"#, "tips: must be string"),
            (long.as_str(), "tips: must NOT have more than 1024 characters"),
            (r#"{"registryName":[]}"#, "registryName: must be string"),
            (r#"{"specificVersions":"1.0.0"}"#, versions),
            (r#"{"specificVersions":"[\"1.0.0\",\"1.0.0\"]"}"#, versions),
            (r#"{"specificVersions":["latest"]}"#, versions),
            (r#"{"specificVersions":["1.0"]}"#, versions),
            (r#"{"specificVersions":[1]}"#, versions),
            (r#"{"specificVersions":{}}"#, versions),
            (r#"{"specificVersions":7}"#, versions),
        ] {
            assert_eq!(parse(body), Err(error.to_owned()), "{body}");
        }
        assert!(parse("{").unwrap_err().starts_with("the body is no JSON: "));
        assert!(parse(&format!(r#"{{"tips":"{}"}}"#, "ü".repeat(1024))).is_ok());
    }
}
