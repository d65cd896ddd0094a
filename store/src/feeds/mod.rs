//! The `feeds` table: how far each upstream's changes feed was read.
//!
//! A row belongs to one follower at a time: it leases the row ([`lease`]) and every write names
//! the holder, the epoch and the number it started from. Whoever lost one of them writes nothing,
//! so of two followers one alone moves the place. The tasks of a page and the new place are one
//! transaction ([`take_page`]): a crash repeats a page and never loses one.

mod page;
#[cfg(test)]
mod tests;

use diesel::prelude::*;

pub use self::page::{FeedPage, Taken, Takes, recheck, take_page};
use crate::dialect::{self, RowsStatement, Value};
use crate::schema::feeds;
use crate::{AnyConnection, StoreError, alarms};

/// How far the feed of a registry was read.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = feeds)]
pub struct FeedRow {
    /// Name of the registry.
    pub registry: String,
    /// Address of the feed that the numbers belong to.
    pub url: String,
    /// Which numbering the feed is in; raised when its numbers start over or jump.
    pub epoch: i64,
    /// The last number read; `None` before the first look at the feed.
    pub seq: Option<i64>,
    /// The feed's newest number, as far as it was told.
    pub head: Option<i64>,
    /// When the last row came.
    pub row_at_ms: i64,
    /// When nothing newer was there last.
    pub caught_up_at_ms: i64,
    /// All packages behind this name are to be asked again, because the numbers alone do not tell
    /// what changed; empty text = all, `None` = nothing to do.
    pub recheck_after: Option<String>,
    /// What an operator should know now.
    pub alarm: Option<String>,
    /// Who wants the feed left alone.
    pub paused_by: Option<String>,
    /// Since when.
    pub paused_at_ms: Option<i64>,
    /// The worker that reads the feed, or read it last and died.
    pub held_by: Option<String>,
}

/// Who moves a place, and where from. A write by anybody else, or from elsewhere, does nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mover {
    /// Name of the registry.
    pub registry: String,
    /// The worker that holds the lease.
    pub holder: String,
    /// How long it holds it from now on.
    pub lease_ms: i64,
    /// The epoch it read.
    pub epoch: i64,
    /// The number it read; `None`: none was stored.
    pub seq: Option<i64>,
}

/// What a look at the feed showed beside its rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// The feed's newest number.
    pub head: Option<i64>,
    /// Nothing newer is there.
    pub caught_up: bool,
    /// What an operator should know now; `None` when all is well.
    pub alarm: Option<String>,
}

/// A new numbering, or the first one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewEpoch {
    /// Address of the feed.
    pub url: String,
    /// Where to go on.
    pub seq: i64,
    /// The feed's newest number.
    pub head: Option<i64>,
    /// Whether everything that is here is to be asked again.
    pub recheck: bool,
    /// Why, written down for the operator; `None` at the first look.
    pub alarm: Option<String>,
}

/// Takes or prolongs the lease of a registry's feed (a write); `None` when somebody else has it.
/// A feed that is paused is shown and not taken.
///
/// `alone`: no other process can work on this store, so a lease of another holder is that of a
/// process that died.
///
/// # Errors
/// Those of the database.
pub fn lease(
    connection: &mut AnyConnection,
    registry: &str,
    holder: &str,
    lease_ms: i64,
    alone: bool,
) -> Result<Option<FeedRow>, StoreError> {
    let now = dialect::now_ms(connection)?;
    create(connection, registry, now)?;
    let paused = find(connection, registry)?.filter(|row| row.paused_by.is_some());
    if paused.is_some() {
        return Ok(paused);
    }
    let free = feeds::held_by.is_null().or(feeds::held_until_ms.lt(now));
    let free = free.or(feeds::held_by.eq(holder));
    let mine = feeds::table.find(registry);
    let set = (feeds::held_by.eq(holder), feeds::held_until_ms.eq(now.saturating_add(lease_ms)));
    let taken = match alone {
        true => diesel::update(mine).set(set).execute(connection)?,
        false => diesel::update(mine.filter(free)).set(set).execute(connection)?,
    };
    if taken == 0 { Ok(None) } else { find(connection, registry) }
}

const CREATE: RowsStatement = RowsStatement {
    head: "INSERT INTO feeds (registry, url, epoch, row_at_ms, caught_up_at_ms, held_until_ms) \
           VALUES ",
    columns: 6,
    tail: " ON CONFLICT DO NOTHING",
};

/// A row for a feed of which nothing is known yet.
fn create(connection: &mut AnyConnection, registry: &str, now: i64) -> Result<(), StoreError> {
    let zero = Value::BigInt(0);
    let (name, now) = (Value::Text(registry), Value::BigInt(now));
    CREATE.execute(connection, &[name, Value::Text(""), zero, now, now, zero])?;
    Ok(())
}

/// Has a feed left alone (a write): whoever follows it writes nothing from here on.
///
/// # Errors
/// Those of the database.
pub fn pause(connection: &mut AnyConnection, registry: &str, who: &str) -> Result<(), StoreError> {
    let now = dialect::now_ms(connection)?;
    create(connection, registry, now)?;
    diesel::update(feeds::table.find(registry))
        .set((feeds::paused_by.eq(Some(who)), feeds::paused_at_ms.eq(Some(now))))
        .execute(connection)?;
    Ok(())
}

/// Has a feed followed again from where it was left (a write).
///
/// # Errors
/// Those of the database.
pub fn resume(connection: &mut AnyConnection, registry: &str) -> Result<(), StoreError> {
    diesel::update(feeds::table.find(registry))
        .set((feeds::paused_by.eq(None::<String>), feeds::paused_at_ms.eq(None::<i64>)))
        .execute(connection)?;
    Ok(())
}

/// Has a feed read from another number on (a write); `false` while it has no place at all.
/// Whoever follows it reads its place again, because it is not where it was.
///
/// # Errors
/// Those of the database.
pub fn move_to(
    connection: &mut AnyConnection,
    registry: &str,
    seq: i64,
) -> Result<bool, StoreError> {
    let row = feeds::table.find(registry).filter(feeds::seq.is_not_null());
    Ok(diesel::update(row).set(feeds::seq.eq(seq)).execute(connection)? > 0)
}

/// The places in all feeds by name of the registry.
///
/// # Errors
/// Those of the database.
pub fn list(connection: &mut AnyConnection) -> Result<Vec<FeedRow>, StoreError> {
    let rows = feeds::table.order(feeds::registry).select(FeedRow::as_select());
    Ok(rows.load(connection)?)
}

/// Gives a lease back (a write).
///
/// # Errors
/// Those of the database.
pub fn release(
    connection: &mut AnyConnection,
    registry: &str,
    holder: &str,
) -> Result<(), StoreError> {
    diesel::update(feeds::table.find(registry).filter(feeds::held_by.eq(holder)))
        .set(feeds::held_by.eq(None::<String>))
        .execute(connection)?;
    Ok(())
}

/// The place in the feed of a registry.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut AnyConnection, registry: &str) -> Result<Option<FeedRow>, StoreError> {
    let row = feeds::table.find(registry).select(FeedRow::as_select());
    Ok(row.first(connection).optional()?)
}

/// Starts a numbering (a write); `false` when the mover lost its place.
///
/// # Errors
/// Those of the database.
pub fn start_epoch(
    connection: &mut AnyConnection,
    mover: &Mover,
    new: &NewEpoch,
) -> Result<bool, StoreError> {
    let now = dialect::now_ms(connection)?;
    if !hold(connection, mover, now)? {
        return Ok(false);
    }
    let row = feeds::table.find(&mover.registry);
    diesel::update(row)
        .set((
            feeds::url.eq(&new.url),
            feeds::epoch.eq(mover.epoch.saturating_add(1)),
            feeds::seq.eq(new.seq),
            feeds::head.eq(new.head),
            feeds::row_at_ms.eq(now),
            feeds::caught_up_at_ms.eq(now),
            feeds::alarm.eq(None::<String>),
        ))
        .execute(connection)?;
    if new.recheck {
        let again = feeds::recheck_after.eq(Some(String::new()));
        diesel::update(row).set(again).execute(connection)?;
    }
    if let Some(alarm) = &new.alarm {
        alarms::insert(connection, &[(mover.registry.as_str(), alarm.as_str())], now)?;
    }
    Ok(true)
}

/// Writes down what a look showed that brought no rows (a write); `false` when the mover lost its
/// place. A new alarm is also kept among the alarms.
///
/// # Errors
/// Those of the database.
pub fn note(
    connection: &mut AnyConnection,
    mover: &Mover,
    seen: &Seen,
) -> Result<bool, StoreError> {
    let now = dialect::now_ms(connection)?;
    if !hold(connection, mover, now)? {
        return Ok(false);
    }
    save_seen(connection, mover, seen, now)?;
    Ok(true)
}

/// Prolongs the lease if holder, epoch and number are still those of the mover and nobody paused. From here on the
/// row is locked until the transaction ends.
fn hold(connection: &mut AnyConnection, mover: &Mover, now: i64) -> Result<bool, StoreError> {
    let place = feeds::table
        .find(&mover.registry)
        .filter(feeds::held_by.eq(&mover.holder))
        .filter(feeds::paused_by.is_null())
        .filter(feeds::epoch.eq(mover.epoch));
    let until = feeds::held_until_ms.eq(now.saturating_add(mover.lease_ms));
    let held = match mover.seq {
        Some(seq) => {
            diesel::update(place.filter(feeds::seq.eq(seq))).set(until).execute(connection)
        }
        None => diesel::update(place.filter(feeds::seq.is_null())).set(until).execute(connection),
    };
    Ok(held? == 1)
}

fn save_seen(
    connection: &mut AnyConnection,
    mover: &Mover,
    seen: &Seen,
    now: i64,
) -> Result<(), StoreError> {
    let row = feeds::table.find(&mover.registry);
    let before: Option<String> = row.select(feeds::alarm).first(connection)?;
    if let Some(alarm) = seen.alarm.as_deref().filter(|_| before != seen.alarm) {
        alarms::insert(connection, &[(mover.registry.as_str(), alarm)], now)?;
    }
    diesel::update(row).set(feeds::alarm.eq(&seen.alarm)).execute(connection)?;
    if let Some(head) = seen.head {
        diesel::update(row).set(feeds::head.eq(head)).execute(connection)?;
    }
    if seen.caught_up {
        diesel::update(row).set(feeds::caught_up_at_ms.eq(now)).execute(connection)?;
    }
    Ok(())
}
