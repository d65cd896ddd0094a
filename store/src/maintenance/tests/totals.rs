//! The totals are what counting would say, whatever comes, changes and goes.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::*;
use crate::packages::{Totals, totals};
use crate::schema::{blobs, packages, versions};
use crate::testing::on_each_database;
use crate::{AnyConnection, StoreError};

/// The same by counting whole tables.
fn counted(connection: &mut AnyConnection) -> Result<Totals, StoreError> {
    let held = versions::table.filter(versions::state.eq(VersionState::Held.as_str()));
    let bytes = sql::<BigInt>("CAST(COALESCE(SUM(length_bytes), 0) AS BIGINT)");
    Ok(Totals {
        packages: packages::table.count().get_result(connection)?,
        versions: versions::table.count().get_result(connection)?,
        held: held.count().get_result(connection)?,
        bytes: blobs::table.select(bytes).get_result(connection)?,
    })
}

#[track_caller]
fn agree(test: &TestStore, packages: i64, held: i64) {
    let (kept, counted) = (test.read(totals), test.read(counted));
    assert_eq!(kept, counted);
    assert_eq!((kept.packages, kept.held), (packages, held));
}

#[test]
fn totals_are_kept_through_all_that_changes_rows() {
    on_each_database(|test| {
        agree(test, 0, 0);
        let digests = hold(test, "p", &[bytes(1, 100), bytes(2, 200), bytes(3, 300)]);
        agree(test, 1, 3);
        // the same bytes again, and a version that is not here
        let mut second = holding(&test.store, "q", &[bytes(1, 100)]);
        second.versions.push(remote("2.0.0"));
        test.commit(second).unwrap();
        agree(test, 2, 4);
        // a held version that upstream is read again with stays held; a remote one arrives
        let mut again = holding(&test.store, "q", &[bytes(1, 100), bytes(4, 50)]);
        again.base_revision = Some(1);
        again.versions[0] = remote("1.0.0");
        test.commit(again).unwrap();
        agree(test, 2, 5);
        let damage = Damage {
            digest: digests[2],
            name: package("p"),
            version: Some("1.0.2".into()),
            file: "p-1.0.2.tgz".into(),
            kind: DamageKind::Missing,
        };
        test.write(|connection| forget_damaged(connection, &[damage]));
        agree(test, 2, 4);
        drop_version(test, "p", "1.0.1");
        agree(test, 2, 3);
        let before = test.read(totals).bytes;
        seal(test);
        let collected = gc_blocking(&test.store, &mut test.writer(), &everything()).unwrap();
        assert_eq!((collected.blobs, collected.bytes), (1, 200));
        agree(test, 2, 3);
        assert_eq!(test.read(totals).bytes, before - 200);
        let gone = package("q");
        test.write(|connection| {
            let row = packages::table.filter(packages::name.eq(gone.as_str()));
            Ok(diesel::delete(row).execute(connection)?)
        });
        agree(test, 1, 3);
    });
}
