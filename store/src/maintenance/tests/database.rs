use super::*;
use crate::testing::on_each_database;

#[test]
fn a_database_in_order_passes() {
    on_each_database(|mirror| {
        hold(mirror, "lamp", &[bytes(1, 900)]);
        check_database_blocking(&mirror.store).unwrap();
    });
}

#[test]
fn a_damaged_page_is_found() {
    on_each_database(|mirror| {
        let DatabaseSettings::Sqlite { .. } = &mirror.settings.database else { return };
        for package in 0..200 {
            hold(mirror, &format!("lamp-{package}"), &[bytes(1, 900)]);
        }
        let folder = tempfile::TempDir::new().unwrap();
        let backup = folder.path().join("backup");
        backup_blocking(&mirror.store, &backup).unwrap();
        let settings = moved_to(&mirror.settings, &folder.path().join("new"));
        restore_blocking(&backup, &settings).unwrap();
        let DatabaseSettings::Sqlite { path } = &settings.database else { unreachable!() };
        let mut file = fs::read(path).unwrap();
        let last = file.len() - 8192;
        file[last..].fill(0xA5);
        fs::write(path, file).unwrap();
        let checked =
            Store::open_blocking(&settings).and_then(|store| check_database_blocking(&store));
        assert!(matches!(checked, Err(StoreError::Damaged { .. })), "{checked:?}");
    });
}
