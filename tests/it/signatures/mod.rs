//! P8: registry signatures, the keys they are made with, attestations, and what is withheld.

mod endpoints;
mod policy;
mod verdicts;

use serde_json::Value;

use crate::harness::{KEYS_PATH, Package, Signer, TestMirror, key_list};

/// Published on 2020-01-01 and 2020-01-02, like all fixtures.
fn lamp() -> Package {
    Package::new("@garden/lamp").version("1.0.0").version("1.1.0")
}

const LAMP: &str = "@garden/lamp";

/// A mirror whose upstream lists these keys.
async fn mirror_of(packages: &[Package], keys: &[Value]) -> TestMirror {
    let builder = TestMirror::builder().packages(packages);
    let mirror = builder.start().await;
    mirror.upstream.put_json(KEYS_PATH, &key_list(keys));
    mirror
}

/// The verdict on every version, by version.
async fn verdicts(mirror: &TestMirror, name: &str) -> Vec<(String, &'static str)> {
    let rows = mirror.versions(name).await;
    let word = |row: &store::versions::VersionRow| row.signature.map_or("none", |it| it.as_str());
    rows.iter().map(|row| (row.version.clone(), word(row))).collect()
}

fn all(word: &'static str) -> Vec<(String, &'static str)> {
    ["1.0.0", "1.1.0"].map(|version| (version.to_owned(), word)).to_vec()
}

fn signer() -> Signer {
    Signer::new("SHA256:first")
}
