//! The fields of a JSON body, with what is wrong with them in the words of the wire contract.
//!
//! Only the first broken rule is told; fields nobody asks for are ignored.

use actix_web::HttpRequest;
use actix_web::web::Payload;
use serde_json::{Map, Value};

use super::body::read;
use crate::error::ApiError;

/// Bodies about accounts; the largest legal one has a few lists of short texts.
const LIMIT: u64 = 256 << 10;

/// A JSON object that was sent.
#[derive(Debug)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body; none stands for the empty object.
    ///
    /// # Errors
    /// 400 for a body that is no JSON, 413 for a large one, 422 for one that is no object.
    pub async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, ApiError> {
        Self::parse(&read(request, payload, LIMIT).await?)
    }

    /// The same of bytes that are here.
    ///
    /// # Errors
    /// As [`Fields::read`].
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        // serde's text would repeat a piece of the body, which may hold a password
        let value =
            serde_json::from_slice(body).map_err(|error| ApiError::BadRequest(no_json(&error)))?;
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(ApiError::Invalid("must be object".to_owned())),
        }
    }

    /// The names of the fields that hold something.
    pub fn given(&self) -> impl Iterator<Item = &str> {
        let given = self.0.iter().filter(|(_, value)| !value.is_null());
        given.map(|(name, _)| name.as_str())
    }

    /// A text that may be left out; `null` stands for that, too.
    ///
    /// # Errors
    /// 422 for something else.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(name, "must be string")),
        }
    }

    /// A text of so many characters that may be left out.
    ///
    /// # Errors
    /// 422 for something else.
    pub fn text_up_to(&self, name: &str, most: usize) -> Result<Option<&str>, ApiError> {
        match self.text(name)? {
            Some(text) if text.chars().count() > most => Err(too_long(name, most)),
            text => Ok(text),
        }
    }

    /// A text without the spaces around it, of 1 to so many characters, that may be left out.
    ///
    /// # Errors
    /// 422 for something else.
    pub fn trimmed(&self, name: &str, most: usize) -> Result<Option<String>, ApiError> {
        match self.text(name)?.map(str::trim) {
            Some("") => Err(invalid(name, "must NOT have fewer than 1 characters")),
            Some(text) if text.chars().count() > most => Err(too_long(name, most)),
            text => Ok(text.map(str::to_owned)),
        }
    }

    /// The same for a text that has to be there.
    ///
    /// # Errors
    /// 422 also without it.
    pub fn required_trimmed(&self, name: &str, most: usize) -> Result<String, ApiError> {
        self.trimmed(name, most)?.ok_or_else(|| missing(name))
    }

    /// Whether a field was sent, be it as `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Refuses other fields than these: one that does nothing is a mistake of whoever sent it.
    ///
    /// # Errors
    /// 422 naming it.
    pub fn only(&self, names: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                Err(ApiError::Invalid(format!("must NOT have additional properties: {name}")))
            }
        }
    }

    /// A text that has to be there.
    ///
    /// # Errors
    /// 422 without it.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// A flag; left out it is off.
    ///
    /// # Errors
    /// 422 for something else.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(invalid(name, "must be boolean")),
        }
    }

    /// A whole number in a range that may be left out.
    ///
    /// # Errors
    /// 422 for something else.
    pub fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value.as_i64().ok_or_else(|| invalid(name, "must be integer"))?,
        };
        if number < *range.start() {
            return Err(invalid(name, format!("must be >= {}", range.start())));
        }
        if number > *range.end() {
            return Err(invalid(name, format!("must be <= {}", range.end())));
        }
        Ok(Some(number))
    }

    /// A list of texts; left out it is empty.
    ///
    /// # Errors
    /// 422 for something else, for too many and for a long one.
    pub fn list(&self, name: &str, most: usize, longest: usize) -> Result<Vec<String>, ApiError> {
        let items = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(invalid(name, "must be array")),
        };
        if items.len() > most {
            return Err(invalid(name, format!("must NOT have more than {most} items")));
        }
        let text = |(index, item): (usize, &Value)| match item {
            Value::String(text) if text.chars().count() <= longest => Ok(text.clone()),
            Value::String(_) => Err(too_long(&format!("{name}/{index}"), longest)),
            _ => Err(invalid(&format!("{name}/{index}"), "must be string")),
        };
        items.iter().enumerate().map(text).collect()
    }

    /// An object inside this one that may be left out.
    ///
    /// # Errors
    /// 422 for something else.
    pub fn object(&self, name: &str) -> Result<Option<Self>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self(fields.clone()))),
            Some(_) => Err(invalid(name, "must be object")),
        }
    }
}

fn no_json(error: &serde_json::Error) -> String {
    format!("the body is no JSON: line {} column {}", error.line(), error.column())
}

/// 422 with the field and the rule.
#[must_use]
pub fn invalid(name: &str, rule: impl std::fmt::Display) -> ApiError {
    ApiError::Invalid(format!("{name}: {rule}"))
}

fn missing(name: &str) -> ApiError {
    ApiError::Invalid(format!("must have required property '{name}'"))
}

fn too_long(name: &str, most: usize) -> ApiError {
    invalid(name, format!("must NOT have more than {most} characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn the_first_broken_rule_is_told_in_the_words_of_the_contract() {
        let sent = fields(r#"{"a":7,"b":"four","c":[1],"d":["abc"],"e":99,"f":1.5,"g":null}"#);
        let told = |error: ApiError| error.to_string();
        assert_eq!(told(sent.text("a").unwrap_err()), "a: must be string");
        assert_eq!(told(sent.required("z").unwrap_err()), "must have required property 'z'");
        assert_eq!(told(sent.required("g").unwrap_err()), "must have required property 'g'");
        let long = sent.text_up_to("b", 3).unwrap_err();
        assert_eq!(told(long), "b: must NOT have more than 3 characters");
        assert_eq!(told(sent.flag("b").unwrap_err()), "b: must be boolean");
        assert_eq!(told(sent.list("b", 1, 1).unwrap_err()), "b: must be array");
        assert_eq!(told(sent.list("c", 1, 1).unwrap_err()), "c/0: must be string");
        let long = sent.list("d", 1, 2).unwrap_err();
        assert_eq!(told(long), "d/0: must NOT have more than 2 characters");
        let many = sent.list("d", 0, 9).unwrap_err();
        assert_eq!(told(many), "d: must NOT have more than 0 items");
        assert_eq!(told(sent.number("e", 1..=9).unwrap_err()), "e: must be <= 9");
        assert_eq!(told(sent.number("e", 100..=200).unwrap_err()), "e: must be >= 100");
        assert_eq!(told(sent.number("f", 1..=9).unwrap_err()), "f: must be integer");
        assert_eq!(told(sent.object("a").unwrap_err()), "a: must be object");
        assert_eq!(sent.given().count(), 6);
    }

    #[test]
    fn spaces_around_a_text_do_not_count_and_other_fields_are_refused() {
        let sent = fields(r#"{"a":" abc ","b":"  "}"#);
        let told = |error: ApiError| error.to_string();
        assert_eq!(sent.required_trimmed("a", 3).unwrap(), "abc");
        let long = sent.trimmed("a", 2).unwrap_err();
        assert_eq!(told(long), "a: must NOT have more than 2 characters");
        let empty = sent.trimmed("b", 2).unwrap_err();
        assert_eq!(told(empty), "b: must NOT have fewer than 1 characters");
        assert_eq!(sent.trimmed("z", 2), Ok(None));
        assert!(sent.required_trimmed("z", 2).is_err());
        assert!(sent.only(&["a", "b"]).is_ok());
        let other = sent.only(&["a"]).unwrap_err();
        assert_eq!(told(other), "must NOT have additional properties: b");
    }

    #[test]
    fn what_may_be_left_out_may_be_null() {
        let sent = fields(r#"{"g":null}"#);
        for name in ["g", "z"] {
            assert_eq!(sent.text(name), Ok(None));
            assert_eq!(sent.flag(name), Ok(false));
            assert_eq!(sent.number(name, 1..=2), Ok(None));
            assert_eq!(sent.list(name, 1, 1), Ok(Vec::new()));
            assert!(sent.object(name).unwrap().is_none());
        }
        assert_eq!(Fields::parse(b"").unwrap().given().count(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_repeating_it() {
        let error = Fields::parse(br#"{"password":"s3cr3t" oops"#).unwrap_err().to_string();
        assert!(error.starts_with("the body is no JSON: line 1"), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
        assert_eq!(Fields::parse(b"[]").unwrap_err().to_string(), "must be object");
    }
}
