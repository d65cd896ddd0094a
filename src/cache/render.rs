//! One document from its stored bytes to what a client gets: inflate, scan, splice, compress.
//!
//! Pure work without I/O, run by the [`WorkPool`](super::work_pool::WorkPool).

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use npm::{
    PackageName, PackumentForm, PackumentScan, RenderOptions, render_manifest, render_packument,
    resolve_spec, shown_tags,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serializer};
use store::DocumentEncoding;

use super::withheld::HiddenVersions;
use crate::extract::encoding::Encoding;

/// Made once per revision and read for ever, so size counts: on full packuments of 4 MB level 9 of
/// zlib-rs gives half the bytes of level 6 (87 against 187 KB) at 0.8 of its speed (183 MB/s).
const GZIP_LEVEL: u32 = 9;

/// What is wanted of a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// All versions.
    Packument(PackumentForm, Encoding),
    /// The version a spec resolves to, always unpacked: it is small.
    Manifest(PackumentForm, Box<str>),
    /// Names and versions of the dist-tags.
    DistTags,
    /// The names of the maintainers, as a list.
    Maintainers,
}

impl Wanted {
    /// The form, which decides the content type.
    #[must_use]
    pub fn form(&self) -> PackumentForm {
        match self {
            Self::Packument(form, _) | Self::Manifest(form, _) => *form,
            Self::DistTags | Self::Maintainers => PackumentForm::Full,
        }
    }

    /// The encoding of the bytes.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        match self {
            Self::Packument(_, encoding) => *encoding,
            Self::Manifest(..) | Self::DistTags | Self::Maintainers => Encoding::Identity,
        }
    }
}

/// The document to make it from.
#[derive(Debug, Clone)]
pub enum Source {
    /// As it lies in the store.
    Stored {
        /// The blob.
        bytes: Bytes,
        /// How it is packed.
        encoding: DocumentEncoding,
        /// Length when unpacked.
        body_bytes: u64,
    },
    /// As it came from upstream, unpacked.
    Body(Bytes),
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The bytes to send.
    pub bytes: Bytes,
    /// Strong entity tag, quotes included. It is made of the unpacked bytes, so it is the
    /// same after a restart and on every node, whatever compressor they have.
    pub etag: String,
}

/// Why nothing came out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// The stored bytes are not the document they should be.
    #[error("the stored document is damaged: {0}")]
    Damaged(String),
    /// No version satisfies the spec.
    #[error("no such version")]
    NoVersion,
    /// The spec is neither version, tag nor range.
    #[error("must match format \"semver-spec\"")]
    BadSpec,
}

/// Makes what is wanted.
///
/// # Errors
/// See [`MakeError`].
pub fn make(
    source: &Source,
    name: &PackageName,
    wanted: &Wanted,
    base_url: &str,
    hidden: &HiddenVersions,
) -> Result<Made, MakeError> {
    let body = unpack(source)?;
    let scan =
        PackumentScan::parse(&body).map_err(|error| MakeError::Damaged(error.to_string()))?;
    let is_hidden = |version: &str| hidden.versions.contains(version);
    let options = RenderOptions { name, base_url, hidden: &is_hidden, told: &hidden.told };
    let plain = match wanted {
        Wanted::Packument(form, _) => render_packument(&scan, *form, &options),
        Wanted::Manifest(form, spec) => {
            let tags = shown_tags(&scan, &is_hidden);
            let versions = scan.versions.iter().map(|entry| entry.key.as_ref());
            let versions = versions.filter(|version| !is_hidden(version));
            let version = resolve_spec(spec, &tags, versions)
                .map_err(|_| MakeError::BadSpec)?
                .ok_or(MakeError::NoVersion)?;
            render_manifest(&scan, version, *form, &options).ok_or(MakeError::NoVersion)?
        }
        Wanted::DistTags => dist_tags(&shown_tags(&scan, &is_hidden)),
        Wanted::Maintainers => maintainers(&scan),
    };
    Ok(pack(plain, wanted.encoding()))
}

/// The document itself.
///
/// # Errors
/// [`MakeError::Damaged`] when the stored bytes are not it.
pub fn unpack(source: &Source) -> Result<Bytes, MakeError> {
    let (bytes, encoding, body_bytes) = match source {
        Source::Body(body) => return Ok(body.clone()),
        Source::Stored { bytes, encoding, body_bytes } => (bytes, *encoding, *body_bytes),
    };
    let body = match encoding {
        DocumentEncoding::Identity => bytes.clone(),
        DocumentEncoding::Gzip => gunzip(bytes, body_bytes)?,
        other => return Err(MakeError::Damaged(format!("encoding {other} is not known here"))),
    };
    if body.len() as u64 != body_bytes {
        let found = body.len();
        return Err(MakeError::Damaged(format!("{found} bytes instead of {body_bytes}")));
    }
    Ok(body)
}

/// Unpacks into a buffer of the known size, and never more than that.
fn gunzip(bytes: &[u8], body_bytes: u64) -> Result<Bytes, MakeError> {
    let mut body = Vec::with_capacity(usize::try_from(body_bytes).unwrap_or(0));
    MultiGzDecoder::new(bytes)
        .take(body_bytes.saturating_add(1))
        .read_to_end(&mut body)
        .map_err(|error| MakeError::Damaged(error.to_string()))?;
    Ok(body.into())
}

fn pack(plain: Vec<u8>, encoding: Encoding) -> Made {
    let hash = blake3::hash(&plain).to_hex();
    let (hash, _) = hash.split_at(32);
    match encoding {
        Encoding::Identity => Made { etag: format!("\"{hash}\""), bytes: plain.into() },
        Encoding::Gzip => Made { etag: format!("\"{hash}-gzip\""), bytes: gzip(&plain) },
    }
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder =
        GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::new(GZIP_LEVEL));
    // A Vec takes every byte: there is no error to see.
    let packed = encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap_or_default();
    packed.into()
}

fn dist_tags(tags: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    let tags = tags.iter().copied();
    // Strings into a Vec: there is no error to see.
    let written = serde_json::Serializer::new(&mut body).collect_map(tags);
    debug_assert!(written.is_ok());
    body
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Maintainer {
    Named { name: String },
    Other(IgnoredAny),
}

/// Documents of old have maintainers that are texts; those tell no name of an account.
fn maintainers(scan: &PackumentScan<'_>) -> Vec<u8> {
    let member = scan.members.iter().find(|(key, _)| key == "maintainers");
    let listed = member.and_then(|(_, value)| serde_json::from_str(value.get()).ok());
    let listed: Vec<Maintainer> = listed.unwrap_or_default();
    let named = listed.iter().filter_map(|maintainer| match maintainer {
        Maintainer::Named { name } => Some(name),
        Maintainer::Other(_) => None,
    });
    // texts into a Vec: there is no error to see
    serde_json::to_vec(&named.collect::<Vec<_>>()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"name":"lamp","dist-tags":{"latest":"1.1.0"},"versions":{
        "1.0.0":{"name":"lamp","version":"1.0.0","dist":{"tarball":"http://x/lamp-1.0.0.tgz"}},
        "1.1.0":{"name":"lamp","version":"1.1.0","dist":{"tarball":"http://x/lamp-1.1.0.tgz"}}}}"#;

    fn lamp() -> PackageName {
        PackageName::parse("lamp").unwrap()
    }

    fn make_of(source: &Source, wanted: &Wanted) -> Result<Made, MakeError> {
        make(source, &lamp(), wanted, "http://m", &HiddenVersions::default())
    }

    fn stored(encoding: DocumentEncoding, bytes: Bytes, body_bytes: usize) -> Source {
        Source::Stored { bytes, encoding, body_bytes: body_bytes as u64 }
    }

    #[test]
    fn the_two_encodings_hold_the_same_document_under_two_etags() {
        let source = Source::Body(Bytes::from_static(BODY.as_bytes()));
        let form = PackumentForm::Full;
        let plain = make_of(&source, &Wanted::Packument(form, Encoding::Identity)).unwrap();
        let packed = make_of(&source, &Wanted::Packument(form, Encoding::Gzip)).unwrap();
        assert_eq!(gunzip(&packed.bytes, plain.bytes.len() as u64).unwrap(), plain.bytes);
        assert_ne!(plain.etag, packed.etag);
        let again = make_of(&source, &Wanted::Packument(form, Encoding::Gzip)).unwrap();
        assert_eq!(again, packed, "the same bytes and tag every time");
        let wanted = Wanted::Packument(form, Encoding::Gzip);
        let other = make(&source, &lamp(), &wanted, "http://o", &HiddenVersions::default());
        assert_ne!(other.unwrap().etag, packed.etag, "another base, another tag");
    }

    #[test]
    fn a_stored_document_is_the_same_as_a_fresh_one() {
        let wanted = Wanted::Packument(PackumentForm::Abbreviated, Encoding::Identity);
        let fresh = make_of(&Source::Body(Bytes::from_static(BODY.as_bytes())), &wanted).unwrap();
        let packed = stored(DocumentEncoding::Gzip, gzip(BODY.as_bytes()), BODY.len());
        assert_eq!(make_of(&packed, &wanted).unwrap(), fresh);
    }

    #[test]
    fn damage_is_noticed_before_anything_is_rendered() {
        let wanted = Wanted::Packument(PackumentForm::Full, Encoding::Identity);
        let whole = gzip(BODY.as_bytes());
        let cut = whole.slice(..whole.len() - 9);
        let sources = [
            stored(DocumentEncoding::Gzip, cut, BODY.len()),
            stored(DocumentEncoding::Gzip, whole.clone(), BODY.len() - 1),
            stored(DocumentEncoding::Gzip, whole.clone(), BODY.len() + 1),
            stored(DocumentEncoding::Identity, whole.clone(), whole.len()),
        ];
        for source in sources {
            assert!(matches!(make_of(&source, &wanted), Err(MakeError::Damaged(_))));
        }
    }

    #[test]
    fn a_manifest_is_found_by_version_tag_and_range() {
        let source = Source::Body(Bytes::from_static(BODY.as_bytes()));
        let ask =
            |spec: &str| make_of(&source, &Wanted::Manifest(PackumentForm::Full, spec.into()));
        for spec in ["1.1.0", "=1.1.0", "latest", "^1.0", "*"] {
            let manifest: serde_json::Value =
                serde_json::from_slice(&ask(spec).unwrap().bytes).unwrap();
            assert_eq!(manifest["version"], "1.1.0", "{spec}");
        }
        assert_eq!(ask("2.0.0"), Err(MakeError::NoVersion));
        assert_eq!(ask("beta"), Err(MakeError::NoVersion));
        assert_eq!(ask("file:../x"), Err(MakeError::BadSpec));
    }

    #[test]
    fn a_hidden_version_is_in_nothing_that_is_made() {
        let source = Source::Body(Bytes::from_static(BODY.as_bytes()));
        let versions = std::collections::HashSet::from(["1.1.0".to_owned()]);
        let hidden = HiddenVersions { versions, ..HiddenVersions::default() };
        let ask = |wanted: Wanted| make(&source, &lamp(), &wanted, "http://m", &hidden);
        let form = PackumentForm::Full;
        let whole = ask(Wanted::Packument(form, Encoding::Identity)).unwrap();
        let whole: serde_json::Value = serde_json::from_slice(&whole.bytes).unwrap();
        assert_eq!(whole["dist-tags"]["latest"], "1.0.0");
        assert!(whole["versions"].get("1.1.0").is_none());
        assert_eq!(ask(Wanted::Manifest(form, "1.1.0".into())), Err(MakeError::NoVersion));
        let latest = ask(Wanted::Manifest(form, "latest".into())).unwrap();
        let latest: serde_json::Value = serde_json::from_slice(&latest.bytes).unwrap();
        assert_eq!(latest["version"], "1.0.0");
        assert_eq!(ask(Wanted::DistTags).unwrap().bytes, r#"{"latest":"1.0.0"}"#);
    }

    #[test]
    fn maintainers_are_those_of_the_document_that_have_a_name() {
        let ask = |body: &'static str| {
            let source = Source::Body(Bytes::from_static(body.as_bytes()));
            make_of(&source, &Wanted::Maintainers).unwrap().bytes
        };
        assert_eq!(ask(BODY), "[]");
        let some = r#"{"name":"lamp","versions":{},"maintainers":
            [{"name":"ada","email":"a@garden.test"},"bob <b@garden.test>",{"email":"x"},7,{"name":"cy"}]}"#;
        assert_eq!(ask(some), r#"["ada","cy"]"#);
        assert_eq!(ask(r#"{"name":"lamp","versions":{},"maintainers":"ada"}"#), "[]");
    }

    #[test]
    fn dist_tags_are_an_object() {
        let source = Source::Body(Bytes::from_static(BODY.as_bytes()));
        assert_eq!(make_of(&source, &Wanted::DistTags).unwrap().bytes, r#"{"latest":"1.1.0"}"#);
    }
}
