//! Who owns a name, and who may be asked for it: the one place where that is decided, for readers'
//! misses, tasks, dependencies, feeds, lists of names and rounds over what is here.

use std::collections::{HashMap, HashSet};

use npm::PackageName;

use crate::registries::{DEFAULT, SELF};
use crate::scopes::ScopeRow;

/// A name that a registry is not asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// The scope is private.
    #[error("{0} is in a private scope: no upstream is ever asked for it")]
    Private(PackageName),
    /// The package is one of this mirror itself.
    #[error("{0} is published here: no upstream is ever asked for it")]
    Published(PackageName),
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    private: HashSet<String>,
    open: HashSet<String>,
    bound: HashMap<String, String>,
}

impl Ownership {
    /// The bindings of the table, and the scopes of `publish.scopes`, with or without their `@`.
    #[must_use]
    pub fn new(rows: Vec<ScopeRow>, publish_scopes: &[String]) -> Self {
        let with_at = |scope: &String| format!("@{}", scope.trim_start_matches('@'));
        let open: HashSet<String> = publish_scopes.iter().map(with_at).collect();
        let mut private = open.clone();
        let mut bound = HashMap::new();
        for row in rows {
            if row.registry == SELF {
                private.insert(row.scope);
            } else {
                bound.insert(row.scope, row.registry);
            }
        }
        Self { private, open, bound }
    }

    /// The owner of a name of which `set` is the one written down so far.
    ///
    /// The owner a name has stays, so that no later binding makes another registry answer for
    /// bytes that are here; then the private scope, then the binding, then `default`.
    #[must_use]
    pub fn owner<'a>(&'a self, name: &PackageName, set: Option<&'a str>) -> &'a str {
        if let Some(set) = set {
            return set;
        }
        if self.is_private(name) {
            return SELF;
        }
        let bound = name.scope().and_then(|scope| self.bound.get(scope));
        bound.map_or(DEFAULT, String::as_str)
    }

    /// The registry to ask for a name of which `set` is the owner written down so far.
    ///
    /// A private scope ends all asking at once, also for what was brought in before: such a
    /// package keeps its owner and its bytes and is served from here, but a name published
    /// elsewhere under our scope never reaches anybody.
    ///
    /// # Errors
    /// [`NotAsked::Private`] and [`NotAsked::Published`].
    pub fn asked<'a>(
        &'a self,
        name: &PackageName,
        set: Option<&'a str>,
    ) -> Result<&'a str, NotAsked> {
        if self.is_private(name) {
            return Err(NotAsked::Private(name.clone()));
        }
        match self.owner(name, set) {
            SELF => Err(NotAsked::Published(name.clone())),
            owner => Ok(owner),
        }
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
        match self.asked(name, set)? {
            owner if owner == registry => Ok(()),
            DEFAULT if set.is_none() && registry != SELF => Ok(()),
            owner => {
                let (name, owner, registry) = (name.clone(), owner.to_owned(), registry.to_owned());
                Err(NotAsked::OwnedBy { name, owner, registry })
            }
        }
    }

    /// Whether what `registry` tells of a name is of interest: it is the one asked for it. Unlike
    /// [`check`](Self::check) a name that nobody owns is that of `default` alone here.
    #[must_use]
    pub fn is_asked(&self, registry: &str, name: &PackageName, set: Option<&str>) -> bool {
        self.asked(name, set).is_ok_and(|owner| owner == registry)
    }

    /// Whether a scope, with its `@`, is one that every user publishes in (`publish.scopes`).
    #[must_use]
    pub fn is_open(&self, scope: &str) -> bool {
        self.open.contains(scope)
    }

    /// Whether the scope of a name is ours alone.
    #[must_use]
    pub fn is_private(&self, name: &PackageName) -> bool {
        name.scope().is_some_and(|scope| self.private.contains(scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PackageName {
        PackageName::parse(text).unwrap()
    }

    fn rules() -> Ownership {
        let row = |scope: &str, registry: &str| ScopeRow::new(scope, registry, 0);
        let rows = vec![row("@garden", "inner"), row("@secret", "self")];
        Ownership::new(rows, &["house".to_owned(), "@cellar".to_owned()])
    }

    #[test]
    fn a_name_has_one_owner_by_what_is_known_of_it() {
        for (package, set, owner, asked) in [
            ("lamp", None, "default", true),
            ("lamp", Some("other"), "other", true),
            ("lamp", Some("self"), "self", false),
            ("@garden/ui", None, "inner", true),
            ("@garden/ui", Some("default"), "default", true),
            ("@gardens/ui", None, "default", true),
            ("@secret/key", None, "self", false),
            // the owner stays and is asked no more
            ("@secret/key", Some("default"), "default", false),
            ("@house/door", None, "self", false),
            ("@cellar/wine", None, "self", false),
            ("house", None, "default", true),
        ] {
            let rules = rules();
            assert_eq!(rules.owner(&name(package), set), owner, "{package} {set:?}");
            let found = rules.asked(&name(package), set).ok();
            assert_eq!(found, asked.then_some(owner), "{package} {set:?}");
        }
    }

    #[test]
    fn a_scope_that_is_bound_here_is_private_and_not_open() {
        let rules = rules();
        for (scope, open) in [("@house", true), ("@cellar", true), ("@secret", false)] {
            assert!(rules.is_private(&name(&format!("{scope}/x"))), "{scope}");
            assert_eq!(rules.is_open(scope), open, "{scope}");
        }
        assert!(!rules.is_open("house"));
        assert!(!rules.is_private(&name("house")));
    }

    #[test]
    fn only_the_owner_is_asked_and_any_registry_for_what_nobody_owns() {
        for (package, set, registry, good, told) in [
            ("lamp", None, "default", true, true),
            ("lamp", None, "inner", true, false),
            ("lamp", None, "self", false, false),
            ("lamp", Some("default"), "inner", false, false),
            ("lamp", Some("inner"), "inner", true, true),
            ("@garden/ui", None, "inner", true, true),
            ("@garden/ui", None, "default", false, false),
            ("@garden/ui", Some("default"), "default", true, true),
            ("@garden/ui", Some("default"), "inner", false, false),
            ("@secret/key", None, "default", false, false),
            ("@secret/key", Some("default"), "default", false, false),
            ("@secret/key", Some("self"), "self", false, false),
        ] {
            let (rules, what) = (rules(), format!("{package} {set:?} {registry}"));
            let checked = rules.check(&name(package), set, registry);
            assert_eq!(checked.is_ok(), good, "{what}: {checked:?}");
            assert_eq!(rules.is_asked(registry, &name(package), set), told, "{what}");
        }
    }
}
