//! Packages built by code: real archives with real digests, and the packument that names them.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use sha1::Digest as _;

/// One package as a registry would hold it: versions in the order they were published.
#[derive(Clone)]
pub struct Package {
    pub name: String,
    pub versions: Vec<Version>,
    pub tags: Vec<(String, String)>,
    pub readme: String,
    /// Further members of the document, and replacements of those made here (`null` takes one out).
    pub extra: Map<String, Value>,
}

/// One version and its archive.
#[derive(Clone)]
pub struct Version {
    pub version: String,
    pub tarball: Bytes,
    /// The name of the archive in `dist.tarball`.
    pub file: String,
    /// A whole `dist.tarball` in place of the usual one; `{base}` stands for the upstream.
    pub tarball_url: Option<String>,
    pub manifest: Map<String, Value>,
    pub dist: Map<String, Value>,
    pub published_at: Option<String>,
}

impl Package {
    /// A package without versions.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            versions: Vec::new(),
            tags: Vec::new(),
            readme: format!("# {name}\n"),
            extra: Map::new(),
        }
    }

    /// Adds a version of a few hundred bytes; it becomes `latest`.
    pub fn version(self, version: &str) -> Self {
        self.version_with(version, |version| version)
    }

    /// Adds a version shaped by `shape`; it becomes `latest`.
    pub fn version_with(mut self, version: &str, shape: impl FnOnce(Version) -> Version) -> Self {
        let day = self.versions.len() % 28 + 1;
        let mut made = Version::new(&self.name, version, 300);
        made.published_at = Some(format!("2020-01-{day:02}T12:00:00.000Z"));
        self.versions.push(shape(made));
        self.tag("latest", version)
    }

    /// Sets a dist-tag.
    pub fn tag(mut self, tag: &str, version: &str) -> Self {
        self.tags.retain(|(known, _)| known != tag);
        self.tags.push((tag.to_owned(), version.to_owned()));
        self
    }

    /// Takes a version away, as an unpublish does: its `time` entry would stay, its tags go.
    pub fn without(mut self, version: &str) -> Self {
        self.versions.retain(|known| known.version != version);
        self.tags.retain(|(_, target)| target != version);
        self
    }

    /// Sets or replaces a member of the document.
    pub fn member(mut self, key: &str, value: Value) -> Self {
        self.extra.insert(key.to_owned(), value);
        self
    }

    /// The version `version`.
    pub fn get(&self, version: &str) -> &Version {
        self.versions
            .iter()
            .find(|known| known.version == version)
            .expect("a version of this fixture")
    }

    /// The path of a version's archive on its upstream.
    pub fn tarball_path(&self, version: &str) -> String {
        format!("/{}/-/{}", self.name, self.get(version).file)
    }

    /// The full document as the upstream at `base` writes it.
    pub fn document(&self, base: &str) -> Vec<u8> {
        let mut versions = Map::new();
        let mut time = Map::new();
        time.insert("created".into(), json!("2020-01-01T00:00:00.000Z"));
        time.insert("modified".into(), json!("2021-01-01T00:00:00.000Z"));
        for version in &self.versions {
            versions.insert(version.version.clone(), version.document(&self.name, base));
            if let Some(at) = &version.published_at {
                time.insert(version.version.clone(), json!(at));
            }
        }
        let tags: Map<_, _> = self.tags.iter().map(|(tag, to)| (tag.clone(), json!(to))).collect();
        let mut document = Map::new();
        document.insert("_id".into(), json!(self.name));
        document.insert("_rev".into(), json!("1-0123456789abcdef"));
        document.insert("name".into(), json!(self.name));
        document.insert("dist-tags".into(), Value::Object(tags));
        document.insert("versions".into(), Value::Object(versions));
        document.insert("time".into(), Value::Object(time));
        document.insert("maintainers".into(), json!([{"name": "ada", "email": "ada@example.com"}]));
        document.insert("readme".into(), json!(self.readme));
        for (key, value) in &self.extra {
            match value {
                Value::Null => drop(document.remove(key)),
                value => drop(document.insert(key.clone(), value.clone())),
            }
        }
        serde_json::to_vec(&document).expect("a fixture is JSON")
    }
}

impl Version {
    /// A version whose archive holds `payload_bytes` of data that does not compress.
    pub fn new(package: &str, version: &str, payload_bytes: usize) -> Self {
        let bare = package.rsplit('/').next().unwrap_or(package);
        let mut manifest = Map::new();
        manifest.insert("name".into(), json!(package));
        manifest.insert("version".into(), json!(version));
        manifest.insert("description".into(), json!(format!("{package} for tests")));
        manifest.insert("license".into(), json!("MIT"));
        let made = Self {
            version: version.to_owned(),
            tarball: Bytes::new(),
            file: format!("{bare}-{version}.tgz"),
            tarball_url: None,
            manifest,
            dist: Map::new(),
            published_at: None,
        };
        let seed = format!("{package}@{version}");
        let archive = archive(&made.manifest, &noise(&seed, payload_bytes));
        made.with_tarball(archive)
    }

    /// An archive of about `payload_bytes` in place of the small one.
    pub fn size(self, payload_bytes: usize) -> Self {
        let seed = format!("{}-{}", self.file, payload_bytes);
        let archive = archive(&self.manifest, &noise(&seed, payload_bytes));
        self.with_tarball(archive)
    }

    /// Other bytes, with the digests of those bytes announced.
    pub fn with_tarball(mut self, tarball: Vec<u8>) -> Self {
        self.dist.insert("integrity".into(), json!(sri(&tarball)));
        self.dist.insert("shasum".into(), json!(shasum(&tarball)));
        self.dist.insert("fileCount".into(), json!(2));
        self.dist.insert("unpackedSize".into(), json!(tarball.len()));
        let signature = json!([{"keyid": "SHA256:fixture", "sig": "MEUCIQDfixture+/="}]);
        self.dist.insert("signatures".into(), signature);
        self.tarball = Bytes::from(tarball);
        self
    }

    /// Sets a member of the manifest; `null` takes it out.
    pub fn member(mut self, key: &str, value: Value) -> Self {
        self.manifest.insert(key.to_owned(), value);
        self
    }

    /// Sets a member of `dist`; `null` takes it out.
    pub fn dist(mut self, key: &str, value: Value) -> Self {
        match value {
            Value::Null => drop(self.dist.remove(key)),
            value => drop(self.dist.insert(key.to_owned(), value)),
        }
        self
    }

    /// Adds a dependency.
    pub fn depends_on(mut self, name: &str, range: &str) -> Self {
        let entry = self.manifest.entry("dependencies").or_insert_with(|| json!({}));
        entry[name] = json!(range);
        self
    }

    /// Announces `url` as the address of the archive; `{base}` stands for the upstream.
    pub fn at(mut self, url: &str) -> Self {
        self.tarball_url = Some(url.to_owned());
        self
    }

    fn document(&self, package: &str, base: &str) -> Value {
        let url = match &self.tarball_url {
            Some(url) => url.replace("{base}", base),
            None => format!("{base}/{package}/-/{}", self.file),
        };
        let mut dist = self.dist.clone();
        dist.insert("tarball".into(), json!(url));
        let mut manifest = self.manifest.clone();
        manifest.insert("_id".into(), json!(format!("{package}@{}", self.version)));
        manifest.insert("dist".into(), Value::Object(dist));
        manifest.retain(|_, value| !value.is_null());
        Value::Object(manifest)
    }
}

/// `sha512-…` of the bytes.
pub fn sri(bytes: &[u8]) -> String {
    format!("sha512-{}", STANDARD.encode(sha2::Sha512::digest(bytes)))
}

/// The sha1 of the bytes in hex.
pub fn shasum(bytes: &[u8]) -> String {
    hex::encode(sha1::Sha1::digest(bytes))
}

/// Gzip as an upstream sends it.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all bytes")
}

/// The plain bytes of a gzip body.
pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut plain)
        .expect("a whole gzip body");
    plain
}

/// Bytes that look random and are the same for the same seed.
pub fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A gzipped archive with `package/package.json` and one payload file.
fn archive(manifest: &Map<String, Value>, payload: &[u8]) -> Vec<u8> {
    let manifest = serde_json::to_vec_pretty(manifest).expect("a manifest is JSON");
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, bytes) in [("package/package.json", manifest.as_slice()), ("package/data", payload)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, path, bytes).expect("memory takes all bytes");
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("memory takes all bytes")
}
