//! The `audit_log` table: who changed what, when, from where, and what it was before and after.
//!
//! [`record`] belongs into the transaction of the change it tells of, so that neither is there
//! without the other. Rows are never changed, and deleted only when they are as old as the operator
//! wants ([`delete_old`]). Secrets do not belong in them: what is shown of a token is whether there
//! is one.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::dialect;
use crate::schema::audit_log;
use crate::{AnyConnection, StoreError};

/// Who changes something, and from where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct By {
    /// The login name, or that of the person at the terminal.
    pub who: String,
    /// The address the request came from, or `terminal`.
    pub origin: String,
}

impl By {
    /// Somebody who works on this machine, with the right to the data folder.
    #[must_use]
    pub fn terminal(who: &str) -> Self {
        Self { who: who.to_owned(), origin: String::from("terminal") }
    }
}

/// One change.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditRow {
    /// UUIDv7: rises with time.
    pub id: String,
    /// When, unix milliseconds.
    pub at_ms: i64,
    /// Who and from where.
    pub by: By,
    /// What was done: a noun and a verb, `registry.add`.
    pub action: String,
    /// What it was done to, by name.
    pub subject: String,
    /// What it was; `None` where there was nothing.
    pub before: Option<Json>,
    /// What it became; `None` where nothing is left.
    pub after: Option<Json>,
}

/// Which rows are wanted; what is not set matches every row.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditFilter {
    /// Who did it.
    pub who: Option<String>,
    /// What was done; a noun alone stands for all that is done to such things.
    pub action: Option<String>,
    /// What it was done to.
    pub subject: Option<String>,
    /// Not before this moment.
    pub since_ms: Option<i64>,
    /// Older than this row.
    pub before: Option<String>,
    /// Most rows.
    pub limit: i64,
}

/// The action of a login that was refused.
pub const LOGIN_REFUSED: &str = "login.refuse";

/// Parameters of one statement.
const IDS_AT_ONCE: usize = 500;

type Raw = (String, i64, String, String, String, String, Option<String>, Option<String>);

/// Writes down a change, in the transaction of that change (a write).
///
/// # Errors
/// Those of the database.
pub fn record(
    connection: &mut AnyConnection,
    by: &By,
    action: &str,
    subject: &str,
    before: Option<&Json>,
    after: Option<&Json>,
) -> Result<(), StoreError> {
    let now_ms = dialect::now_ms(connection)?;
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::id.eq(Uuid::now_v7().hyphenated().to_string()),
            audit_log::at_ms.eq(now_ms),
            audit_log::who.eq(&by.who),
            audit_log::origin.eq(&by.origin),
            audit_log::action.eq(action),
            audit_log::subject.eq(subject),
            audit_log::before.eq(before.map(Json::to_string)),
            audit_log::after.eq(after.map(Json::to_string)),
        ))
        .execute(connection)?;
    Ok(())
}

/// The rows that match, newest first.
///
/// # Errors
/// Those of the database, [`StoreError::Invalid`] for a row that is no JSON.
pub fn list(
    connection: &mut AnyConnection,
    filter: &AuditFilter,
) -> Result<Vec<AuditRow>, StoreError> {
    let mut rows = audit_log::table.order(audit_log::id.desc()).limit(filter.limit).into_boxed();
    if let Some(who) = &filter.who {
        rows = rows.filter(audit_log::who.eq(who));
    }
    if let Some(action) = &filter.action {
        // `registry` is everything between `registry.` and `registry/`
        let (first, behind) = (format!("{action}."), format!("{action}/"));
        let below = audit_log::action.ge(first).and(audit_log::action.lt(behind));
        rows = rows.filter(audit_log::action.eq(action).or(below));
    }
    if let Some(subject) = &filter.subject {
        rows = rows.filter(audit_log::subject.eq(subject));
    }
    if let Some(since) = filter.since_ms {
        rows = rows.filter(audit_log::at_ms.ge(since));
    }
    if let Some(before) = &filter.before {
        rows = rows.filter(audit_log::id.lt(before));
    }
    rows.load::<Raw>(connection)?.into_iter().map(row).collect()
}

/// Removes up to `limit` rows that are older than `age_ms`, the oldest first; of one action alone
/// where it is given (a write). Says how many.
///
/// # Errors
/// Those of the database.
pub fn delete_old(
    connection: &mut AnyConnection,
    age_ms: i64,
    action: Option<&str>,
    limit: i64,
) -> Result<usize, StoreError> {
    let bound = first_id_of(dialect::now_ms(connection)?.saturating_sub(age_ms));
    let mut old = audit_log::table
        .filter(audit_log::id.lt(bound))
        .order(audit_log::id)
        .limit(limit)
        .select(audit_log::id)
        .into_boxed();
    if let Some(action) = action {
        old = old.filter(audit_log::action.eq(action));
    }
    let old: Vec<String> = old.load(connection)?;
    for ids in old.chunks(IDS_AT_ONCE) {
        diesel::delete(audit_log::table.filter(audit_log::id.eq_any(ids))).execute(connection)?;
    }
    Ok(old.len())
}

/// What no id of this moment or of a later one stands before: UUIDv7 begins with 48 bits of unix
/// milliseconds (RFC 9562, 5.7).
fn first_id_of(at_ms: i64) -> String {
    let at_ms = u64::try_from(at_ms).unwrap_or(0);
    format!("{:08x}-{:04x}", at_ms >> 16, at_ms & 0xffff)
}

fn row(
    (id, at_ms, who, origin, action, subject, before, after): Raw,
) -> Result<AuditRow, StoreError> {
    let json = |text: Option<String>| {
        let read = text.as_deref().map(serde_json::from_str).transpose();
        read.map_err(|error| StoreError::Invalid(format!("row {id} of the audit log: {error}")))
    };
    let (before, after) = (json(before)?, json(after)?);
    Ok(AuditRow { id, at_ms, by: By { who, origin }, action, subject, before, after })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{TestStore, on_each_database};

    fn write(test: &TestStore, who: &'static str, action: &'static str, subject: &'static str) {
        let after = json!({ "host": "http://127.0.0.1/" });
        let by = By { who: who.to_owned(), origin: "192.0.2.7".to_owned() };
        test.write(move |c| record(c, &by, action, subject, None, Some(&after)));
    }

    fn subjects(test: &TestStore, filter: AuditFilter) -> Vec<String> {
        let filter = AuditFilter { limit: 10, ..filter };
        test.read(|c| list(c, &filter)).into_iter().map(|row| row.subject).collect()
    }

    #[test]
    fn changes_are_listed_newest_first_by_what_is_asked_for() {
        on_each_database(|test| {
            write(test, "ada", "registry.add", "inner");
            write(test, "bob", "registry.change", "inner");
            write(test, "ada", "scope.add", "@garden");
            write(test, "ada", "registryx.add", "other");
            let all = AuditFilter::default();
            assert_eq!(subjects(test, all.clone()), ["other", "@garden", "inner", "inner"]);
            let by = |filter| subjects(test, filter);
            let some = |text: &str| Some(text.to_owned());
            assert_eq!(by(AuditFilter { who: some("bob"), ..all.clone() }), ["inner"]);
            let registry = AuditFilter { action: some("registry"), ..all.clone() };
            assert_eq!(by(registry), ["inner", "inner"]);
            let added = AuditFilter { action: some("registry.add"), ..all.clone() };
            assert_eq!(by(added), ["inner"]);
            assert_eq!(by(AuditFilter { subject: some("@garden"), ..all.clone() }), ["@garden"]);
            let first = test.read(|c| list(c, &AuditFilter { limit: 2, ..all.clone() }));
            assert_eq!(first.len(), 2);
            let rest = AuditFilter { before: Some(first[1].id.clone()), ..all.clone() };
            assert_eq!(by(rest), ["inner", "inner"]);
            let late = AuditFilter { since_ms: Some(first[0].at_ms + 60_000), ..all };
            assert_eq!(by(late), Vec::<String>::new());
            let row = &first[0];
            assert_eq!(row.by, By { who: "ada".to_owned(), origin: "192.0.2.7".to_owned() });
            assert_eq!(row.before, None);
            assert_eq!(row.after, Some(json!({ "host": "http://127.0.0.1/" })));
        });
    }

    #[test]
    fn old_rows_are_deleted_a_few_at_a_time_and_those_of_one_action_alone() {
        let now_ms = 0x0199_0a1b_2c3d;
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            u64::try_from(now_ms / 1000).unwrap(),
            u32::try_from(now_ms % 1000 * 1_000_000).unwrap(),
        ));
        let id = id.hyphenated().to_string();
        assert!(first_id_of(now_ms) <= id && id < first_id_of(now_ms + 1), "{id}");
        on_each_database(|test| {
            for (action, subject) in
                [("login.refuse", "one"), ("user.add", "two"), ("login.refuse", "three")]
            {
                write(test, "ada", action, subject);
            }
            let delete = |age_ms, action: Option<&'static str>, limit| {
                test.write(move |c| delete_old(c, age_ms, action, limit))
            };
            assert_eq!(delete(3_600_000, None, 10), 0);
            // negative: what is yet to come counts as old, too
            assert_eq!(delete(-3_600_000, Some("login.refuse"), 1), 1);
            assert_eq!(subjects(test, AuditFilter::default()), ["three", "two"]);
            assert_eq!(delete(-3_600_000, Some("login.refuse"), 10), 1);
            assert_eq!(subjects(test, AuditFilter::default()), ["two"]);
            assert_eq!(delete(-3_600_000, None, 10), 1);
            assert_eq!(subjects(test, AuditFilter::default()), Vec::<String>::new());
        });
    }

    #[test]
    fn a_change_that_fails_leaves_no_row() {
        on_each_database(|test| {
            let failed = test.writer().write_blocking(|c| {
                record(c, &By::terminal("ada"), "scope.add", "@garden", None, None)?;
                Err::<(), _>(StoreError::Invalid("no".to_owned()))
            });
            assert!(failed.is_err());
            assert_eq!(subjects(test, AuditFilter::default()), Vec::<String>::new());
        });
    }
}
