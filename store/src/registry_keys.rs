//! The `registry_keys` table: every signing key a registry ever listed.
//!
//! A list that flaps between two back ends, as npm's did during a roll-over, takes no key away,
//! and a key id stands for one key for ever.

use diesel::prelude::*;
use npm::SigningKey;

use crate::dialect::{RowsStatement, Value};
use crate::schema::registry_keys;
use crate::{AnyConnection, StoreError};

/// The key itself is written once. An end of use, once known, is only replaced by another.
const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO registry_keys (registry, keyid, keytype, scheme, key, expires, \
           first_seen_at_ms) VALUES ",
    columns: 7,
    tail: " ON CONFLICT (registry, keyid) DO UPDATE SET \
           expires = COALESCE(excluded.expires, registry_keys.expires) \
           WHERE registry_keys.key = excluded.key",
};

/// The keys of a registry, by id.
///
/// # Errors
/// Those of the database.
pub fn of_registry(
    connection: &mut AnyConnection,
    registry: &str,
) -> Result<Vec<SigningKey>, StoreError> {
    let rows = registry_keys::table
        .filter(registry_keys::registry.eq(registry))
        .order(registry_keys::keyid)
        .select((
            registry_keys::expires,
            registry_keys::keyid,
            registry_keys::keytype,
            registry_keys::scheme,
            registry_keys::key,
        ))
        .load::<(Option<String>, String, String, String, String)>(connection)?;
    let key = |(expires, keyid, keytype, scheme, key)| SigningKey {
        expires,
        keyid,
        keytype,
        scheme,
        key,
    };
    Ok(rows.into_iter().map(key).collect())
}

/// Adds what a registry lists now (a write); answers the ids that it gave another key.
///
/// # Errors
/// Those of the database.
pub fn add(
    connection: &mut AnyConnection,
    registry: &str,
    listed: &[SigningKey],
    now_ms: i64,
) -> Result<Vec<String>, StoreError> {
    let known = of_registry(connection, registry)?;
    let contradicts = |key: &&SigningKey| {
        known.iter().any(|known| known.keyid == key.keyid && known.key != key.key)
    };
    let changed = listed.iter().filter(contradicts).map(|key| key.keyid.clone()).collect();
    for key in listed {
        let values = [
            Value::Text(registry),
            Value::Text(&key.keyid),
            Value::Text(&key.keytype),
            Value::Text(&key.scheme),
            Value::Text(&key.key),
            Value::OptionalText(key.expires.as_deref()),
            Value::BigInt(now_ms),
        ];
        UPSERT.execute(connection, &values)?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    fn key(keyid: &str, key: &str, expires: Option<&str>) -> SigningKey {
        SigningKey {
            expires: expires.map(str::to_owned),
            keyid: keyid.into(),
            keytype: "ecdsa-sha2-nistp256".into(),
            scheme: "ecdsa-sha2-nistp256".into(),
            key: key.into(),
        }
    }

    #[test]
    fn lists_that_flap_take_no_key_and_no_end_away() {
        on_each_database(|test| {
            let lists = [
                vec![key("a", "AAAA", None)],
                vec![key("a", "AAAA", Some("2025-01-29T00:00:00.000Z")), key("b", "BBBB", None)],
                vec![key("a", "AAAA", None)],
                Vec::new(),
            ];
            for list in lists {
                let changed = test.write(move |rows| add(rows, "default", &list, 1));
                assert!(changed.is_empty());
            }
            let ended = key("a", "AAAA", Some("2025-01-29T00:00:00.000Z"));
            let found = test.read(|rows| of_registry(rows, "default"));
            assert_eq!(found, [ended, key("b", "BBBB", None)]);
            assert!(test.read(|rows| of_registry(rows, "other")).is_empty());
        });
    }

    #[test]
    fn an_id_stands_for_one_key() {
        on_each_database(|test| {
            test.write(|rows| add(rows, "default", &[key("a", "AAAA", None)], 1));
            let changed =
                test.write(|rows| add(rows, "default", &[key("a", "EVIL", Some("x"))], 2));
            assert_eq!(changed, ["a"]);
            assert_eq!(test.read(|rows| of_registry(rows, "default")), [key("a", "AAAA", None)]);
        });
    }
}
