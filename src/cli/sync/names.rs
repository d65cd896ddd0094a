//! Where names of packages stand: standard input, a lockfile.

use std::{collections::BTreeMap, io::BufRead, path::Path};

use anyhow::Context;
use npm::PackageName;
use serde::Deserialize;

use crate::{
    cli::problem::Problem,
    wanted::{WantedError, WantedPackages, split},
};

/// Adds the packages and versions of a `package-lock.json`.
///
/// # Errors
/// When the file cannot be read or is no lockfile.
pub fn add_lockfile(wanted: &mut WantedPackages, path: &Path) -> Result<(), Problem> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("could not read the lockfile {}", path.display()))?;
    let lockfile: Lockfile = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no package-lock.json", path.display()))?;
    for (name, version) in lockfile.entries() {
        // What is not from a registry (folders, git addresses) has no plain version.
        if let Ok(name) = PackageName::parse(name)
            && is_version(version)
        {
            wanted.want(name, Some(version));
        }
    }
    Ok(())
}

/// Adds the names that standard input holds, one a line or separated by spaces.
///
/// # Errors
/// When it cannot be read or a name is refused.
pub fn add_lines(wanted: &mut WantedPackages, lines: impl BufRead) -> Result<(), Problem> {
    for line in lines.lines() {
        let line = line.context("could not read names from standard input")?;
        line.split_whitespace().try_for_each(|word| wanted.add(word))?;
    }
    Ok(())
}

/// Exactly one version: a spec that finds itself among no others.
fn is_version(text: &str) -> bool {
    let no_tags: &[(String, String)] = &[];
    let starts_like_one = text.starts_with(|first: char| first.is_ascii_digit());
    starts_like_one
        && !text.contains([' ', '|', 'x', '*', '<', '>'])
        && npm::resolve_spec(text, no_tags, std::iter::once(text)) == Ok(Some(text))
}

impl From<WantedError> for Problem {
    fn from(error: WantedError) -> Self {
        match error {
            WantedError::Name { word, cause } => {
                Self::usage(format!("`{word}` is no package name")).why(cause)
            }
            WantedError::Spec { word, cause } => Self::usage(format!("`{word}` names no version"))
                .why(cause)
                .hint("a version, a dist-tag or a range: lamp@1.2.3, lamp@latest, lamp@^1"),
        }
    }
}

#[derive(Deserialize)]
struct Lockfile {
    /// What makes a JSON file a lockfile.
    #[serde(rename = "lockfileVersion")]
    _version: u32,
    #[serde(default)]
    packages: BTreeMap<String, LockedPackage>,
    #[serde(default)]
    dependencies: BTreeMap<String, LockedDependency>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    link: bool,
}

#[derive(Deserialize)]
struct LockedDependency {
    version: String,
    #[serde(default)]
    dependencies: BTreeMap<String, LockedDependency>,
}

impl Lockfile {
    /// Names and versions, of lockfile versions 2 and 3, else of 1.
    fn entries(&self) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        for (path, package) in &self.packages {
            let Some((_, last)) = path.rsplit_once("node_modules/") else { continue };
            if let (false, Some(version)) = (package.link, &package.version) {
                // An alias stands under its own name; the package's name is inside.
                found.push((package.name.as_deref().unwrap_or(last), version.as_str()));
            }
        }
        if self.packages.is_empty() {
            collect(&self.dependencies, &mut found);
        }
        found
    }
}

fn collect<'a>(
    dependencies: &'a BTreeMap<String, LockedDependency>,
    found: &mut Vec<(&'a str, &'a str)>,
) {
    for (name, locked) in dependencies {
        match locked.version.strip_prefix("npm:") {
            Some(alias) => {
                let (name, version) = split(alias);
                found.extend(version.map(|version| (name, version)));
            }
            None => found.push((name, &locked.version)),
        }
        collect(&locked.dependencies, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wanted::Wanted;

    fn listed(wanted: WantedPackages) -> Vec<String> {
        wanted.into_vec().iter().flat_map(Wanted::words).collect()
    }

    #[test]
    fn standard_input_may_hold_many_names() {
        let mut all = WantedPackages::default();
        add_lines(&mut all, "lamp\n@garden/ui tidy-list@next\n\n".as_bytes()).unwrap();
        assert_eq!(listed(all), ["@garden/ui", "lamp", "tidy-list@next"]);
    }

    #[test]
    fn a_lockfile_gives_names_and_versions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package-lock.json");
        let new = r#"{"lockfileVersion":3,"packages":{"":{"version":"0.0.1"},
            "node_modules/lamp":{"version":"1.0.0"},
            "node_modules/lamp/node_modules/@garden/ui":{"version":"2.0.0"},
            "node_modules/other":{"name":"tidy-list","version":"3.0.0"},
            "node_modules/local":{"resolved":"packages/local","link":true},
            "packages/local":{"version":"9.9.9"}}}"#;
        std::fs::write(&path, new).unwrap();
        let mut all = WantedPackages::default();
        add_lockfile(&mut all, &path).unwrap();
        let expected = ["@garden/ui@2.0.0", "lamp@1.0.0", "tidy-list@3.0.0"];
        assert_eq!(listed(all), expected);

        let old = r#"{"lockfileVersion":1,"dependencies":{"lamp":{"version":"1.0.0",
            "dependencies":{"@garden/ui":{"version":"2.0.0"}}},
            "other":{"version":"npm:tidy-list@3.0.0"},"git":{"version":"git+ssh://x"}}}"#;
        std::fs::write(&path, old).unwrap();
        let mut all = WantedPackages::default();
        add_lockfile(&mut all, &path).unwrap();
        assert_eq!(listed(all), expected);

        std::fs::write(&path, "[]").unwrap();
        assert!(add_lockfile(&mut WantedPackages::default(), &path).is_err());
    }
}
