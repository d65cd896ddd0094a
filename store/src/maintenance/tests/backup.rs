use tempfile::TempDir;

use super::*;
use crate::StoreError;
use crate::testing::on_each_database;

/// Runs a test on the database that a backup can hold.
fn on_files(test: impl Fn(&TestStore)) {
    on_each_database(|mirror| {
        if data_folder(&mirror.settings).is_some() {
            test(mirror);
        } else {
            let folder = TempDir::new().unwrap();
            let refused = backup_blocking(&mirror.store, &folder.path().join("backup"));
            assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
        }
    });
}

#[test]
fn a_backup_taken_at_work_is_the_store_of_that_moment() {
    on_files(|mirror| {
        let tarballs = [bytes(1, 900), bytes(2, 2 << 20), bytes(3, 40_000)];
        let lamp = hold(mirror, "lamp", &tarballs);
        seal(mirror);
        let open = hold(mirror, "open", &[bytes(4, 700)]);
        let folder = TempDir::new().unwrap();
        let backup = folder.path().join("backup");
        let report = backup_blocking(&mirror.store, &backup).unwrap();
        assert_eq!((report.segments, report.large), (2, 1));

        // The store goes on: more in the open segment, and everything old goes.
        let later = hold(mirror, "later", &[bytes(5, 700)]);
        for version in ["1.0.0", "1.0.1", "1.0.2"] {
            drop_version(mirror, "lamp", version);
        }
        gc_blocking(&mirror.store, &mut mirror.writer(), &everything()).unwrap();
        assert_eq!(place(&mirror.store, &lamp[1]), None);

        let settings = moved_to(&mirror.settings, &folder.path().join("new"));
        assert_eq!(restore_blocking(&backup, &settings).unwrap(), report);
        let restored = Store::open_blocking(&settings).unwrap();
        for (digest, tarball) in lamp.iter().zip(&tarballs) {
            assert_eq!(read(&restored, digest), *tarball);
        }
        assert_eq!(read(&restored, &open[0]), bytes(4, 700));
        assert_eq!(place(&restored, &later[0]), None);
        let report = verified(&restored);
        assert_eq!((report.checked, report.damaged.len()), (4, 0));
        let more = hold_in(&restored, "more", &[bytes(6, 700)]);
        drop(restored);
        let restored = Store::open_blocking(&settings).unwrap();
        assert_eq!(read(&restored, &more[0]), bytes(6, 700));
        assert!(
            restore_blocking(&backup, &moved_to(&settings, &folder.path().join("again"))).is_ok()
        );
    });
}

#[test]
fn a_backup_cut_or_changed_anywhere_is_refused_and_nothing_is_put_in_place() {
    on_files(|mirror| {
        hold(mirror, "lamp", &[bytes(1, 900), bytes(2, 2 << 20)]);
        seal(mirror);
        hold(mirror, "open", &[bytes(4, 700)]);
        let folder = TempDir::new().unwrap();
        let backup = folder.path().join("backup");
        backup_blocking(&mirror.store, &backup).unwrap();
        let files = files_under(&backup);
        assert_eq!(files.len(), 5, "{files:?}");
        for (index, file) in files.iter().enumerate() {
            let whole = fs::read(file).unwrap();
            let middle = whole.len() * (index + 1) / 7;
            let mut flipped = whole.clone();
            flipped[middle] ^= 4;
            let longer = [whole.as_slice(), b"x"].concat();
            for bad in [&whole[..0], &whole[..middle], &whole[..whole.len() - 1], &flipped, &longer]
            {
                // A hard link would change the store as well.
                fs::remove_file(file).unwrap();
                fs::write(file, bad).unwrap();
                let new = folder.path().join("new");
                let settings = moved_to(&mirror.settings, &new);
                let refused = restore_blocking(&backup, &settings);
                assert!(refused.is_err(), "{} of {} bytes", file.display(), bad.len());
                assert!(files_under(&new).is_empty());
            }
            fs::remove_file(file).unwrap();
            let refused = restore_blocking(&backup, &moved_to(&mirror.settings, folder.path()));
            assert!(refused.is_err(), "{} is missing", file.display());
            fs::write(file, whole).unwrap();
        }
        let settings = moved_to(&mirror.settings, &folder.path().join("new"));
        restore_blocking(&backup, &settings).unwrap();
        assert_eq!(verified(&Store::open_blocking(&settings).unwrap()).damaged, []);
    });
}

#[test]
fn neither_a_backup_nor_a_restore_goes_where_something_is() {
    on_files(|mirror| {
        hold(mirror, "lamp", &[bytes(1, 900)]);
        let folder = TempDir::new().unwrap();
        let backup = folder.path().join("backup");
        backup_blocking(&mirror.store, &backup).unwrap();
        let again = backup_blocking(&mirror.store, &backup);
        assert!(matches!(again, Err(StoreError::Invalid(_))), "{again:?}");
        let over = restore_blocking(&backup, &mirror.settings);
        assert!(matches!(over, Err(StoreError::Invalid(_))), "{over:?}");
        let blobs_only = moved_to(&mirror.settings, &folder.path().join("new"));
        fs::create_dir_all(blobs_folder(&blobs_only).join("segments")).unwrap();
        let over = restore_blocking(&backup, &blobs_only);
        assert!(matches!(over, Err(StoreError::Invalid(_))), "{over:?}");
    });
}

#[test]
fn a_store_with_a_segment_that_lost_bytes_is_not_backed_up_in_silence() {
    on_files(|mirror| {
        hold(mirror, "lamp", &[bytes(1, 900)]);
        seal(mirror);
        hold(mirror, "open", &[bytes(4, 700)]);
        let path = segment_file(&mirror.settings, 2);
        fs::File::options().write(true).open(path).unwrap().set_len(300).unwrap();
        let folder = TempDir::new().unwrap();
        let refused = backup_blocking(&mirror.store, &folder.path().join("backup"));
        assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
    });
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
