//! What other nodes of a cluster wrote, heard of when they commit.
//!
//! Triggers in PostgreSQL `NOTIFY` one channel in the transaction of the write, so nothing is told
//! that was not committed and no writer can forget to tell. A node hears only what is told while it
//! listens: whoever begins to listen reads what it may have missed. Where a pooler between node and
//! server shares connections between transactions, nothing is heard.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::connection::Opener;
use crate::{AnyConnection, StoreError};

/// What was written, by this node or by another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Notice {
    /// Something was taken from tokens or users, or they got other rights.
    Accounts,
    /// The change log, or a number of [`epochs`](crate::epochs).
    Changes,
}

/// A connection that listens.
pub struct Notices {
    connection: PgConnection,
    /// Whose notices these are; the channel is the database's.
    schema: String,
}

impl Notices {
    /// Begins to listen; `None` on a database of one process.
    pub(crate) fn open_blocking(opener: &Opener) -> Result<Option<Self>, StoreError> {
        let AnyConnection::Pg(mut connection) = opener.establish()? else { return Ok(None) };
        let schema = diesel::select(diesel::dsl::sql::<Text>("CAST(current_schema() AS TEXT)"));
        let schema = schema.get_result(&mut connection)?;
        connection.batch_execute("LISTEN espejo")?;
        Ok(Some(Self { connection, schema }))
    }

    /// The same connection, when its other end answers.
    ///
    /// # Errors
    /// [`StoreError::Retry`] when it is gone.
    pub fn tried_blocking(mut self) -> Result<Self, StoreError> {
        let tried = self.connection.batch_execute("SELECT 1");
        tried.map_err(|error| StoreError::Retry(error.to_string()))?;
        Ok(self)
    }

    /// What was told since the last call, without waiting: one system call.
    ///
    /// # Errors
    /// [`StoreError::Retry`] when the connection is gone; what is told from then on is not heard.
    pub fn take(&mut self) -> Result<BTreeSet<Notice>, StoreError> {
        let mut told = BTreeSet::new();
        for notice in self.connection.notifications_iter() {
            let notice = notice.map_err(|error| StoreError::Retry(error.to_string()))?;
            let of = notice.payload.split_once(' ').filter(|(schema, _)| *schema == self.schema);
            match of.map(|(_, what)| what) {
                Some("accounts") => told.insert(Notice::Accounts),
                Some("changes") => told.insert(Notice::Changes),
                // another mirror's, or a newer node's
                _ => false,
            };
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::Integer;
    use npm::Sha512Digest;

    use super::*;
    use crate::testing::on_each_database;
    use crate::tokens::{self, NewToken, TokenLimits};
    use crate::users::{self, UserChange};
    use crate::{epochs, settings};

    /// After a round trip on the same connection what was committed before it has arrived.
    fn told(notices: Notices) -> (Notices, Vec<Notice>) {
        let mut notices = notices.tried_blocking().unwrap();
        let told = notices.take().unwrap().into_iter().collect();
        (notices, told)
    }

    #[test]
    fn what_others_keep_in_memory_is_told_when_it_is_committed_and_nothing_else() {
        on_each_database(|test| {
            test.write(|rows| users::ensure(rows, "ada", false));
            let Some(notices) = test.store.notices_blocking().unwrap() else { return };
            let key = Sha512Digest::of(b"token");
            test.write(move |rows| {
                let (user, mark) = ("ada".to_owned(), "npm_ab...cd".to_owned());
                tokens::create(rows, &NewToken { key, user, mark, limits: TokenLimits::default() })
            });
            test.write(move |rows| tokens::touch(rows, &[(key, i64::MAX)]));
            test.write(|rows| settings::set(rows, "other", "value"));
            let (notices, heard) = told(notices);
            assert_eq!(heard, [], "nobody keeps these");
            test.write(move |rows| tokens::delete(rows, &key));
            let (notices, heard) = told(notices);
            assert_eq!(heard, [Notice::Accounts]);
            test.write(|rows| {
                let locked = UserChange { disabled: Some(true), ..UserChange::default() };
                users::change(rows, "ada", &locked)
            });
            let (notices, heard) = told(notices);
            assert_eq!(heard, [Notice::Accounts]);
            test.write(|rows| epochs::raise(rows, epochs::Kind::Access));
            let (notices, heard) = told(notices);
            assert_eq!(heard, [Notice::Changes]);
            test.commit(test.change("lamp", None, "a lamp")).unwrap();
            let (_, heard) = told(notices);
            assert_eq!(heard, [Notice::Changes]);
        });
    }

    #[test]
    fn a_connection_that_was_ended_says_so() {
        on_each_database(|test| {
            let end = |notices: &mut Notices| {
                let id = diesel::select(diesel::dsl::sql::<Integer>("pg_backend_pid()"));
                let id = id.get_result::<i32>(&mut notices.connection).unwrap();
                test.write(|rows| {
                    Ok(rows.batch_execute(&format!("SELECT pg_terminate_backend({id})"))?)
                });
            };
            let Some(mut notices) = test.store.notices_blocking().unwrap() else { return };
            end(&mut notices);
            assert!(matches!(notices.tried_blocking(), Err(StoreError::Retry(_))));
            let mut notices = test.store.notices_blocking().unwrap().unwrap();
            end(&mut notices);
            let lost = std::iter::repeat_with(|| {
                test.read(epochs::read); // gives the server a moment
                notices.take().err()
            });
            let lost = lost.take(10_000).find_map(|error| error);
            assert!(matches!(lost, Some(StoreError::Retry(_))), "{lost:?}");
        });
    }
}
