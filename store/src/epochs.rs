//! How nodes of a cluster learn that an operator changed something: a number per kind of change in
//! the `settings` table, raised in the transaction of the change, told of ([`crate::notices`]) and
//! looked at every few seconds.

use diesel::prelude::*;

use crate::dialect::{RowsStatement, Value};
use crate::schema::settings;
use crate::{AnyConnection, StoreError};

/// A kind of change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Registries, scopes, paused feeds.
    Registries,
    /// What readers must not get.
    Blocks,
    /// What hooks are about.
    Hooks,
    /// Who may read what.
    Access,
}

impl Kind {
    fn key(self) -> &'static str {
        match self {
            Self::Registries => "epoch.registries",
            Self::Blocks => "epoch.blocks",
            Self::Hooks => "epoch.hooks",
            Self::Access => "epoch.access",
        }
    }
}

/// The numbers of one moment; only whether they are other ones means something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Epochs {
    /// Of [`Kind::Registries`].
    pub registries: i64,
    /// Of [`Kind::Blocks`].
    pub blocks: i64,
    /// Of [`Kind::Hooks`].
    pub hooks: i64,
    /// Of [`Kind::Access`].
    pub access: i64,
}

const RAISE: RowsStatement = RowsStatement {
    head: "INSERT INTO settings (key, value) VALUES ",
    columns: 2,
    tail: " ON CONFLICT (key) DO UPDATE \
           SET value = CAST(CAST(settings.value AS BIGINT) + 1 AS TEXT)",
};

/// Tells all nodes of a change, in its transaction (a write).
///
/// # Errors
/// Those of the database.
pub fn raise(connection: &mut AnyConnection, kind: Kind) -> Result<(), StoreError> {
    RAISE.execute(connection, &[Value::Text(kind.key()), Value::Text("1")])?;
    Ok(())
}

/// The numbers of now.
///
/// # Errors
/// Those of the database.
pub fn read(connection: &mut AnyConnection) -> Result<Epochs, StoreError> {
    let keys = [Kind::Registries, Kind::Blocks, Kind::Hooks, Kind::Access].map(Kind::key);
    let rows: Vec<(String, String)> =
        settings::table.filter(settings::key.eq_any(keys)).load(connection)?;
    let of = |kind: Kind| {
        let row = rows.iter().find(|(key, _)| key == kind.key());
        row.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
    };
    Ok(Epochs {
        registries: of(Kind::Registries),
        blocks: of(Kind::Blocks),
        hooks: of(Kind::Hooks),
        access: of(Kind::Access),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    #[test]
    fn a_change_raises_the_number_of_its_kind() {
        on_each_database(|test| {
            assert_eq!(test.read(read), Epochs::default());
            test.write(|c| raise(c, Kind::Blocks));
            test.write(|c| raise(c, Kind::Blocks));
            test.write(|c| raise(c, Kind::Registries));
            test.write(|c| raise(c, Kind::Hooks));
            test.write(|c| raise(c, Kind::Access));
            assert_eq!(test.read(read), Epochs { registries: 1, blocks: 2, hooks: 1, access: 1 });
        });
    }
}
