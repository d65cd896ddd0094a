//! What a registry and a scope may be called and consist of.

use std::net::SocketAddr;

use actors::DEFAULT_REGISTRY;
use actors::upstream::{Upstream, UpstreamSettings};
use npm::PackageName;
use store::registries::SELF;
use url::Url;

use super::{Change, Refused, Traits};
use crate::config::{Config, Source, value, without_credentials};
use crate::discovery::is_own_address;

/// What a registry may speak; `cnpm` is another name of `cnpmcore`.
pub const KINDS: [&str; 4] = ["npm", "cnpmcore", "cnpmjsorg", "cnpm"];

/// Most characters of a name and of a prefix.
const LONGEST_NAME: usize = 256;
/// Most characters of an address.
const LONGEST_ADDRESS: usize = 4096;
/// Most characters of a token.
const LONGEST_TOKEN: usize = 256;

/// What of this mirror's own settings the rules look at.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Where we listen: no upstream of ours.
    listen: SocketAddr,
    /// How clients reach us: no upstream of ours either.
    public_url: Option<Url>,
    /// Where the address of `default` is set, when no row may change it.
    default_set_by: Option<String>,
}

impl Rules {
    /// Those of a server that listens there and takes its upstream from nowhere else.
    #[must_use]
    pub fn listening(listen: SocketAddr, public_url: Option<Url>) -> Self {
        Self { listen, public_url, default_set_by: None }
    }

    /// Those of a configuration: environment and file win over the row of `default`.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let source = config.row("upstream.url").map(|row| &row.source).filter(|source| {
            matches!(
                source,
                Source::Environment(_) | Source::EnvironmentFile(_) | Source::File { .. }
            )
        });
        let default_set_by = source.map(ToString::to_string);
        Self { default_set_by, ..Self::listening(config.listen, config.public_url.clone()) }
    }

    /// The same once the port is known, which may have been any.
    #[must_use]
    pub fn bound_to(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }

    fn address(&self, text: &str) -> Result<Url, Refused> {
        within("host", text, LONGEST_ADDRESS)?;
        let url = value::parse_address(text).map_err(|error| invalid("host", error))?;
        if !url.username().is_empty() || url.password().is_some() {
            let rule = "credentials belong into the token, not into the address";
            return Err(invalid("host", rule));
        }
        if is_own_address(&url, self.listen, self.public_url.as_ref()) {
            let shown = without_credentials(url.as_str());
            return Err(Refused::Invalid(format!("host: {shown} is this mirror itself")));
        }
        Ok(url)
    }
}

impl Change {
    /// Whether it is one that can be made at all, whatever the tables hold.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check(&self, rules: &Rules) -> Result<(), Refused> {
        match self {
            Self::Add { name, host, traits } => {
                check_name(name)?;
                check_parts(rules, Some(host), traits)
            }
            Self::Set { name, host, traits } => {
                if name == DEFAULT_REGISTRY {
                    check_default(rules, host.is_some(), traits)?;
                }
                check_parts(rules, host.as_deref(), traits)
            }
            Self::Remove { name, .. } if name == DEFAULT_REGISTRY || name == SELF => {
                Err(Refused::Invalid(format!("the registry `{name}` stays")))
            }
            Self::Pause { name } | Self::Resume { name, .. } if name == SELF => {
                Err(Refused::Invalid(format!("`{SELF}` is this mirror: it follows no feed")))
            }
            Self::Bind { scope, .. } => check_scope(scope),
            _ => Ok(()),
        }
    }
}

fn invalid(what: &str, rule: impl std::fmt::Display) -> Refused {
    Refused::Invalid(format!("{what}: {rule}"))
}

fn within(what: &str, text: &str, most: usize) -> Result<(), Refused> {
    match text.chars().count() {
        0 => Err(invalid(what, "must NOT have fewer than 1 characters")),
        count if count > most => {
            Err(invalid(what, format_args!("must NOT have more than {most} characters")))
        }
        _ => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), Refused> {
    within("name", name, LONGEST_NAME)?;
    let legal = |character: char| character.is_alphanumeric() || " ._-+:()".contains(character);
    if name.trim() != name || !name.chars().all(legal) {
        let rule = "has letters, digits, spaces between them and . _ - + : ( ) only";
        return Err(invalid("name", format_args!("{rule}: {name:?}")));
    }
    if name == SELF {
        return Err(invalid("name", format_args!("`{SELF}` is this mirror")));
    }
    Ok(())
}

/// The scope can be one of a package.
fn check_scope(scope: &str) -> Result<(), Refused> {
    within("name", scope, LONGEST_NAME)?;
    let is_scope = scope.starts_with('@') && PackageName::parse(&format!("{scope}/name")).is_ok();
    if is_scope { Ok(()) } else { Err(invalid("name", format_args!("{scope:?} is no scope"))) }
}

/// What flag, environment or file say of the default upstream wins over its row.
fn check_default(rules: &Rules, moves: bool, traits: &Traits) -> Result<(), Refused> {
    if traits.rate.is_some() || traits.feed.is_some() {
        let text = "the rate and the feed of `default` are settings: upstream.rate, upstream.feed";
        return Err(Refused::Invalid(text.to_owned()));
    }
    match &rules.default_set_by {
        Some(source) if moves => {
            let text = format!("the address of `default` is set elsewhere: {source}");
            Err(Refused::Invalid(text))
        }
        _ => Ok(()),
    }
}

/// Refuses here what the engine would refuse: other schemes, credentials in the address, tokens
/// that no header can carry.
fn check_parts(rules: &Rules, host: Option<&str>, traits: &Traits) -> Result<(), Refused> {
    let url = match host {
        Some(host) => rules.address(host)?,
        // stands in for the address that stays
        None => Url::parse("http://registry.invalid/").map_err(|error| invalid("host", error))?,
    };
    if let Some(kind) = traits.kind.as_deref().filter(|kind| !KINDS.contains(kind)) {
        let rule = "must be equal to one of the allowed values";
        return Err(invalid("type", format_args!("{rule} {}: {kind:?}", KINDS.join(", "))));
    }
    if let Some(feed) = &traits.feed {
        within("changeStream", feed, LONGEST_ADDRESS)?;
        value::parse_feed(feed).map_err(|error| invalid("changeStream", error))?;
    }
    if let Some(prefix) = traits.user_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
        within("userPrefix", prefix, LONGEST_NAME)?;
    }
    let token = traits.token.clone().filter(|token| !token.is_empty());
    if let Some(token) = &token {
        within("authToken", token, LONGEST_TOKEN)?;
    }
    let settings = UpstreamSettings { token, ..UpstreamSettings::new("registry", url) };
    Upstream::new(settings).map(drop).map_err(|error| Refused::Invalid(error.to_string()))
}
