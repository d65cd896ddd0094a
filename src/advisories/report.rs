//! The answer that older clients understand: advisories with the places where they were found.

use std::collections::BTreeMap;

use npm::advisory::{Advisory, range_holds};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Told;
use super::tree::{Installed, Tree};

/// The whole answer.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    actions: Vec<Action<'a>>,
    advisories: BTreeMap<String, Shown<'a>>,
    muted: [(); 0],
    metadata: Metadata,
}

/// What may be done; nobody here knows which version of a dependent brings a better one.
#[derive(Debug, Serialize)]
struct Action<'a> {
    action: &'static str,
    module: &'a str,
    resolves: Vec<Place<'a>>,
}

#[derive(Debug, Serialize)]
struct Place<'a> {
    id: u64,
    path: &'a str,
    dev: bool,
    optional: bool,
    bundled: bool,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    findings: Vec<Finding<'a>>,
    id: u64,
    title: &'a str,
    module_name: &'a str,
    cves: [(); 0],
    vulnerable_versions: &'a str,
    patched_versions: String,
    overview: &'a str,
    recommendation: String,
    references: &'a str,
    access: &'static str,
    severity: &'a str,
    cwe: &'a [String],
    metadata: Map<String, Value>,
    url: &'a str,
}

#[derive(Debug, Serialize)]
struct Finding<'a> {
    version: &'a str,
    paths: Vec<&'a str>,
    dev: bool,
    optional: bool,
    bundled: bool,
}

/// How many places, by severity.
#[derive(Debug, Default, Serialize)]
struct Counts {
    info: usize,
    low: usize,
    moderate: usize,
    high: usize,
    critical: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    vulnerabilities: Counts,
    dependencies: usize,
    dev_dependencies: usize,
    optional_dependencies: usize,
    total_dependencies: usize,
}

/// What npm wrote for "no version is good".
const NONE_GOOD: &str = "<0.0.0";

impl<'a> Report<'a> {
    /// Puts the answer together: of each advisory the installed versions that it concerns.
    #[must_use]
    pub fn new(tree: &'a Tree, told: &'a Told) -> Self {
        let installed = by_name(tree);
        let mut report = Self {
            actions: Vec::new(),
            advisories: BTreeMap::new(),
            muted: [],
            metadata: metadata(tree),
        };
        for (name, advisories) in told {
            let here = installed.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let mut resolves = Vec::new();
            for advisory in advisories {
                let hit = here.iter().copied().filter(|node| {
                    let version = node.version.as_deref();
                    version.is_some_and(|of| range_holds(&advisory.vulnerable_versions, of))
                });
                let hit: Vec<&Installed> = hit.collect();
                report.metadata.vulnerabilities.add(&advisory.severity, hit.len());
                resolves.extend(hit.iter().map(|node| place(advisory.id, node)));
                if !hit.is_empty() {
                    report.advisories.insert(advisory.id.to_string(), shown(name, advisory, &hit));
                }
            }
            if !resolves.is_empty() {
                report.actions.push(Action { action: "review", module: name, resolves });
            }
        }
        report
    }
}

fn by_name(tree: &Tree) -> BTreeMap<&str, Vec<&Installed>> {
    let mut found = BTreeMap::<&str, Vec<&Installed>>::new();
    for node in tree.installed() {
        found.entry(&node.name).or_default().push(node);
    }
    found
}

fn metadata(tree: &Tree) -> Metadata {
    let count = |of: &dyn Fn(&Installed) -> bool| {
        tree.installed().filter(|node| node.version.is_some() && of(node)).count()
    };
    Metadata {
        vulnerabilities: Counts::default(),
        dependencies: count(&|node| !node.dev && !node.optional),
        dev_dependencies: count(&|node| node.dev),
        optional_dependencies: count(&|node| node.optional && !node.dev),
        total_dependencies: count(&|_| true),
    }
}

impl Counts {
    fn add(&mut self, severity: &str, count: usize) {
        let slot = match severity {
            "info" => &mut self.info,
            "low" => &mut self.low,
            "high" => &mut self.high,
            "critical" => &mut self.critical,
            _ => &mut self.moderate,
        };
        *slot += count;
    }
}

fn place(id: u64, node: &Installed) -> Place<'_> {
    let Installed { path, dev, optional, bundled, .. } = node;
    Place { id, path, dev: *dev, optional: *optional, bundled: *bundled }
}

fn shown<'a>(name: &'a str, advisory: &'a Advisory, hit: &[&'a Installed]) -> Shown<'a> {
    let patched_versions = patched(&advisory.vulnerable_versions);
    let recommendation = match patched_versions.strip_prefix(">=") {
        Some(version) => format!("Upgrade to version {version} or later"),
        None => "None".to_owned(),
    };
    let findings = hit.iter().map(|node| Finding {
        version: node.version.as_deref().unwrap_or_default(),
        paths: vec![&node.path],
        dev: node.dev,
        optional: node.optional,
        bundled: node.bundled,
    });
    Shown {
        findings: findings.collect(),
        id: advisory.id,
        title: &advisory.title,
        module_name: name,
        cves: [],
        vulnerable_versions: &advisory.vulnerable_versions,
        patched_versions,
        overview: &advisory.title,
        recommendation,
        references: &advisory.url,
        access: "public",
        severity: &advisory.severity,
        cwe: &advisory.cwe,
        metadata: Map::new(),
        url: &advisory.url,
    }
}

/// From the range of bad versions: what lies behind the last stretch, if that has an end.
fn patched(vulnerable: &str) -> String {
    let ends = vulnerable.split("||").map(|stretch| {
        let mut bounds = stretch.split_whitespace();
        bounds.find_map(|bound| bound.strip_prefix('<').filter(|end| !end.starts_with('=')))
    });
    let ends: Option<Vec<&str>> = ends.collect();
    let last = ends.and_then(|ends| ends.into_iter().max_by(|a, b| npm::compare_versions(a, b)));
    last.map_or_else(|| NONE_GOOD.to_owned(), |last| format!(">={last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_versions_begin_where_the_last_bad_stretch_ends() {
        for (bad, good) in [
            ("<1.2.3", ">=1.2.3"),
            (">=2.0.0 <2.3.4 || <1.5.0", ">=2.3.4"),
            ("<1.0.0 || >=2.0.0", NONE_GOOD),
            ("<=1.1.0", NONE_GOOD),
            ("*", NONE_GOOD),
            ("1.0.0", NONE_GOOD),
        ] {
            assert_eq!(patched(bad), good, "{bad}");
        }
    }
}
