//! Generated packages of realistic sizes: documents and tarballs as ready-made bytes.

use std::{collections::HashMap, io::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use sha2::{Digest, Sha512};

use super::random::Random;

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorpusSettings {
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// How many packages.
    pub packages: usize,
}

/// Tarball sizes in bytes at every tenth of the distribution, as measured on real packages:
/// half are below 6.7 KB, nine of ten below 65 KB, the largest here above 1 MiB.
const SIZES: [u64; 11] =
    [400, 1_000, 1_900, 3_000, 4_600, 6_700, 9_800, 16_000, 28_000, 65_000, 400_000];
/// One tarball in this many is a large one.
const LARGE_ONE_IN: u64 = 200;
const LARGE_BYTES: u64 = 1_600_000;

/// Something the simulated registry serves.
#[derive(Debug, Clone)]
pub struct Served {
    /// The bytes.
    pub body: Bytes,
    /// The same in gzip, for documents.
    pub gzip: Option<Bytes>,
    /// Its strong validator, quotes included.
    pub etag: String,
}

/// Everything the simulated registry serves, by path.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Bodies by path without the leading slash, as clients ask for it.
    pub served: HashMap<String, Served>,
    /// Versions in all packages.
    pub versions: usize,
    /// Bytes of all tarballs.
    pub tarball_bytes: u64,
    /// Path of one tarball of about 20 KB, for benches of serving.
    pub typical_tarball: Option<String>,
}

/// The name of one package; every fifth has a scope.
#[must_use]
pub fn package_name(index: usize) -> String {
    if index % 5 == 4 { format!("@bench/part-{index}") } else { format!("bench-part-{index}") }
}

/// All names of a corpus.
#[must_use]
pub fn package_names(settings: CorpusSettings) -> Vec<String> {
    (0..settings.packages).map(package_name).collect()
}

impl Corpus {
    /// Generates everything; `base` is the address documents point to.
    ///
    /// # Errors
    /// When compression fails, which it does not in memory.
    pub fn generate(settings: CorpusSettings, base: &str) -> std::io::Result<Self> {
        let mut corpus = Self::default();
        let mut random = Random::new(settings.seed);
        for index in 0..settings.packages {
            corpus.add_package(&package_name(index), base, &mut random)?;
        }
        Ok(corpus)
    }

    fn add_package(&mut self, name: &str, base: &str, random: &mut Random) -> std::io::Result<()> {
        let bare = name.rsplit('/').next().unwrap_or(name);
        let mut versions = serde_json::Map::new();
        let mut times = serde_json::Map::new();
        let mut latest = String::new();
        for number in 0..version_count(random) {
            latest = format!("1.{number}.0");
            let path = format!("{name}/-/{bare}-{latest}.tgz");
            let tarball = tarball(random)?;
            let manifest = manifest(name, &latest, &format!("{base}/{path}"), &tarball);
            self.versions += 1;
            self.tarball_bytes += u64::try_from(tarball.len()).unwrap_or_default();
            if self.typical_tarball.is_none() && (16_000..28_000).contains(&tarball.len()) {
                self.typical_tarball = Some(path.clone());
            }
            self.add(path, tarball, None);
            versions.insert(latest.clone(), manifest);
            times.insert(
                latest.clone(),
                format!("2026-01-{:02}T00:00:00.000Z", number % 28 + 1).into(),
            );
        }
        let document = json!({
            "_id": name,
            "_rev": "1-0",
            "name": name,
            "description": "A generated package for measurements",
            "dist-tags": { "latest": latest },
            "versions": versions,
            "time": times,
            "readme": "# Generated\n\nThis package exists only for measurements.\n",
            "license": "MIT",
        });
        let body = serde_json::to_vec(&document)?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&body)?;
        let gzip = gzip.finish()?;
        self.add(name.replacen('/', "%2f", 1), body, Some(gzip));
        Ok(())
    }

    fn add(&mut self, path: String, body: Vec<u8>, gzip: Option<Vec<u8>>) {
        let etag = format!("\"{}\"", blake3::hash(&body).to_hex());
        let served = Served { body: body.into(), gzip: gzip.map(Bytes::from), etag };
        self.served.insert(path, served);
    }
}

fn version_count(random: &mut Random) -> u64 {
    match random.between(0, 100) {
        0..60 => 1,
        60..90 => random.between(2, 5),
        _ => random.between(5, 15),
    }
}

fn tarball(random: &mut Random) -> std::io::Result<Vec<u8>> {
    let length = if random.between(0, LARGE_ONE_IN) == 0 {
        LARGE_BYTES
    } else {
        let place = random.between(0, 10);
        let mut bounds = SIZES.iter().skip(usize::try_from(place).unwrap_or_default()).copied();
        let low = bounds.next().unwrap_or(400);
        random.between(low, bounds.next().unwrap_or(400_000))
    };
    let content = random.bytes(usize::try_from(length).unwrap_or_default());
    let mut gzip = GzEncoder::new(Vec::with_capacity(content.len() + 64), Compression::none());
    gzip.write_all(&content)?;
    gzip.finish()
}

fn manifest(name: &str, version: &str, tarball_url: &str, tarball: &[u8]) -> serde_json::Value {
    let integrity = format!("sha512-{}", STANDARD.encode(Sha512::digest(tarball)));
    json!({
        "name": name,
        "version": version,
        "description": "A generated package for measurements",
        "main": "index.js",
        "scripts": { "test": "node test.js" },
        "keywords": ["generated", "measurement"],
        "author": { "name": "nobody" },
        "license": "MIT",
        "dependencies": {},
        "engines": { "node": ">=18" },
        "_id": format!("{name}@{version}"),
        "_nodeVersion": "20.0.0",
        "_npmVersion": "10.0.0",
        "dist": {
            "integrity": integrity,
            "tarball": tarball_url,
            "fileCount": 3,
            "unpackedSize": tarball.len() * 4,
        },
        "_hasShrinkwrap": false,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const SETTINGS: CorpusSettings = CorpusSettings { seed: 7, packages: 40 };

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
        let one = Corpus::generate(SETTINGS, "http://127.0.0.1:1").unwrap();
        let same = Corpus::generate(SETTINGS, "http://127.0.0.1:1").unwrap();
        let other = Corpus::generate(CorpusSettings { seed: 8, ..SETTINGS }, "http://127.0.0.1:1");
        let other = other.unwrap();
        for (path, served) in &one.served {
            assert_eq!(served.body, same.served[path].body);
        }
        assert_ne!(one.tarball_bytes, other.tarball_bytes);
    }

    #[test]
    fn documents_name_their_tarballs_with_the_right_digest() {
        let base = "http://127.0.0.1:1";
        let corpus = Corpus::generate(SETTINGS, base).unwrap();
        let mut tarballs = 0;
        for name in package_names(SETTINGS) {
            let served = &corpus.served[&name.replacen('/', "%2f", 1)];
            let mut unpacked = Vec::new();
            let gzip = served.gzip.as_ref().unwrap();
            flate2::read::GzDecoder::new(gzip.as_ref()).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, served.body);
            let document: serde_json::Value = serde_json::from_slice(&served.body).unwrap();
            for manifest in document["versions"].as_object().unwrap().values() {
                let url = manifest["dist"]["tarball"].as_str().unwrap();
                let tarball = &corpus.served[url.strip_prefix(base).unwrap().trim_matches('/')];
                let digest = STANDARD.encode(Sha512::digest(&tarball.body));
                assert_eq!(manifest["dist"]["integrity"], format!("sha512-{digest}"));
                tarballs += 1;
            }
        }
        assert_eq!(tarballs, corpus.versions);
        assert!(corpus.versions > SETTINGS.packages);
    }
}
