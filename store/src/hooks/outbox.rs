//! The outbox: what hooks are to hear of, written in the transaction of the fact.
//!
//! Each event becomes a row for each hook that wants it. Seqs rise in the order of commits for one
//! package, which is all that receivers are promised.

use std::collections::{HashMap, HashSet};

use diesel::sql_types::Text;
use npm::{HookEvent, HookKind, PackageName};
use uuid::Uuid;

use super::watch::HookInterests;
use crate::dialect::{self, RowsStatement, Value};
use crate::{AnyConnection, StoreError};

/// The state of a delivery that is to be sent.
pub(crate) const WAITING: &str = "waiting";

/// What happened to one package.
#[derive(Clone, Copy, Debug)]
pub struct PackageNews<'a> {
    /// The package.
    pub name: &'a PackageName,
    /// Login names of its maintainers, before and after.
    pub owners: &'a [String],
    /// What happened, in order.
    pub events: &'a [HookEvent],
}

const FIND: RowsStatement = RowsStatement {
    head: "WITH wanted(kind, name) AS (VALUES ",
    columns: 2,
    tail: ") SELECT hooks.kind, hooks.name, hooks.id FROM wanted JOIN hooks \
           ON hooks.kind = wanted.kind AND hooks.name = wanted.name ORDER BY hooks.id",
};

const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO hook_deliveries (hook_id, package, event, change, at_ms, state) VALUES ",
    columns: 6,
    tail: "",
};

/// Queues what hooks want to hear of (a write); answers how many deliveries that makes.
///
/// # Errors
/// Those of the database.
pub fn queue(
    connection: &mut AnyConnection,
    interests: &HookInterests,
    news: &[PackageNews<'_>],
) -> Result<usize, StoreError> {
    if news.is_empty() || interests.is_empty() {
        return Ok(0);
    }
    let hooks = find(connection, interests, news)?;
    if hooks.is_empty() {
        return Ok(0);
    }
    let now_ms = dialect::now_ms(connection)?;
    let mut rows = Vec::new();
    for one in news {
        let mut told = HashSet::new();
        let targets = interests.targets(one.name, one.owners);
        let ids: Vec<&String> = targets
            .filter_map(|(kind, name)| hooks.get(&(kind, name.to_owned())))
            .flatten()
            .filter(|id| told.insert(*id))
            .collect();
        if ids.is_empty() {
            continue;
        }
        for event in one.events {
            let change = serde_json::to_string(&event.change)
                .map_err(|error| StoreError::Other(format!("an event of a hook: {error}")))?;
            rows.extend(ids.iter().map(|id| (*id, one.name.as_str(), event.kind, change.clone())));
        }
    }
    let values = rows.iter().flat_map(|(id, package, event, change)| {
        [
            Value::Text(id),
            Value::Text(package),
            Value::Text(event.as_str()),
            Value::Text(change),
            Value::BigInt(now_ms),
            Value::Text(WAITING),
        ]
    });
    INSERT.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(rows.len())
}

/// Ids of the hooks for all targets of the news.
fn find(
    connection: &mut AnyConnection,
    interests: &HookInterests,
    news: &[PackageNews<'_>],
) -> Result<HashMap<(HookKind, String), Vec<String>>, StoreError> {
    let mut wanted: Vec<_> =
        news.iter().flat_map(|one| interests.targets(one.name, one.owners)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let values =
        wanted.iter().flat_map(|(kind, name)| [Value::Text(kind.as_str()), Value::Text(name)]);
    let values = values.collect::<Vec<_>>();
    let rows: Vec<(String, String, String)> =
        FIND.load::<(Text, Text, Text), _>(connection, &values)?;
    let mut found: HashMap<_, Vec<String>> = HashMap::new();
    for (kind, name, id) in rows {
        if let Some(kind) = HookKind::from_text(&kind) {
            found.entry((kind, name)).or_default().push(id);
        }
    }
    Ok(found)
}

/// How a delivery is known outside: a UUIDv7 of its time whose last bits are its seq, so that it
/// takes neither a column nor an index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DeliveryId {
    /// Its place in the outbox.
    pub seq: i64,
    /// When the event happened, unix milliseconds.
    pub at_ms: i64,
}

/// What of a UUID's second half is free.
const SEQ_BITS: u64 = (1 << 62) - 1;

impl DeliveryId {
    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::parse_str(text).ok().filter(|id| id.get_version_num() == 7)?;
        let (high, low) = id.as_u64_pair();
        let seq = i64::try_from(low & SEQ_BITS).ok()?;
        Some(Self { seq, at_ms: i64::try_from(high >> 16).ok()? })
    }
}

impl std::fmt::Display for DeliveryId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = [0; 10];
        for (to, from) in bytes.iter_mut().skip(2).zip(self.seq.to_be_bytes()) {
            *to = from;
        }
        let at_ms = u64::try_from(self.at_ms).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(at_ms, &bytes).into_uuid();
        id.hyphenated().fmt(formatter)
    }
}
