//! Which folder of segments belongs to a database that other machines can reach, too.
//!
//! Rows name bytes by segment and place, so a node with an empty folder of its own would find none
//! of them, and its segments would bear numbers of others. A random id stands in the folder and in
//! the database; who has another one does not start. A SQLite file lies beside its segments and
//! needs no such thing.

use std::io::Write;
use std::path::Path;

use uuid::Uuid;

use crate::connection::Opener;
use crate::{StoreError, settings};

/// Key of the row.
const KEY: &str = "blobs.folder";
/// Name of the file in the folder.
const FILE: &str = "folder.id";

/// Ties the folder to the database at the first start, and compares at every other one.
///
/// # Errors
/// [`StoreError::Invalid`] when the bytes of the database are in another folder.
pub(crate) fn bind_blocking(opener: &Opener, folder: &Path) -> Result<(), StoreError> {
    if opener.is_file() {
        return Ok(());
    }
    let mine = read_or_make(folder)?;
    let mut connection = opener.open_writer()?;
    settings::keep_first(&mut connection, KEY, &mine)?;
    match settings::find(&mut connection, KEY)? {
        Some(known) if known != mine => Err(StoreError::Invalid(format!(
            "the tarballs of this database are not in {}, but in the folder that another node \
             made; start it over that folder, or keep the tarballs of several nodes in S3",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

fn read_or_make(folder: &Path) -> Result<String, StoreError> {
    let path = folder.join(FILE);
    let failed = |error: &std::io::Error| {
        StoreError::Other(format!("cannot use {}: {error}", path.display()))
    };
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        // empty: the machine went down between making and filling it, and no row knows it
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&error)),
    }
    let id = Uuid::now_v7().to_string();
    let make = || {
        std::fs::create_dir_all(folder)?;
        let mut file = std::fs::File::create(&path)?;
        writeln!(file, "{id}")?;
        file.sync_all()?;
        std::fs::File::open(folder)?.sync_all()
    };
    make().map_err(|error| failed(&error))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use crate::testing::{each_database, on_each_database};
    use crate::{BlobSettings, DatabaseSettings, Store, StoreError};

    #[test]
    fn a_second_folder_on_one_database_server_is_refused() {
        for (first, settings, _schema) in each_database() {
            let DatabaseSettings::Postgres { .. } = settings.database else { continue };
            drop(Store::open_blocking(&settings).unwrap());
            let other = tempfile::tempdir().unwrap();
            let mut elsewhere = settings.clone();
            elsewhere.blobs =
                BlobSettings::Local { folder: other.path().into(), segment_bytes: 64 << 20 };
            let refused = Store::open_blocking(&elsewhere).err();
            assert!(matches!(refused, Some(StoreError::Invalid(_))), "{refused:?}");
            // the folder may move with its contents
            let moved = tempfile::tempdir().unwrap();
            let id = std::fs::read(first.path().join("blobs").join(super::FILE)).unwrap();
            std::fs::write(moved.path().join(super::FILE), id).unwrap();
            elsewhere.blobs =
                BlobSettings::Local { folder: moved.path().into(), segment_bytes: 64 << 20 };
            Store::open_blocking(&elsewhere).unwrap();
            elsewhere.blobs = BlobSettings::Memory;
            Store::open_blocking(&elsewhere).unwrap();
        }
    }

    #[test]
    fn the_same_folder_opens_again() {
        on_each_database(|test| drop(Store::open_blocking(&test.settings).unwrap()));
    }
}
