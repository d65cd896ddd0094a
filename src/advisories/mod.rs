//! What an audit is told: local advisories where an operator loaded some, else what the upstreams
//! say, else nothing.
//!
//! An upstream hears of the names that it owns and of no others: those in private scopes, those
//! published here and those of other registries stay here.

pub mod report;
pub mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use npm::PackageName;
use npm::advisory::Advisory;
use store::{advisories, packages};

use crate::app::App;
use crate::error::ApiError;

/// An install waits for its audit, so an upstream that does not answer is not waited for long.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Versions by package.
pub type Asked = BTreeMap<PackageName, BTreeSet<String>>;

/// Advisories by package.
pub type Told = BTreeMap<String, Vec<Advisory>>;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// By the name of the package; packages without any are left out.
    pub told: Told,
    /// Why it may not be all there is.
    pub notice: Option<&'static str>,
}

const NO_DATA: &str =
    "this mirror has no advisory data and could not ask its upstream; nothing was audited";
const PART: &str = "not every upstream could be asked for advisories; the audit is not complete";

/// Looks for the advisories of versions.
///
/// # Errors
/// When the store cannot be read; an upstream that cannot be asked is none.
pub async fn find(app: &App, asked: Asked) -> Result<Found, ApiError> {
    let names: Vec<PackageName> = asked.keys().cloned().collect();
    let read = app.engine.store().read(move |rows| {
        if advisories::any(rows)? {
            return Ok((Some(advisories::of_packages(rows, &names)?), HashMap::new()));
        }
        Ok((None, packages::owners(rows, &names)?))
    });
    let (local, owners) = read.await?;
    let Some(local) = local else { return Ok(ask(app, asked, &owners).await) };
    let mut told = Told::new();
    for row in local {
        let versions = asked.get(&row.name);
        if versions.is_some_and(|versions| versions.iter().any(|one| row.known.concerns(one))) {
            told.entry(row.name.to_string()).or_default().push(row.known.advisory);
        }
    }
    Ok(Found { told, notice: None })
}

/// Asks each registry for the names it owns.
async fn ask(app: &App, asked: Asked, owners: &HashMap<PackageName, String>) -> Found {
    let ownership = app.engine.registries().ownership();
    let mut by_registry = BTreeMap::<String, Asked>::new();
    for (name, versions) in asked {
        let set = owners.get(&name).map(String::as_str);
        if let Ok(registry) = ownership.asked(&name, set) {
            by_registry.entry(registry.to_owned()).or_default().insert(name, versions);
        }
    }
    let asking = by_registry.iter().map(|(registry, asked)| async move {
        let told = ask_one(app, registry, asked).await;
        told.inspect_err(|error| tracing::debug!(registry, %error, "advisories were not told"))
    });
    let answers = join_all(asking).await;
    let (all, failed) = (answers.len(), answers.iter().filter(|answer| answer.is_err()).count());
    let notice = match failed {
        0 => None,
        failed if failed == all => Some(NO_DATA),
        _ => Some(PART),
    };
    Found { told: answers.into_iter().flatten().flatten().collect(), notice }
}

async fn ask_one(app: &App, registry: &str, asked: &Asked) -> Result<Told, String> {
    let body = asked.iter().map(|(name, versions)| (name.as_str(), versions));
    let body = serde_json::to_vec(&body.collect::<BTreeMap<_, _>>());
    let body = body.map_err(|error| error.to_string())?;
    let asking = app.engine.ask_for_advisories(registry, Bytes::from(body));
    let answer = tokio::time::timeout(LONGEST_WAIT, asking).await;
    let answer = answer.map_err(|_| format!("no answer within {} s", LONGEST_WAIT.as_secs()))?;
    let answer = answer.map_err(|error| error.to_string())?;
    let told = serde_json::from_slice(&answer);
    let mut told: Told = told.map_err(|error| format!("these are no advisories: {error}"))?;
    told.retain(|name, _| asked.keys().any(|known| known.as_str() == name));
    Ok(told)
}
