//! Values of settings: what each kind accepts, and how a value is written back.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use actors::{changes_follower::FeedStart, upstream::FeedChoice};
use bytesize::ByteSize;
use ipnet::IpNet;
use npm::PackageName;
use toml::de::DeValue;
use url::Url;

use super::{setting::Kind, without_credentials};

/// A checked value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text, a path, an address or one of a few words; also sizes and spans as they were written.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Count(u64),
    /// Several texts.
    List(Vec<String>),
}

/// Why a value was refused: the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}, not {given}")]
pub struct ValueError {
    /// What would have been accepted.
    pub rule: String,
    /// What was given, quoted.
    pub given: String,
}

fn refuse(rule: impl Into<String>, given: &str) -> ValueError {
    ValueError { rule: rule.into(), given: format!("{:?}", without_credentials(given)) }
}

impl Value {
    /// Reads a value from an environment variable or a flag.
    ///
    /// # Errors
    /// When the text breaks the rule of its kind.
    pub fn from_text(kind: Kind, text: &str) -> Result<Self, ValueError> {
        match kind {
            Kind::Flag => match text {
                "true" | "1" | "yes" | "on" => Ok(Self::Flag(true)),
                "false" | "0" | "no" | "off" => Ok(Self::Flag(false)),
                _ => Err(refuse("must be true or false", text)),
            },
            Kind::Count => text
                .trim()
                .parse()
                .map(Self::Count)
                .map_err(|_| refuse("must be a whole number from 0", text)),
            Kind::List | Kind::Ranges | Kind::Names => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Self::list(kind, parts.map(str::to_owned).collect())
            }
            _ => checked_text(kind, text).map(Self::Text),
        }
    }

    /// Reads a value of the configuration file.
    ///
    /// # Errors
    /// When the type or the text breaks the rule of its kind.
    pub fn from_toml(kind: Kind, value: &DeValue<'_>) -> Result<Self, ValueError> {
        match (kind, value) {
            (Kind::Flag, DeValue::Boolean(flag)) => Ok(Self::Flag(*flag)),
            (Kind::Count | Kind::Size, DeValue::Integer(number)) => {
                let parsed = u64::from_str_radix(number.as_str(), number.radix())
                    .map_err(|_| refuse("must be a whole number from 0", number.as_str()))?;
                Ok(match kind {
                    Kind::Size => Self::Text(format!("{parsed}B")),
                    _ => Self::Count(parsed),
                })
            }
            (Kind::List | Kind::Ranges | Kind::Names, DeValue::Array(items)) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items.iter() {
                    let text = item.get_ref().as_str().ok_or_else(|| ValueError {
                        rule: "must be a list of texts".into(),
                        given: format!("a list with {}", type_name(item.get_ref())),
                    })?;
                    texts.push(text.to_owned());
                }
                Self::list(kind, texts)
            }
            (Kind::Flag | Kind::Count | Kind::List | Kind::Ranges | Kind::Names, other) => {
                Err(ValueError { rule: wanted(kind).into(), given: type_name(other).into() })
            }
            (_, DeValue::String(text)) => checked_text(kind, text).map(Self::Text),
            (_, other) => {
                Err(ValueError { rule: wanted(kind).into(), given: type_name(other).into() })
            }
        }
    }

    fn list(kind: Kind, items: Vec<String>) -> Result<Self, ValueError> {
        if kind == Kind::Ranges {
            for item in &items {
                parse_range(item)?;
            }
        }
        if kind == Kind::Names {
            items.iter().try_for_each(|item| check_pattern(item))?;
        }
        Ok(Self::List(items))
    }

    /// The value as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Count(count) => (*count).into(),
            Self::List(items) => items.as_slice().into(),
        }
    }

    /// The value as it is written in the configuration file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        self.to_json().to_string()
    }
}

/// An address or a range; a bare address is a range of one.
///
/// # Errors
/// When the text is neither.
pub fn parse_range(text: &str) -> Result<IpNet, ValueError> {
    IpNet::from_str(text)
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| refuse("must be addresses or ranges like 10.0.0.0/8", text))
}

/// A package name, or a pattern with `*` that some name can match.
///
/// # Errors
/// When no name can ever match.
pub fn check_pattern(text: &str) -> Result<(), ValueError> {
    let filled = ["a", "a/a"].map(|name| text.replace('*', name));
    let can_match = filled.iter().any(|name| PackageName::parse(name).is_ok());
    let rule = "must be package names, @scope/*, or patterns with *";
    can_match.then_some(()).ok_or_else(|| refuse(rule, text))
}

/// `ADDRESS:PORT`, where `localhost` means 127.0.0.1.
///
/// # Errors
/// When the text is neither.
pub fn parse_listen(text: &str) -> Result<SocketAddr, ValueError> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| refuse("must be ADDRESS:PORT like 127.0.0.1:7001", text))
}

/// An absolute `http` or `https` address without query and fragment.
///
/// # Errors
/// When the text is anything else.
pub fn parse_address(text: &str) -> Result<Url, ValueError> {
    let rule = "must be an http or https address";
    let url = Url::parse(text).map_err(|_| refuse(rule, text))?;
    let plain = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    if !plain || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse(rule, text));
    }
    Ok(url)
}

/// Which changes feed is followed.
///
/// # Errors
/// When the text is none of the words and no address.
pub fn parse_feed(text: &str) -> Result<FeedChoice, ValueError> {
    match text {
        "auto" => Ok(FeedChoice::Auto),
        "off" => Ok(FeedChoice::Off),
        address => {
            let plain = |url: &Url| url.username().is_empty() && url.password().is_none();
            let url = parse_address(address).ok().filter(plain);
            let rule = "must be auto, off, or an http or https address without user name";
            url.map(FeedChoice::At).ok_or_else(|| refuse(rule, text))
        }
    }
}

/// Where a changes feed is read from first.
///
/// # Errors
/// When the text is none of the words and no number.
pub fn parse_feed_start(text: &str) -> Result<FeedStart, ValueError> {
    match text {
        "auto" => Ok(FeedStart::Auto),
        "head" => Ok(FeedStart::Head),
        number => match number.parse() {
            Ok(seq @ 0..) => Ok(FeedStart::At(seq)),
            _ => Err(refuse("must be auto, head, or a whole number from 0", text)),
        },
    }
}

/// A number of bytes.
///
/// # Errors
/// When the text is no size.
pub fn parse_size(text: &str) -> Result<u64, ValueError> {
    ByteSize::from_str(text)
        .map(|size| size.as_u64())
        .map_err(|_| refuse("must be a size like 500MiB", text))
}

/// A span of time.
///
/// # Errors
/// When the text is no span.
pub fn parse_duration(text: &str) -> Result<Duration, ValueError> {
    humantime::parse_duration(text).map_err(|_| refuse("must be a time like 5m", text))
}

fn checked_text(kind: Kind, text: &str) -> Result<String, ValueError> {
    match kind {
        Kind::Listen => parse_listen(text).map(drop)?,
        Kind::OptionalListen if !text.is_empty() => parse_listen(text).map(drop)?,
        Kind::Address if !text.is_empty() => parse_address(text).map(drop)?,
        Kind::Size => parse_size(text).map(drop)?,
        Kind::Duration => parse_duration(text).map(drop)?,
        Kind::Choice(words) if !words.contains(&text) => {
            return Err(refuse(format!("must be one of {}", words.join(", ")), text));
        }
        _ => {}
    }
    Ok(text.to_owned())
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag => "must be true or false",
        Kind::Count => "must be a whole number from 0",
        Kind::List | Kind::Ranges | Kind::Names => "must be a list of texts",
        Kind::Size => "must be a size like \"500MiB\"",
        Kind::Duration => "must be a time like \"5m\"",
        _ => "must be a text in quotes",
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
