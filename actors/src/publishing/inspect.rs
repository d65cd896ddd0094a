//! A look into a tarball while it comes: its `package.json`, and how much it unpacks to.
//!
//! It is read on a blocking thread from what passes by, never unpacked, and every bound that it
//! could break ends the look.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// The largest packages of npm have some 65,000 files.
const MOST_ENTRIES: u64 = 200_000;
/// Far above what anybody publishes; a bomb has a thousand times its own size.
const MOST_UNPACKED_BYTES: u64 = 4 << 30;
/// Most bytes of `package.json`.
const MOST_MANIFEST_BYTES: u64 = 4 << 20;
/// Most bytes of the name of one entry, where it has a record of its own.
const MOST_NAME_BYTES: u64 = 64 << 10;
/// Pieces that wait for the thread.
const WAITING: usize = 4;

/// Why a tarball is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OddTarball {
    /// Not a gzip archive, or damaged.
    #[error("tarball cannot be read: {0}")]
    Unreadable(String),
    /// There is none at the place where package managers look.
    #[error("tarball has no package.json in its folder")]
    NoManifest,
    /// Which of them counts depends on who reads.
    #[error("tarball has more than one package.json in its folder")]
    SeveralManifests,
    /// It is not JSON.
    #[error("package.json of the tarball is no JSON object")]
    NotJson,
    /// More than any package has.
    #[error("tarball has more than {0}")]
    TooMuch(String),
}

/// What stands in a tarball.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarballPackage {
    /// Its `package.json`.
    pub manifest: String,
    /// Files.
    pub files: u64,
    /// Bytes of those.
    pub unpacked_bytes: u64,
    /// Whether there is a `npm-shrinkwrap.json`.
    pub has_shrinkwrap: bool,
}

/// A look that is under way.
pub(super) struct Inspector {
    pieces: mpsc::Sender<Bytes>,
    found: JoinHandle<Result<TarballPackage, OddTarball>>,
}

impl Inspector {
    pub(super) fn start() -> Self {
        let (pieces, taken) = mpsc::channel(WAITING);
        let found = spawn_blocking(move || look(Pieces { taken, current: Bytes::new() }));
        Self { pieces, found }
    }

    /// Shows the next bytes; a look that has ended already wants no more.
    pub(super) async fn show(&self, bytes: Bytes) {
        let _ = self.pieces.send(bytes).await;
    }

    pub(super) async fn end(self) -> Result<Result<TarballPackage, OddTarball>, JoinError> {
        drop(self.pieces);
        self.found.await
    }
}

struct Pieces {
    taken: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.current.has_remaining() {
            self.current = self.taken.blocking_recv().unwrap_or_default();
        }
        let length = self.current.remaining().min(buffer.len());
        let (to, _) = buffer.split_at_mut(length);
        self.current.copy_to_slice(to);
        Ok(length)
    }
}

/// Looks through a whole archive.
pub(super) fn look(bytes: impl Read) -> Result<TarballPackage, OddTarball> {
    let unpacked = GzDecoder::new(bytes).take(MOST_UNPACKED_BYTES + 1);
    let mut archive = Archive::new(unpacked);
    let mut found = TarballPackage {
        manifest: String::new(),
        files: 0,
        unpacked_bytes: 0,
        has_shrinkwrap: false,
    };
    let (mut entries, mut name_of_next, mut manifests) = (0_u64, None::<Vec<u8>>, 0_u32);
    // raw: the crate would read a name of any length into memory
    for entry in archive.entries().map_err(|error| unreadable(&error))?.raw(true) {
        let mut entry = entry.map_err(|error| unreadable(&error))?;
        entries += 1;
        if entries > MOST_ENTRIES {
            return Err(OddTarball::TooMuch(format!("{MOST_ENTRIES} entries")));
        }
        let kind = entry.header().entry_type();
        if let Some(name) = name_record(&mut entry, kind)? {
            name_of_next = Some(name).filter(|name| !name.is_empty()).or(name_of_next);
            continue;
        }
        let name = name_of_next.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
            continue;
        }
        found.files += 1;
        found.unpacked_bytes = found.unpacked_bytes.saturating_add(entry.size());
        if found.unpacked_bytes > MOST_UNPACKED_BYTES {
            return Err(OddTarball::TooMuch(format!("{MOST_UNPACKED_BYTES} bytes unpacked")));
        }
        match in_folder(&name) {
            Some(b"package.json") => {
                manifests += 1;
                found.manifest = read_manifest(&mut entry)?;
            }
            Some(b"npm-shrinkwrap.json") => found.has_shrinkwrap = true,
            _ => {}
        }
    }
    match manifests {
        0 => Err(OddTarball::NoManifest),
        1 => Ok(found),
        _ => Err(OddTarball::SeveralManifests),
    }
}

fn unreadable(error: &io::Error) -> OddTarball {
    OddTarball::Unreadable(error.to_string())
}

/// The name that a record gives the next entry; `None` for an entry that is no such record.
fn name_record<R: Read>(
    entry: &mut Entry<'_, R>,
    kind: EntryType,
) -> Result<Option<Vec<u8>>, OddTarball> {
    if !matches!(
        kind,
        EntryType::GNULongName
            | EntryType::GNULongLink
            | EntryType::XHeader
            | EntryType::XGlobalHeader
    ) {
        return Ok(None);
    }
    if entry.size() > MOST_NAME_BYTES {
        return Err(OddTarball::TooMuch(format!(
            "{MOST_NAME_BYTES} bytes in the name of an entry"
        )));
    }
    let mut record = Vec::new();
    entry.read_to_end(&mut record).map_err(|error| unreadable(&error))?;
    Ok(Some(match kind {
        EntryType::GNULongName => {
            record.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
        }
        EntryType::XHeader => pax_path(&record).unwrap_or_default(),
        _ => Vec::new(),
    }))
}

/// The `path` of a record with lines of the form `LENGTH KEY=VALUE`.
fn pax_path(record: &[u8]) -> Option<Vec<u8>> {
    let lines = record.split(|byte| *byte == b'\n');
    let mut values = lines.filter_map(|line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        line.get(space + 1..)?.strip_prefix(b"path=")
    });
    values.next_back().map(<[u8]>::to_vec)
}

/// What an entry is called inside the one folder that package managers strip.
fn in_folder(name: &[u8]) -> Option<&[u8]> {
    let parts = name.split(|byte| matches!(byte, b'/' | b'\\'));
    let mut parts = parts.filter(|part| !part.is_empty() && *part != b".");
    let (_, file, rest) = (parts.next()?, parts.next()?, parts.next());
    rest.is_none().then_some(file)
}

fn read_manifest<R: Read>(entry: &mut Entry<'_, R>) -> Result<String, OddTarball> {
    if entry.size() > MOST_MANIFEST_BYTES {
        return Err(OddTarball::TooMuch(format!("{MOST_MANIFEST_BYTES} bytes of package.json")));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    String::from_utf8(text.to_vec()).map_err(|_| OddTarball::NotJson)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, body) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(body.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *body).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn the_manifest_of_the_folder_is_found_and_files_are_counted() {
        let long = format!("package/{}/package.json", "x".repeat(200));
        let bytes = archive(&[
            ("package/package.json", b"{}"),
            ("package/lib/package.json", b"{\"no\":1}"),
            (&long, b"{}"),
            ("package/npm-shrinkwrap.json", b"{}"),
        ]);
        let found = look(&*bytes).unwrap();
        assert_eq!((&*found.manifest, found.files, found.unpacked_bytes), ("{}", 4, 14));
        assert!(found.has_shrinkwrap);
    }

    #[test]
    fn odd_archives_are_refused_in_bounded_time_and_memory() {
        let two = archive(&[("package/package.json", b"{}"), ("other/package.json", b"{}")]);
        assert_eq!(look(&*two), Err(OddTarball::SeveralManifests));
        assert_eq!(look(&*archive(&[("package.json", b"{}")])), Err(OddTarball::NoManifest));
        let mut zeros = GzEncoder::new(Vec::new(), Compression::fast());
        zeros.write_all(&vec![0; 1 << 20]).unwrap();
        assert_eq!(look(&*zeros.finish().unwrap()), Err(OddTarball::NoManifest));
        for bytes in [&b""[..], b"PK\x03\x04", b"{}", &two[..two.len() / 2]] {
            assert!(matches!(look(bytes), Err(OddTarball::Unreadable(_))), "{bytes:?}");
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(1 << 30);
        header.set_path("long").unwrap();
        header.set_cksum();
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        bomb.write_all(header.as_bytes()).unwrap();
        assert!(matches!(look(&*bomb.finish().unwrap()), Err(OddTarball::TooMuch(_))));
    }

    #[test]
    fn a_name_that_a_record_gives_counts() {
        let record = b"30 path=package/package.json\n20 mtime=1\n";
        assert_eq!(pax_path(record), Some(b"package/package.json".to_vec()));
        assert_eq!(in_folder(b"./package/package.json"), Some(&b"package.json"[..]));
        assert_eq!(in_folder(b"package/lib/package.json"), None);
    }
}
