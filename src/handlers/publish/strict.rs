//! What is published against what is in the tarball.

use actors::publishing::{OddTarball, TarballPackage};
use npm::PackageName;
use npm::publish::Published;
use serde_json::{Map, Value as Json};

use crate::error::ApiError;

/// Compared with `publish.strict`, where the name and version always are.
const COMPARED: [&str; 8] = [
    "scripts",
    "dependencies",
    "devDependencies",
    "peerDependencies",
    "optionalDependencies",
    "license",
    "licenses",
    "bin",
];

/// Refuses a tarball that is odd, or of another version; with `strict` also one whose manifest says
/// something else about what is installed and run.
///
/// # Errors
/// 422.
pub fn check(
    name: &PackageName,
    published: &Published,
    tarball: &Result<TarballPackage, OddTarball>,
    strict: bool,
) -> Result<(), ApiError> {
    let odd = |error: &OddTarball| ApiError::Unprocessable(error.to_string());
    let tarball = tarball.as_ref().map_err(odd)?;
    let inside = object(&tarball.manifest).ok_or_else(|| odd(&OddTarball::NotJson))?;
    let sent = object(&published.manifest).unwrap_or_default();
    let text = |key: &str| inside.get(key).and_then(Json::as_str).unwrap_or_default();
    let mut wrong = Vec::new();
    if text("name") != name.as_str() {
        wrong.push("name");
    }
    // `v1.0.0` and `1.0.0` are one version; clients send the clean form
    let version = text("version").trim().trim_start_matches(['=', 'v']);
    if version.split('+').next() != published.version.split('+').next() {
        wrong.push("version");
    }
    if strict {
        wrong.extend(COMPARED.iter().filter(|key| is_other(name, key, &inside, &sent)));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(ApiError::Unprocessable(format!(
            "{} mismatch between tarball and manifest",
            wrong.join(",")
        ))),
    }
}

fn object(text: &str) -> Option<Map<String, Json>> {
    serde_json::from_str(text).ok()
}

fn is_other(
    name: &PackageName,
    key: &str,
    one: &Map<String, Json>,
    other: &Map<String, Json>,
) -> bool {
    plain(name, key, one.get(key)) != plain(name, key, other.get(key))
}

/// The forms that clients write alike: nothing and an empty object, a `bin` that is one text.
fn plain(name: &PackageName, key: &str, value: Option<&Json>) -> Option<Json> {
    let clean = |path: &str| Json::from(path.trim_start_matches("./"));
    match value {
        None | Some(Json::Null) => None,
        Some(Json::Object(members)) if members.is_empty() => None,
        Some(Json::Array(items)) if items.is_empty() => None,
        Some(Json::String(path)) if key == "bin" => {
            Some(Json::Object(Map::from_iter([(name.bare().to_owned(), clean(path))])))
        }
        Some(Json::Object(members)) if key == "bin" => Some(Json::Object(
            members
                .iter()
                .map(|(bin, path)| (bin.clone(), path.as_str().map_or(Json::Null, clean)))
                .collect(),
        )),
        Some(other) => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(inside: &str, sent: &str, strict: bool) -> Option<String> {
        let published = Published {
            version: "1.0.0".to_owned(),
            manifest: sent.to_owned(),
            tags: Vec::new(),
            readme: String::new(),
            bundles: Vec::new(),
        };
        let tarball = TarballPackage {
            manifest: inside.to_owned(),
            files: 1,
            unpacked_bytes: 1,
            has_shrinkwrap: false,
        };
        let name = PackageName::parse("lamp").unwrap();
        check(&name, &published, &Ok(tarball), strict).err().map(|error| error.to_string())
    }

    #[test]
    fn name_and_version_always_count_and_the_rest_where_that_is_wished() {
        let right = r#"{"name":"lamp","version":"1.0.0"}"#;
        let scripts =
            r#"{"name":"lamp","version":"v1.0.0","scripts":{"install":"x"},"bin":"./a.js"}"#;
        let bins = r#"{"name":"lamp","version":"1.0.0","bin":{"lamp":"a.js"},"dependencies":{}}"#;
        for (inside, sent, strict, text) in [
            (right, right, true, None),
            (scripts, right, false, None),
            (scripts, right, true, Some("scripts,bin")),
            (scripts, bins, true, Some("scripts")),
            (r#"{"name":"other","version":"1.0.1"}"#, right, false, Some("name,version")),
            ("{}", right, false, Some("name,version")),
        ] {
            let text = text.map(|keys| format!("{keys} mismatch between tarball and manifest"));
            assert_eq!(refusal(inside, sent, strict), text, "{inside}");
        }
        assert!(refusal("[]", right, false).unwrap().contains("no JSON object"));
    }
}
