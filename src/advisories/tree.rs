//! The tree of dependencies that older clients send to be audited: npm 6, yarn 1, pnpm up to 10.
//!
//! A node stands where it is installed; `requires` names what it needs, which is found as Node.js
//! does, from the node upwards. Where nothing says what is required, what is installed below
//! counts. Each installed package is told with one path, the shortest, so that a tree of any shape
//! costs its size and no more.

use std::collections::{BTreeMap, VecDeque};

use npm::PackageName;
use serde::Deserialize;
use serde_json::Value;

use super::Asked;

/// The body of a request.
#[derive(Debug, Deserialize)]
pub struct SentTree {
    #[serde(default)]
    requires: Value,
    #[serde(default)]
    dependencies: BTreeMap<String, SentNode>,
}

#[derive(Debug, Deserialize)]
struct SentNode {
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    requires: Value,
    #[serde(default)]
    dependencies: BTreeMap<String, SentNode>,
    #[serde(default)]
    dev: bool,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    bundled: bool,
}

/// An installed package.
#[derive(Debug)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its version; none for the parts of a workspace.
    pub version: Option<String>,
    /// For development only.
    pub dev: bool,
    /// May be missing.
    pub optional: bool,
    /// Came inside another package.
    pub bundled: bool,
    /// How it is reached, `a>b>c`.
    pub path: String,
    above: Option<usize>,
    below: BTreeMap<String, usize>,
    requires: Vec<String>,
}

/// All installed packages.
#[derive(Debug)]
pub struct Tree {
    /// The first is the project itself.
    nodes: Vec<Installed>,
}

/// The names in `requires`, which is `true` in some files.
fn names(requires: &Value) -> Vec<String> {
    requires.as_object().map(|names| names.keys().cloned().collect()).unwrap_or_default()
}

impl Tree {
    /// Reads the tree that was sent.
    #[must_use]
    pub fn new(sent: SentTree) -> Self {
        let root = SentNode {
            version: None,
            requires: sent.requires,
            dependencies: sent.dependencies,
            dev: false,
            optional: false,
            bundled: false,
        };
        let mut tree = Self { nodes: Vec::new() };
        tree.add(String::new(), root);
        tree.find_paths();
        tree
    }

    /// The packages, without the project itself.
    pub fn installed(&self) -> impl Iterator<Item = &Installed> {
        self.nodes.iter().skip(1)
    }

    /// What there is to ask about.
    #[must_use]
    pub fn asked(&self) -> Asked {
        let mut asked = Asked::new();
        for node in self.installed() {
            if let (Ok(name), Some(version)) = (PackageName::parse(&node.name), &node.version) {
                asked.entry(name).or_default().insert(version.clone());
            }
        }
        asked
    }

    /// Level by level: who stands higher comes first.
    fn add(&mut self, name: String, root: SentNode) {
        let mut waiting = VecDeque::from([(name, root, None::<usize>)]);
        while let Some((name, sent, above)) = waiting.pop_front() {
            let place = self.nodes.len();
            let path = match above.and_then(|above| self.nodes.get(above)) {
                Some(above) if !above.path.is_empty() => format!("{}>{name}", above.path),
                _ => name.clone(),
            };
            if let Some(above) = above.and_then(|above| self.nodes.get_mut(above)) {
                above.below.insert(name.clone(), place);
            }
            self.nodes.push(Installed {
                name,
                version: sent.version,
                dev: sent.dev,
                optional: sent.optional,
                bundled: sent.bundled,
                path,
                above,
                below: BTreeMap::new(),
                requires: names(&sent.requires),
            });
            for (name, below) in sent.dependencies {
                waiting.push_back((name, below, Some(place)));
            }
        }
    }

    /// Gives every package that something requires the shortest way to it.
    fn find_paths(&mut self) {
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = VecDeque::from([(0, String::new())]);
        while let Some((place, path)) = waiting.pop_front() {
            if seen.get(place).copied().unwrap_or(true) {
                continue;
            }
            if let Some(seen) = seen.get_mut(place) {
                *seen = true;
            }
            for next in self.required_by(place) {
                let Some(node) = self.nodes.get(next) else { continue };
                let way = match path.as_str() {
                    "" => node.name.clone(),
                    path => format!("{path}>{}", node.name),
                };
                waiting.push_back((next, way));
            }
            if let Some(node) = self.nodes.get_mut(place) {
                node.path = path;
            }
        }
    }

    fn required_by(&self, place: usize) -> Vec<usize> {
        let Some(node) = self.nodes.get(place) else { return Vec::new() };
        if node.requires.is_empty() {
            return node.below.values().copied().collect();
        }
        node.requires.iter().filter_map(|name| self.resolve(place, name)).collect()
    }

    /// The package that a name means at a place: below it, beside it, or further up.
    fn resolve(&self, place: usize, name: &str) -> Option<usize> {
        let mut here = self.nodes.get(place);
        while let Some(node) = here {
            if let Some(found) = node.below.get(name) {
                return Some(*found);
            }
            here = node.above.and_then(|above| self.nodes.get(above));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(sent: &str) -> Vec<(String, String)> {
        let tree = Tree::new(serde_json::from_str(sent).unwrap());
        let version = |node: &Installed| node.version.clone().unwrap_or_default();
        let mut paths: Vec<_> = tree
            .installed()
            .map(|node| (format!("{}@{}", node.name, version(node)), node.path.clone()))
            .collect();
        paths.sort();
        paths
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn what_is_required_is_looked_for_from_the_node_upwards() {
        // a flat tree with one package in two versions, and a circle
        let found = paths(
            r#"{"requires": {"a": "^1"}, "dependencies": {
                "a": {"version": "1.0.0", "requires": {"b": "^2", "c": "*"},
                      "dependencies": {"b": {"version": "2.0.0"}}},
                "b": {"version": "1.0.0", "requires": {"a": "*"}},
                "c": {"version": "3.0.0", "requires": {"b": "^1"}},
                "alone": {"version": "1.0.0", "requires": true}
            }}"#,
        );
        assert_eq!(
            found,
            [
                pair("a@1.0.0", "a"),
                pair("alone@1.0.0", "alone"),
                pair("b@1.0.0", "a>c>b"),
                pair("b@2.0.0", "a>b"),
                pair("c@3.0.0", "a>c"),
            ]
        );
    }

    #[test]
    fn a_tree_that_only_nests_is_its_own_way() {
        let found = paths(
            r#"{"name": "x", "dependencies": {".": {"dependencies": {
                "a": {"version": "1.0.0", "dependencies": {"b": {"version": "1.0.0"}}}}}}}"#,
        );
        assert_eq!(found, [pair(".@", "."), pair("a@1.0.0", ".>a"), pair("b@1.0.0", ".>a>b")]);
        let tree: SentTree =
            serde_json::from_str(r#"{"dependencies": {"..": {"version": "1"}}}"#).unwrap();
        assert!(Tree::new(tree).asked().is_empty());
    }
}
