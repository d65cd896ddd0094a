//! `espejo audit`: who changed what, when, from where.

use std::time::Duration;

use actors::clock::now_ms;
use clap::Args;
use comfy_table::{Table, presets};

use super::{
    arguments::GlobalArguments,
    exit::Exit,
    output::Output,
    place::Place,
    problem::{Outcome, Problem},
};
use crate::{
    config::value,
    control::messages::AuditQuery,
    operations::audit::ListAudit,
    views::{account::iso, registry::Audited},
};

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct AuditArguments {
    /// Changes of this person only
    #[arg(long, value_name = "NAME")]
    pub who: Option<String>,
    /// Such changes only: registry, registry.add, scope, block
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Changes of this thing only, by name
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,
    /// Changes of this long ago at most: 7d, 12h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Those older than this one: the next page
    #[arg(long, value_name = "ID")]
    pub before: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub limit: i64,
}

/// Lists the audit log.
///
/// # Errors
/// When the database cannot be read.
pub fn run(arguments: &AuditArguments, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let since = arguments.since.as_deref().map(value::parse_duration).transpose();
    let since: Option<Duration> =
        since.map_err(|error| Problem::usage(format!("--since {error}")))?;
    let since_ms = since
        .map(|since| now_ms().saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
    let query = AuditQuery {
        who: arguments.who.clone(),
        action: arguments.action.clone(),
        subject: arguments.subject.clone(),
        since: since_ms.map(iso),
        before: arguments.before.clone(),
        limit: Some(arguments.limit),
    };
    let rows = Place::open(&config)?.run(ListAudit { query })?;
    if output.json {
        output.json(&rows);
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        output.note("Nothing was changed by hand, as far as was asked for.");
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["WHEN", "WHO", "FROM", "ACTION", "SUBJECT", "CHANGE"]);
    for row in rows {
        let change = difference(&row);
        table.add_row([row.at, row.who, row.from, row.action, row.subject, change]);
    }
    output.line(table);
    Ok(Exit::Done)
}

/// What is different, field by field.
fn difference(row: &Audited) -> String {
    let fields = |value: &Option<serde_json::Value>| match value {
        Some(serde_json::Value::Object(fields)) => fields.clone(),
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(&row.before), fields(&row.after));
    let text = |value: Option<&serde_json::Value>| match value {
        None | Some(serde_json::Value::Null) => "-".to_owned(),
        Some(serde_json::Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    let changed = changed.filter_map(|name| {
        let (old, new) = (text(before.get(name)), text(after.get(name)));
        (old != new).then(|| match (row.before.is_some(), row.after.is_some()) {
            (false, _) => format!("{name} {new}"),
            (_, false) => format!("{name} {old}"),
            _ => format!("{name} {old} -> {new}"),
        })
    });
    changed.collect::<Vec<_>>().join(", ")
}
