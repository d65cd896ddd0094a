//! Opening, migrating, reading, and the small tables, on both databases.

mod accounts;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_migrations::MigrationHarness;

use crate::renderings::{MAX_BASES, Rendering, RenderingKey};
use crate::testing::{
    TestStore, bare_change, block_on, each_database, held, on_each_database, package, remote,
};
use crate::{
    AnyConnection, DatabaseSettings, FolderLock, Store, StoreError, migrations, registries,
    renderings, settings, versions,
};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Table, column, and whether it may be empty, of everything in the database.
fn columns(connection: &mut AnyConnection) -> Vec<String> {
    let text = match connection {
        AnyConnection::Sqlite(_) => {
            "SELECT m.name || '.' || c.name || CASE WHEN c.\"notnull\" = 1 THEN '' ELSE ' null' END \
             || ' ' || CASE c.type WHEN 'INTEGER' THEN CASE WHEN c.name IN ('priority', 'attempts') \
             THEN 'Integer' ELSE 'BigInt' END WHEN 'BIGINT' THEN 'BigInt' WHEN 'TEXT' THEN 'Text' \
             WHEN 'BLOB' THEN 'Binary' WHEN 'BOOLEAN' THEN 'Bool' ELSE c.type END AS line \
             FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c \
             WHERE m.type = 'table' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' \
             AND m.name <> 'sqlite_sequence' ORDER BY 1"
        }
        AnyConnection::Pg(_) => {
            "SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'NO' THEN '' \
             ELSE ' null' END || ' ' || CASE data_type WHEN 'bigint' THEN 'BigInt' \
             WHEN 'integer' THEN 'Integer' WHEN 'text' THEN 'Text' WHEN 'bytea' THEN 'Binary' \
             WHEN 'boolean' THEN 'Bool' ELSE data_type::text END COLLATE \"C\" AS line \
             FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_\\_%' ORDER BY 1"
        }
    };
    let mut lines: Vec<String> = diesel::sql_query(text)
        .load::<Line>(connection)
        .unwrap()
        .into_iter()
        .map(|line| line.line)
        .collect();
    lines.sort();
    lines
}

/// The same, as `schema.rs` says it.
fn declared_columns() -> Vec<String> {
    let mut lines = Vec::new();
    let mut table = "";
    for line in include_str!("schema.rs").lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{')) {
            table = name;
        } else if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            let inner = kind.strip_prefix("Nullable<").and_then(|kind| kind.strip_suffix('>'));
            lines.push(match inner {
                Some(kind) => format!("{table}.{column} null {kind}"),
                None => format!("{table}.{column} {kind}"),
            });
        }
    }
    lines.sort();
    lines
}

#[test]
fn migrations_go_up_down_and_up_again_and_agree_with_the_schema() {
    on_each_database(|test| {
        let mut writer = test.writer();
        let expected = declared_columns();
        assert!(expected.len() > 80, "{expected:?}");
        assert_eq!(test.read(|c| Ok(columns(c))), expected);
        let reverted = |connection: &mut AnyConnection| match connection {
            AnyConnection::Pg(c) => c.revert_all_migrations(migrations::POSTGRES).map(drop),
            AnyConnection::Sqlite(c) => c.revert_all_migrations(migrations::SQLITE).map(drop),
        };
        let applied = |connection: &mut AnyConnection| match connection {
            AnyConnection::Pg(c) => c.run_pending_migrations(migrations::POSTGRES).map(drop),
            AnyConnection::Sqlite(c) => c.run_pending_migrations(migrations::SQLITE).map(drop),
        };
        let connection = writer.connection();
        reverted(connection).unwrap();
        assert_eq!(columns(connection), Vec::<String>::new());
        applied(connection).unwrap();
        assert_eq!(columns(connection), expected);
    });
}

/// The folders of a database's migrations, oldest first.
fn migration_folders(database: &str) -> Vec<String> {
    let folder = format!("{}/../migrations/{database}", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn newest_migration() -> String {
    let newest = migration_folders("sqlite").pop().unwrap();
    newest.split('_').next().unwrap().replace('-', "")
}

#[test]
fn both_databases_have_the_same_migrations() {
    assert_eq!(migration_folders("sqlite"), migration_folders("postgres"));
}

#[test]
fn a_database_of_a_newer_release_is_refused() {
    on_each_database(|test| {
        test.writer()
            .connection()
            .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101')")
            .unwrap();
        let refused = Store::open_blocking(&test.settings).err().unwrap();
        let text = refused.to_string();
        assert!(matches!(refused, StoreError::NewerSchema { .. }), "{text}");
        assert!(text.contains("99990101") && text.contains(&newest_migration()), "{text}");
    });
}

#[test]
fn an_unfinished_new_database_is_made_again() {
    let (folder, settings, _) = each_database().remove(0);
    std::fs::write(folder.path().join("espejo.db-new"), b"half of something").unwrap();
    std::fs::write(folder.path().join("espejo.db"), b"").unwrap();
    std::fs::write(folder.path().join("espejo.db-wal"), b"log of a deleted file").unwrap();
    let store = Store::open_blocking(&settings).unwrap();
    assert_eq!(store.read_blocking(crate::packages::count).unwrap(), 0);
    assert!(!folder.path().join("espejo.db-new").exists());
}

#[test]
fn a_server_that_is_not_there_is_worth_a_retry() {
    let (_folder, mut settings, _) = each_database().remove(0);
    settings.database = DatabaseSettings::Postgres {
        url: "postgres://nobody@127.0.0.1:1/none?connect_timeout=1".into(),
        schema: None,
    };
    let error = Store::open_blocking(&settings).err().unwrap();
    assert!(error.is_retryable(), "{error}");
    settings.database =
        DatabaseSettings::Postgres { url: String::new(), schema: Some("a\"; DROP".into()) };
    assert!(matches!(Store::open_blocking(&settings).err(), Some(StoreError::Invalid(_))));
}

#[test]
fn a_lost_connection_of_the_writer_is_replaced() {
    on_each_database(|test| {
        let AnyConnection::Pg(_) = *test.writer().connection() else { return };
        let mut writer = test.writer();
        let pid: i32 =
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("pg_backend_pid()"))
                .get_result(writer.connection())
                .unwrap();
        test.writer()
            .connection()
            .batch_execute(&format!("SELECT pg_terminate_backend({pid}, 5000)"))
            .unwrap();
        let lost = writer.write_blocking(|c| settings::set(c, "key", "1")).unwrap_err();
        assert!(lost.is_retryable(), "{lost}");
        writer.write_blocking(|c| settings::set(c, "key", "2")).unwrap();
    });
}

#[test]
fn readers_cannot_write() {
    on_each_database(|test| {
        let refused = test.store.read_blocking(|c| settings::set(c, "key", "value"));
        assert!(refused.is_err());
        assert_eq!(test.read(|c| settings::find(c, "key")), None);
    });
}

#[test]
fn cancelled_readers_leave_no_connection_behind() {
    on_each_database(|test| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let (release, wait) = std::sync::mpsc::channel::<()>();
            let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
            for round in 0..3 {
                let mut readers = Vec::new();
                for _ in 0..40 {
                    let (store, wait) = (test.store.clone(), wait.clone());
                    readers.push(tokio::spawn(async move {
                        store
                            .read(move |connection| {
                                wait.lock().unwrap().recv().ok();
                                settings::find(connection, "key")
                            })
                            .await
                    }));
                }
                tokio::task::yield_now().await;
                for reader in &readers {
                    reader.abort();
                }
                for reader in readers {
                    let _ = reader.await;
                }
                for _ in 0..40 {
                    release.send(()).unwrap();
                }
                let answer = test.store.read(|c| settings::find(c, "key")).await;
                assert_eq!(answer.unwrap(), None, "round {round}");
            }
        });
        drop(runtime);
        assert_eq!(test.store.free_reading_permits(), test.store.reading_permits());
    });
}

#[test]
fn a_panicking_query_fails_alone() {
    on_each_database(|test| {
        for _ in 0..20 {
            let failed = block_on(test.store.read(|_| -> Result<(), _> { panic!("on purpose") }));
            assert!(matches!(failed, Err(StoreError::Other(_))));
        }
        assert_eq!(block_on(test.store.read(|c| settings::find(c, "key"))).unwrap(), None);
    });
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    on_each_database(|test| {
        let tarball = test.put("tarball");
        let mut change = test.change("p", None, "document");
        change.blobs.push(tarball);
        change.versions = vec![held("1.0.0", tarball.0)];
        test.commit(change).unwrap();
        let store = Store::open_blocking(&test.settings).unwrap();
        let found = store.read_blocking(|c| versions::find(c, &package("p"), "1.0.0")).unwrap();
        let found = found.unwrap();
        let bytes = block_on(async {
            let reader = store.blobs().reader(&tarball.0, found.location.unwrap()).await.unwrap();
            reader.read_all().await.unwrap()
        });
        assert_eq!(bytes.as_ref(), b"tarball");
    });
}

#[test]
fn idle_time_moves_the_log_into_the_file() {
    let (folder, settings, _) = each_database().remove(0);
    let store = Store::open_blocking(&settings).unwrap();
    let mut writer = store.writer_blocking().unwrap();
    let big = "x".repeat(1 << 20);
    writer.write_blocking(|c| settings::set(c, "big", &big)).unwrap();
    let file = folder.path().join("espejo.db");
    let before = std::fs::metadata(&file).unwrap().len();
    writer.idle_blocking().unwrap();
    assert!(std::fs::metadata(&file).unwrap().len() >= before + (1 << 20));
}

#[test]
fn a_tarball_is_found_by_upstreams_name_and_then_by_the_canonical_one() {
    on_each_database(|test| {
        let mut change = bare_change("p", None);
        let mut odd = remote("2.0.0");
        odd.tarball_file = "odd-name.tgz".into();
        let mut taken = remote("3.0.0");
        taken.tarball_file = "p-4.0.0.tgz".into();
        change.versions = vec![remote("1.0.0"), odd, taken];
        change.versions.push(crate::VersionChange {
            tarball_file: "p-really-4.tgz".into(),
            ..remote("4.0.0")
        });
        test.commit(change).unwrap();
        let version = |file: &str| {
            let found = test.read(|c| versions::find_by_file(c, &package("p"), file));
            found.map(|found| found.row.version)
        };
        assert_eq!(version("p-1.0.0.tgz").as_deref(), Some("1.0.0"));
        assert_eq!(version("odd-name.tgz").as_deref(), Some("2.0.0"));
        assert_eq!(version("p-2.0.0.tgz").as_deref(), Some("2.0.0"));
        assert_eq!(version("p-4.0.0.tgz").as_deref(), Some("3.0.0"), "upstream's name first");
        assert_eq!(version("p-9.0.0.tgz"), None);
        assert_eq!(version("../../etc/passwd"), None);
    });
}

fn rendered(test: &TestStore, base: &str, revision: i64, epoch: i64) -> bool {
    let (digest, location) = test.put(&format!("{base} {revision} {epoch}"));
    let rendering = Rendering { digest, location, etag: "\"e\"".into(), bytes: 4 };
    test.write(|c| renderings::insert(c, &key(base, revision, epoch), &rendering))
}

fn key(base: &str, revision: i64, policy_epoch: i64) -> RenderingKey {
    let base = base.to_owned();
    RenderingKey { package_id: 1, revision, form: "full", encoding: "gzip", base, policy_epoch }
}

#[test]
fn a_rendering_is_replaced_by_newer_ones_only() {
    on_each_database(|test| {
        let found =
            |revision, epoch| test.read(|c| renderings::find(c, &key("http://a", revision, epoch)));
        assert!(rendered(test, "http://a", 1, 1));
        assert_eq!(found(1, 1).unwrap().bytes, 4);
        assert!(found(1, 2).is_none() && found(2, 1).is_none());
        assert!(rendered(test, "http://a", 2, 1));
        assert!(found(1, 1).is_none() && found(2, 1).is_some());
        assert!(!rendered(test, "http://a", 1, 5), "a slow renderer does not win");
        assert!(found(2, 1).is_some());
        assert!(rendered(test, "http://a", 2, 2));
        assert!(found(2, 1).is_none() && found(2, 2).is_some());
    });
}

#[test]
fn only_so_many_base_addresses_are_kept() {
    on_each_database(|test| {
        for number in 0..MAX_BASES {
            assert!(rendered(test, &format!("http://{number}"), 1, 1));
        }
        assert!(!rendered(test, "http://evil", 1, 1));
        assert!(rendered(test, "http://3", 1, 2), "a known one is still replaced");
        assert!(rendered(test, "http://new", 2, 1), "a new revision starts over");
        assert!(test.read(|c| renderings::find(c, &key("http://0", 1, 1))).is_none());
    });
}

#[test]
fn small_tables_give_back_what_they_got() {
    on_each_database(|test| {
        test.write(|c| settings::set(c, "instance", "one"));
        test.write(|c| settings::set(c, "instance", "two"));
        assert_eq!(test.read(|c| settings::find(c, "instance")).as_deref(), Some("two"));
        test.write(|c| settings::delete(c, "instance"));
        assert_eq!(test.read(|c| settings::find(c, "instance")), None);
        let nul = test.writer().write_blocking(|c| settings::set(c, "a\0", "b"));
        assert!(matches!(nul, Err(StoreError::Invalid(_))));

        let mut registry =
            registries::RegistryRow::new(registries::DEFAULT, "http://upstream.test", "a flag", 5);
        test.write(|c| registries::upsert(c, &registry));
        registry.host = "http://other.test".into();
        test.write(|c| registries::upsert(c, &registry));
        assert_eq!(test.read(|c| registries::find(c, "default")), Some(registry.clone()));
        assert_eq!(test.read(registries::list), [registry]);
    });
}

#[test]
fn a_folder_is_locked_for_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let lock = FolderLock::acquire(folder.path()).unwrap();
    let refused = FolderLock::acquire(folder.path()).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { pid } if pid == std::process::id()));
    drop(lock);
    FolderLock::acquire(folder.path()).unwrap();
}

const LOCK_FOLDER: &str = "ESPEJO_TEST_LOCK_FOLDER";

/// The other process of the next test; does nothing on its own.
#[test]
fn other_process_that_holds_a_lock() {
    let Ok(folder) = std::env::var(LOCK_FOLDER) else { return };
    let _lock = FolderLock::acquire(folder.as_ref()).unwrap();
    println!("locked");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_killed_process_leaves_no_lock() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::other_process_that_holds_a_lock", "--nocapture"])
        .env(LOCK_FOLDER, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap().contains("locked")));
    let refused = FolderLock::acquire(folder.path()).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { pid } if pid == child.id()), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    FolderLock::acquire(folder.path()).unwrap();
}
