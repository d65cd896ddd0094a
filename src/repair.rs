//! Which of the damage is mended, and what has to be fetched for it.

use std::collections::BTreeMap;

use npm::PackageName;
use store::maintenance::Damage;
use store::{AnyConnection, Keeping, StoreError, packages};

use crate::control::messages::SyncOptions;
use crate::wanted::Wanted;

/// The damage that was asked to be mended: that of `named`, all of it when nothing is named.
#[must_use]
pub fn chosen(damaged: &[Damage], named: &[Wanted]) -> Vec<Damage> {
    let is_named =
        |damage: &&Damage| named.is_empty() || named.iter().any(|wanted| means(wanted, damage));
    damaged.iter().filter(is_named).cloned().collect()
}

fn means(wanted: &Wanted, damage: &Damage) -> bool {
    let no_tags: &[(String, String)] = &[];
    let is_it = |spec: &String| {
        damage.version.as_deref().is_some_and(|version| {
            npm::resolve_spec(spec, no_tags, std::iter::once(version)) == Ok(Some(version))
        })
    };
    wanted.name == damage.name && wanted.specs.as_ref().is_none_or(|specs| specs.iter().any(is_it))
}

/// What has to be fetched again: only the damaged versions, each package kept as it was.
///
/// # Errors
/// Those of the database.
pub fn wanted(rows: &mut AnyConnection, damaged: &[Damage]) -> Result<Vec<Wanted>, StoreError> {
    let mut versions: BTreeMap<PackageName, Option<Vec<String>>> = BTreeMap::new();
    for damage in damaged {
        let of_package = versions.entry(damage.name.clone()).or_insert_with(|| Some(Vec::new()));
        match &damage.version {
            Some(version) => of_package.iter_mut().for_each(|all| all.push(version.clone())),
            None => *of_package = None, // the document: everything is looked at
        }
    }
    let names: Vec<PackageName> = versions.keys().cloned().collect();
    let found = packages::find_many(rows, &names)?;
    let kept: BTreeMap<_, _> = found.into_iter().map(|row| (row.name, row.keep)).collect();
    let one = |(name, specs): (PackageName, Option<Vec<String>>)| {
        let keep = kept.get(&name).copied().unwrap_or(Keeping::Mirrored);
        Wanted { name, specs, keep }
    };
    Ok(versions.into_iter().map(one).collect())
}

/// How they are fetched: without validators, and nothing else with them.
#[must_use]
pub fn options() -> SyncOptions {
    SyncOptions {
        dependencies: false,
        force: true,
        tips: Some("repair of damaged files".to_owned()),
    }
}
