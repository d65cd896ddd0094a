//! Which packages to sync: `NAME[@version]`, names from standard input, a lockfile.

use std::{collections::BTreeMap, io::BufRead, path::Path};

use anyhow::Context;
use npm::PackageName;
use serde::Deserialize;
use store::Keeping;

use crate::cli::problem::Problem;

/// One package, with the versions wanted; `None` = all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The package.
    pub name: PackageName,
    /// Only these versions.
    pub versions: Option<Vec<String>>,
    /// How much of it is kept afterwards.
    pub keep: Keeping,
}

/// Everything wanted, each package once.
#[derive(Debug, Default)]
pub struct WantedPackages(BTreeMap<PackageName, Option<Vec<String>>>);

impl WantedPackages {
    /// Adds one argument: `lamp`, `lamp@0.3.1`, `@garden/ui@2.0.0`.
    ///
    /// # Errors
    /// When the name is no npm name or the part behind `@` is no version.
    pub fn add(&mut self, text: &str) -> Result<(), Problem> {
        let (name, version) = split(text);
        let name = PackageName::parse(name)
            .map_err(|error| Problem::usage(format!("`{text}` is no package name")).why(error))?;
        if let Some(version) = version
            && !is_version(version)
        {
            return Err(Problem::usage(format!("`{version}` in `{text}` is no version"))
                .why("a tag or a range may mean another version tomorrow")
                .hint(format!(
                    "espejo sync {name}@1.2.3, or espejo sync {name} for all versions"
                )));
        }
        self.want(name, version);
        Ok(())
    }

    /// Adds the packages and versions of a `package-lock.json`.
    ///
    /// # Errors
    /// When the file cannot be read or is no lockfile.
    pub fn add_lockfile(&mut self, path: &Path) -> Result<(), Problem> {
        let bytes = std::fs::read(path)
            .with_context(|| format!("could not read the lockfile {}", path.display()))?;
        let lockfile: Lockfile = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is no package-lock.json", path.display()))?;
        for (name, version) in lockfile.entries() {
            // What is not from a registry (folders, git addresses) has no plain version.
            if let Ok(name) = PackageName::parse(name)
                && is_version(version)
            {
                self.want(name, Some(version));
            }
        }
        Ok(())
    }

    /// Adds the names that standard input holds, one a line or separated by spaces.
    ///
    /// # Errors
    /// When it cannot be read or a name is refused.
    pub fn add_lines(&mut self, lines: impl BufRead) -> Result<(), Problem> {
        for line in lines.lines() {
            let line = line.context("could not read names from standard input")?;
            for word in line.split_whitespace() {
                self.add(word)?;
            }
        }
        Ok(())
    }

    fn want(&mut self, name: PackageName, version: Option<&str>) {
        match (self.0.get_mut(&name), version) {
            (None, version) => {
                self.0.insert(name, version.map(|version| vec![version.to_owned()]));
            }
            (Some(Some(versions)), Some(version)) => {
                if versions.iter().all(|known| known != version) {
                    versions.push(version.to_owned());
                }
            }
            (Some(wanted), None) => *wanted = None,
            (Some(None), Some(_)) => {} // all versions are wanted already
        }
    }

    /// The packages by name.
    #[must_use]
    pub fn into_vec(self) -> Vec<Wanted> {
        let all = |(name, versions)| Wanted { name, versions, keep: Keeping::Mirrored };
        self.0.into_iter().map(all).collect()
    }
}

/// The name and the version behind the last `@` that does not start the name.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.rfind('@') {
        None | Some(0) => (text, None),
        Some(at) => {
            let (name, version) = text.split_at(at);
            (name, Some(version.trim_start_matches('@')))
        }
    }
}

/// Exactly one version: a spec that finds itself among no others.
fn is_version(text: &str) -> bool {
    let no_tags: &[(String, String)] = &[];
    let starts_like_one = text.starts_with(|first: char| first.is_ascii_digit());
    starts_like_one
        && !text.contains([' ', '|', 'x', '*', '<', '>'])
        && npm::resolve_spec(text, no_tags, std::iter::once(text)) == Ok(Some(text))
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

    fn wanted(words: &[&str]) -> Vec<(String, Option<Vec<String>>)> {
        let mut wanted = WantedPackages::default();
        for word in words {
            wanted.add(word).unwrap();
        }
        listed(wanted)
    }

    fn listed(wanted: WantedPackages) -> Vec<(String, Option<Vec<String>>)> {
        wanted.into_vec().into_iter().map(|one| (one.name.to_string(), one.versions)).collect()
    }

    fn one(name: &str, versions: &[&str]) -> (String, Option<Vec<String>>) {
        let versions: Vec<String> = versions.iter().map(|text| (*text).to_owned()).collect();
        (name.to_owned(), Some(versions).filter(|versions| !versions.is_empty()))
    }

    #[test]
    fn names_may_carry_a_version() {
        assert_eq!(wanted(&["lamp"]), [one("lamp", &[])]);
        assert_eq!(wanted(&["@garden/ui"]), [one("@garden/ui", &[])]);
        assert_eq!(wanted(&["@garden/ui@2.0.0-rc.1"]), [one("@garden/ui", &["2.0.0-rc.1"])]);
        let twice = ["lamp@1.0.0", "lamp@1.1.0", "lamp@1.0.0"];
        assert_eq!(wanted(&twice), [one("lamp", &["1.0.0", "1.1.0"])]);
        assert_eq!(wanted(&["lamp@1.0.0", "lamp"]), [one("lamp", &[])]);
        assert_eq!(wanted(&["lamp", "lamp@1.0.0"]), [one("lamp", &[])]);
    }

    #[test]
    fn tags_ranges_and_foreign_names_are_refused() {
        for word in ["lamp@latest", "lamp@^1.0.0", "lamp@1.x", "lamp@", "../lamp", ""] {
            assert!(WantedPackages::default().add(word).is_err(), "{word}");
        }
    }

    #[test]
    fn standard_input_may_hold_many_names() {
        let mut all = WantedPackages::default();
        all.add_lines("lamp\n@garden/ui tidy-list\n\n".as_bytes()).unwrap();
        assert_eq!(listed(all).len(), 3);
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
        all.add_lockfile(&path).unwrap();
        let expected =
            [one("@garden/ui", &["2.0.0"]), one("lamp", &["1.0.0"]), one("tidy-list", &["3.0.0"])];
        assert_eq!(listed(all), expected);

        let old = r#"{"lockfileVersion":1,"dependencies":{"lamp":{"version":"1.0.0",
            "dependencies":{"@garden/ui":{"version":"2.0.0"}}},
            "other":{"version":"npm:tidy-list@3.0.0"},"git":{"version":"git+ssh://x"}}}"#;
        std::fs::write(&path, old).unwrap();
        let mut all = WantedPackages::default();
        all.add_lockfile(&path).unwrap();
        assert_eq!(listed(all), expected);

        std::fs::write(&path, "[]").unwrap();
        assert!(WantedPackages::default().add_lockfile(&path).is_err());
    }
}
