//! Who owns a name: the one place where that is decided, for misses, tasks and dependencies.

use std::collections::{HashMap, HashSet};

use npm::PackageName;
use store::scopes::{self, ScopeRow};

use crate::engine::DEFAULT_REGISTRY;

/// Who may be asked for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody: the scope is published here.
    Private,
    /// This registry.
    Registry(String),
}

/// A name that a registry is not asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// The scope is private.
    #[error("{0} is in a private scope: no upstream is ever asked for it")]
    Private(PackageName),
    /// Another registry owns it.
    #[error("{name} belongs to registry {owner}, so {registry} is not asked for it")]
    OwnedBy {
        /// The name.
        name: PackageName,
        /// Its owner.
        owner: String,
        /// The registry that was to be asked.
        registry: String,
    },
}

/// Which scopes belong where.
#[derive(Clone, Debug, Default)]
pub struct Ownership {
    private: HashSet<String>,
    bound: HashMap<String, String>,
}

impl Ownership {
    /// The bindings of the table, and the scopes of `publish.scopes`, with or without their `@`.
    #[must_use]
    pub fn new(rows: Vec<ScopeRow>, publish_scopes: &[String]) -> Self {
        let with_at = |scope: &String| format!("@{}", scope.trim_start_matches('@'));
        let mut private: HashSet<String> = publish_scopes.iter().map(with_at).collect();
        let mut bound = HashMap::new();
        for row in rows {
            if row.registry == scopes::SELF {
                private.insert(row.scope);
            } else {
                bound.insert(row.scope, row.registry);
            }
        }
        Self { private, bound }
    }

    /// The owner of a name of which `set` is the one written down so far.
    ///
    /// A private scope comes first: making a scope private ends all asking at once, whatever was
    /// brought in before. Then the owner a name has stays, so that no later binding makes
    /// another registry answer for bytes that are here; then the binding; then `default`.
    #[must_use]
    pub fn owner(&self, name: &PackageName, set: Option<&str>) -> Owner {
        let scope = name.scope();
        if scope.is_some_and(|scope| self.private.contains(scope)) {
            return Owner::Private;
        }
        let bound = || scope.and_then(|scope| self.bound.get(scope)).map(String::as_str);
        Owner::Registry(set.or_else(bound).unwrap_or(DEFAULT_REGISTRY).to_owned())
    }

    /// Whether `registry` may be asked for a name: its owner, or any for a name that nothing is
    /// known of and whose scope is bound to none.
    ///
    /// # Errors
    /// [`NotAsked`].
    pub fn check(
        &self,
        name: &PackageName,
        set: Option<&str>,
        registry: &str,
    ) -> Result<(), NotAsked> {
        match self.owner(name, set) {
            Owner::Private => Err(NotAsked::Private(name.clone())),
            Owner::Registry(owner) if owner == registry => Ok(()),
            Owner::Registry(owner) if set.is_none() && owner == DEFAULT_REGISTRY => Ok(()),
            Owner::Registry(owner) => {
                let (name, registry) = (name.clone(), registry.to_owned());
                Err(NotAsked::OwnedBy { name, owner, registry })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PackageName {
        PackageName::parse(text).unwrap()
    }

    fn rules() -> Ownership {
        let row = |scope: &str, registry: &str| ScopeRow {
            scope: scope.to_owned(),
            registry: registry.to_owned(),
            created_at_ms: 0,
        };
        let rows = vec![row("@garden", "inner"), row("@secret", "self")];
        Ownership::new(rows, &["house".to_owned(), "@cellar".to_owned()])
    }

    #[test]
    fn a_name_has_one_owner_by_what_is_known_of_it() {
        let registry = |name: &str| Owner::Registry(name.to_owned());
        for (package, set, expected) in [
            ("lamp", None, registry("default")),
            ("lamp", Some("other"), registry("other")),
            ("@garden/ui", None, registry("inner")),
            ("@garden/ui", Some("default"), registry("default")),
            ("@gardens/ui", None, registry("default")),
            ("@secret/key", None, Owner::Private),
            ("@secret/key", Some("default"), Owner::Private),
            ("@house/door", None, Owner::Private),
            ("@cellar/wine", None, Owner::Private),
            ("house", None, registry("default")),
        ] {
            assert_eq!(rules().owner(&name(package), set), expected, "{package} {set:?}");
        }
    }

    #[test]
    fn only_the_owner_is_asked_and_any_registry_for_what_nobody_owns() {
        for (package, set, registry, good) in [
            ("lamp", None, "default", true),
            ("lamp", None, "inner", true),
            ("lamp", Some("default"), "inner", false),
            ("lamp", Some("inner"), "inner", true),
            ("@garden/ui", None, "inner", true),
            ("@garden/ui", None, "default", false),
            ("@secret/key", None, "default", false),
            ("@secret/key", Some("self"), "self", false),
        ] {
            let checked = rules().check(&name(package), set, registry);
            assert_eq!(checked.is_ok(), good, "{package} {set:?} {registry}: {checked:?}");
        }
    }
}
