//! What people ask for by name: packages, each with the versions wanted.
//!
//! The command line and the control socket read the same words.

use std::collections::BTreeMap;

use actors::DEFAULT_REGISTRY;
use npm::{NameError, PackageName, SpecError};
use store::tasks::{NewTask, PRIORITY_PEOPLE, TaskOptions};
use store::{Keeping, TaskId};

/// Why a word names nothing that could be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// What stands before the `@` is no name.
    #[error("`{word}` is no package name: {cause}")]
    Name {
        /// The word.
        word: String,
        /// The rule it breaks.
        cause: NameError,
    },
    /// What stands behind it is nothing npm would understand.
    #[error("`{word}` names no version: {cause}")]
    Spec {
        /// The word.
        word: String,
        /// The rule it breaks.
        cause: SpecError,
    },
}

/// One package, with what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The package.
    pub name: PackageName,
    /// Only these: versions, dist-tags, ranges; `None` = all versions.
    pub specs: Option<Vec<String>>,
    /// How much of it is kept afterwards.
    pub keep: Keeping,
}

impl Wanted {
    /// The words that [`WantedPackages::add`] reads this from.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        match &self.specs {
            None => vec![self.name.to_string()],
            Some(specs) => specs.iter().map(|spec| format!("{}@{spec}", self.name)).collect(),
        }
    }

    /// The task of a person who waits for it, done as `options` say.
    #[must_use]
    pub fn into_task(self, options: TaskOptions) -> NewTask {
        NewTask {
            id: TaskId::new(),
            name: self.name,
            registry: DEFAULT_REGISTRY.to_owned(),
            priority: PRIORITY_PEOPLE,
            options: TaskOptions { specific_versions: self.specs, keep: self.keep, ..options },
            author: None,
            author_ip: None,
        }
    }
}

/// Everything wanted, each package once.
#[derive(Debug, Default)]
pub struct WantedPackages(BTreeMap<PackageName, Option<Vec<String>>>);

impl WantedPackages {
    /// Adds one word: `lamp`, `lamp@0.3.1`, `@garden/ui@next`, `lamp@^1.0.0`.
    ///
    /// # Errors
    /// [`WantedError`] when the name is no npm name, or the part behind `@` neither a version nor
    /// a dist-tag nor a range.
    pub fn add(&mut self, word: &str) -> Result<(), WantedError> {
        let (name, spec) = split(word);
        let name = PackageName::parse(name)
            .map_err(|cause| WantedError::Name { word: word.to_owned(), cause })?;
        if let Some(spec) = spec {
            check(spec).map_err(|cause| WantedError::Spec { word: word.to_owned(), cause })?;
        }
        self.want(name, spec);
        Ok(())
    }

    /// Reads words that stand for packages.
    ///
    /// # Errors
    /// [`WantedError`] for the first word that names none.
    pub fn read(words: &[String]) -> Result<Vec<Wanted>, WantedError> {
        let mut all = Self::default();
        words.iter().try_for_each(|word| all.add(word))?;
        Ok(all.into_vec())
    }

    /// Adds a package, whole or one version of it.
    pub fn want(&mut self, name: PackageName, spec: Option<&str>) {
        match (self.0.get_mut(&name), spec) {
            (None, spec) => {
                self.0.insert(name, spec.map(|spec| vec![spec.to_owned()]));
            }
            (Some(Some(specs)), Some(spec)) => {
                if specs.iter().all(|known| known != spec) {
                    specs.push(spec.to_owned());
                }
            }
            (Some(wanted), None) => *wanted = None,
            (Some(None), Some(_)) => {} // all versions are wanted already
        }
    }

    /// The packages by name.
    #[must_use]
    pub fn into_vec(self) -> Vec<Wanted> {
        let all = |(name, specs)| Wanted { name, specs, keep: Keeping::Mirrored };
        self.0.into_iter().map(all).collect()
    }
}

/// The name and the spec behind the last `@` that does not start the name.
pub fn split(word: &str) -> (&str, Option<&str>) {
    match word.rfind('@') {
        None | Some(0) => (word, None),
        Some(at) => {
            let (name, spec) = word.split_at(at);
            (name, Some(spec.trim_start_matches('@')))
        }
    }
}

/// Whether upstream's document may know a version by this spec. Nothing behind the `@` would mean
/// any version to npm; here it is a slip of the pen.
fn check(spec: &str) -> Result<(), SpecError> {
    if spec.trim().is_empty() {
        return Err(SpecError { spec: spec.to_owned() });
    }
    let no_tags: &[(String, String)] = &[];
    npm::resolve_spec(spec, no_tags, std::iter::empty()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(words: &[&str]) -> Vec<(String, Option<Vec<String>>)> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let all = WantedPackages::read(&words).unwrap();
        all.into_iter().map(|one| (one.name.to_string(), one.specs)).collect()
    }

    fn one(name: &str, specs: &[&str]) -> (String, Option<Vec<String>>) {
        let specs: Vec<String> = specs.iter().map(|text| (*text).to_owned()).collect();
        (name.to_owned(), Some(specs).filter(|specs| !specs.is_empty()))
    }

    #[test]
    fn names_may_carry_a_version_a_tag_or_a_range() {
        assert_eq!(wanted(&["lamp"]), [one("lamp", &[])]);
        assert_eq!(wanted(&["@garden/ui"]), [one("@garden/ui", &[])]);
        assert_eq!(wanted(&["@garden/ui@2.0.0-rc.1"]), [one("@garden/ui", &["2.0.0-rc.1"])]);
        assert_eq!(wanted(&["lamp@next", "lamp@>=1 <2"]), [one("lamp", &["next", ">=1 <2"])]);
        let twice = ["lamp@1.0.0", "lamp@1.1.0", "lamp@1.0.0"];
        assert_eq!(wanted(&twice), [one("lamp", &["1.0.0", "1.1.0"])]);
        assert_eq!(wanted(&["lamp@1.0.0", "lamp"]), [one("lamp", &[])]);
        assert_eq!(wanted(&["lamp", "lamp@1.0.0"]), [one("lamp", &[])]);
    }

    #[test]
    fn the_words_of_a_package_mean_the_same_package() {
        for words in [vec!["lamp"], vec!["@garden/ui@next", "@garden/ui@1.0.0"]] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let read = WantedPackages::read(&words).unwrap();
            assert_eq!(read[0].words(), words);
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for word in ["lamp@", "../lamp", "", "lamp@http://127.0.0.1/x", "lamp@a b c"] {
            assert!(WantedPackages::default().add(word).is_err(), "{word}");
        }
    }
}
