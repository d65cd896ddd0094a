//! What each command makes of a package: the step from the document before to the one after.

use actors::clock::now_ms;
use actors::publishing::{Before, Edit, HeldTarball};
use npm::publish::{
    Attestation, Draft, Published, TarballFacts, VersionOrigin, attestations_answer,
    new_name_errors, stored_manifest, with_deprecation,
};
use npm::{HookEvent, PackageName, attestations_path_of};
use serde_json::{Value as Json, json};
use store::registries::SELF;
use store::{Act, PackageStatus, Publication, Visibility};

use super::rights::Publisher;
use crate::error::ApiError;
use crate::views::account::iso;

/// Longer than this a version stays once it is published.
const UNPUBLISH_WITHIN_MS: i64 = 72 * 3600 * 1000;

type Decided = Result<Option<Edit>, ApiError>;

/// A version that is to be published.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// What was sent.
    pub published: Published,
    /// What its bytes are.
    pub facts: TarballFacts,
    /// Provenance.
    pub attestations: Vec<Attestation>,
    /// Nobody but those who are let in may read the package.
    pub restricted: bool,
}

/// The first version of a package, or a further one.
///
/// # Errors
/// 403 for who may not and for a version that is there, 422 for a name that cannot be.
pub fn publish(
    name: &PackageName,
    who: &Publisher,
    new: &NewVersion,
    held: Option<HeldTarball>,
    before: Before,
) -> Decided {
    who.may_change(name, &before)?;
    let errors = new_name_errors(name);
    if before.row.is_none() && !errors.is_empty() {
        let text = format!("package.name invalid, errors: {}", errors.join(", "));
        return Err(ApiError::Unprocessable(text));
    }
    let version = new.published.version.as_str();
    let at_ms = now_ms();
    let at = iso(at_ms);
    let is_ours = before.row.as_ref().is_some_and(|row| row.registry == SELF);
    let is_new = !is_ours || before.maintainers.is_empty();
    let maintainers = match is_new {
        true => vec![who.name.clone()],
        false => before.maintainers.clone(),
    };
    let mut draft = before.draft.unwrap_or_else(|| Draft::new(name, &at));
    if let Some(stored) = draft.version(version) {
        return match is_the_same(name, who, new, stored) {
            true => Ok(None),
            false => {
                let text = format!("Can't modify pre-existing version: {name}@{version}");
                Err(ApiError::Forbidden(text))
            }
        };
    }
    let people = who.people(&maintainers);
    let origin =
        VersionOrigin { user: &who.name, email: who.email(&who.name), maintainers: &people, at_ms };
    let sent = &new.published.manifest;
    let manifest = stored_manifest(name, version, sent, &new.facts, &origin, &new.attestations);
    draft.put_version(version, manifest);
    draft.publish_again();
    draft.put_time(version, &at);
    draft.put_member("maintainers", people);
    let mut events = vec![HookEvent::publish(version, new.published.tags.first().map(|t| &**t))];
    for tag in &new.published.tags {
        draft.put_tag(tag, version);
        events.push(HookEvent::dist_tag(tag));
    }
    if draft.tag("latest").is_none() {
        draft.put_tag("latest", version);
        events.push(HookEvent::dist_tag("latest"));
    }
    let path = attestations_path_of(name, version);
    let attestations = match new.attestations.is_empty() {
        true => Vec::new(),
        false => vec![(path, attestations_answer(&new.attestations))],
    };
    let after = json!({ "version": version, "integrity": new.facts.sha512.to_sri() });
    let publication = Publication {
        maintainers: is_new.then(|| maintainers.clone()),
        readmes: vec![(version.to_owned(), new.published.readme.clone())],
        attestations,
        visibility: (new.restricted && is_new).then_some(Visibility::Restricted),
        ..audited(who, "package.publish", None, Some(after))
    };
    let held = held.map(|held| (version.to_owned(), held));
    Ok(Some(Edit { draft, at, publication, held, events, owners: maintainers, cause: "publish" }))
}

fn is_live(status: PackageStatus) -> bool {
    !status.is_gone()
}

/// Whether a version that is there is this one: who got no answer may send it again.
fn is_the_same(name: &PackageName, who: &Publisher, new: &NewVersion, stored: &str) -> bool {
    let Ok(told) = serde_json::from_str::<Json>(stored) else { return false };
    let text = |place: &str| told.pointer(place).and_then(Json::as_str);
    let at_ms = told.pointer("/publish_time").and_then(Json::as_i64);
    let (Some(user), Some(at_ms)) = (text("/_npmUser/name"), at_ms) else { return false };
    let email = text("/_npmUser/email").unwrap_or_default();
    let maintainers = told.pointer("/maintainers").map(Json::to_string).unwrap_or_default();
    let origin = VersionOrigin { user, email, maintainers: &maintainers, at_ms };
    let (version, sent) = (&new.published.version, &new.published.manifest);
    let again = stored_manifest(name, version, sent, &new.facts, &origin, &new.attestations);
    user == who.name && serde_json::from_str::<Json>(&again).is_ok_and(|again| again == told)
}

/// Says of versions why not to use them, or that they may be used again.
///
/// # Errors
/// 403, 404.
pub fn deprecate(
    name: &PackageName,
    who: &Publisher,
    told: &[(String, String)],
    before: Before,
) -> Decided {
    let (mut draft, owners) = existing(name, who, before)?;
    let (mut events, mut changed) = (Vec::new(), Vec::new());
    for (version, text) in told {
        let Some(manifest) = draft.version(version).map(str::to_owned) else { continue };
        let text = Some(text.as_str()).filter(|text| !text.is_empty());
        let after = with_deprecation(&manifest, text);
        if same(&after, &manifest) {
            continue;
        }
        draft.put_version(version, after);
        changed.push(version.as_str());
        events.push(match text {
            Some(_) => HookEvent::deprecated(version),
            None => HookEvent::undeprecated(version),
        });
    }
    if changed.is_empty() {
        return Ok(None);
    }
    let at = iso(now_ms());
    let publication = audited(who, "package.deprecate", None, Some(json!({ "versions": changed })));
    Ok(Some(Edit { draft, at, publication, held: None, events, owners, cause: "deprecate" }))
}

fn same(one: &str, other: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Json>(text).ok();
    read(one) == read(other)
}

/// Takes one version away, or with `None` all of them; `now_ms` is what their age is measured by.
///
/// # Errors
/// 403, 404.
pub fn unpublish(
    name: &PackageName,
    who: &Publisher,
    version: Option<&str>,
    now_ms: i64,
    before: Before,
) -> Decided {
    let rows = before.versions.clone();
    let (mut draft, owners) = existing(name, who, before)?;
    let versions: Vec<String> = match version {
        Some(version) if draft.version(version).is_some() => vec![version.to_owned()],
        Some(version) => return Err(ApiError::not_found(format!("{name}@{version}"))),
        None => draft.versions().map(str::to_owned).collect(),
    };
    let at = iso(now_ms);
    for row in rows.iter().filter(|row| versions.contains(&row.version)) {
        let age_ms = row.published_at_ms.map_or(0, |at_ms| now_ms.saturating_sub(at_ms));
        if age_ms > UNPUBLISH_WITHIN_MS {
            return Err(ApiError::Forbidden(format!(
                "{name}@{} unpublish is not allowed after 72 hours of released",
                row.version
            )));
        }
    }
    let mut events = Vec::new();
    for version in &versions {
        let latest = draft.tag("latest").map(str::to_owned);
        let lost = draft.remove_version(version);
        events.push(HookEvent::unpublish(version, lost.first().map(|tag| &**tag)));
        let gone = lost.iter().filter(|tag| draft.tag(tag).is_none());
        events.extend(gone.map(|tag| HookEvent::dist_tag_removed(tag)));
        let moved = draft.tag("latest").map(str::to_owned);
        if moved.is_some() && moved != latest {
            events.push(HookEvent::dist_tag("latest"));
        }
    }
    // rows of versions that went before their documents did would keep their numbers
    let mut erased = versions.clone();
    if draft.is_unpublished() {
        draft.unpublish(&at);
        events = vec![HookEvent::unpublish_all()];
        erased = rows.into_iter().map(|row| row.version).collect();
    }
    let lost_attestations =
        erased.iter().map(|version| attestations_path_of(name, version)).collect();
    let gone = json!({ "versions": versions });
    let publication = Publication {
        erased,
        lost_attestations,
        ..audited(who, "package.unpublish", Some(gone), None)
    };
    Ok(Some(Edit { draft, at, publication, held: None, events, owners, cause: "unpublish" }))
}

/// Makes a tag mean a version.
///
/// # Errors
/// 403, 404.
pub fn put_tag(
    name: &PackageName,
    who: &Publisher,
    tag: &str,
    version: &str,
    before: Before,
) -> Decided {
    let (mut draft, owners) = existing(name, who, before)?;
    if draft.version(version).is_none() {
        return Err(ApiError::not_found(format!("{name}@{version}")));
    }
    let was = draft.tag(tag).map(str::to_owned);
    if was.as_deref() == Some(version) {
        return Ok(None);
    }
    draft.put_tag(tag, version);
    let at = iso(now_ms());
    let (was, after) = (was.map(|was| json!({ tag: was })), json!({ tag: version }));
    let publication = audited(who, "package.tag", was, Some(after));
    let events = vec![HookEvent::dist_tag(tag)];
    Ok(Some(Edit { draft, at, publication, held: None, events, owners, cause: "dist-tag" }))
}

/// Removes a tag, if there is one.
///
/// # Errors
/// 403, 404.
pub fn remove_tag(name: &PackageName, who: &Publisher, tag: &str, before: Before) -> Decided {
    let (mut draft, owners) = existing(name, who, before)?;
    if tag == "latest" {
        return Err(ApiError::Forbidden("Can't remove the \"latest\" tag".to_owned()));
    }
    let was = draft.tag(tag).map(|was| json!({ tag: was }));
    if !draft.remove_tag(tag) {
        return Ok(None);
    }
    let at = iso(now_ms());
    let publication = audited(who, "package.tag", was, None);
    let events = vec![HookEvent::dist_tag_removed(tag)];
    Ok(Some(Edit { draft, at, publication, held: None, events, owners, cause: "dist-tag" }))
}

/// Gives a package other maintainers.
///
/// # Errors
/// 403, 404, 422 for somebody unknown.
pub fn set_owners(
    name: &PackageName,
    who: &Publisher,
    users: &[String],
    before: Before,
) -> Decided {
    let (mut draft, old) = existing(name, who, before)?;
    if let Some(unknown) = users.iter().find(|user| !who.knows(user)) {
        return Err(ApiError::Unprocessable(format!("Maintainer \"{unknown}\" not exists")));
    }
    let mut users = users.to_vec();
    users.sort_unstable();
    users.dedup();
    if users == old {
        return Ok(None);
    }
    draft.put_member("maintainers", who.people(&users));
    let at = iso(now_ms());
    let gone = old.iter().filter(|user| !users.contains(user));
    let events = users.iter().map(|user| HookEvent::owner(user));
    let events = events.chain(gone.map(|user| HookEvent::owner_removed(user))).collect();
    let owners = old.iter().chain(&users).cloned().collect();
    let publication = Publication {
        maintainers: Some(users.clone()),
        ..audited(who, "package.owner", Some(json!(old)), Some(json!(users)))
    };
    Ok(Some(Edit { draft, at, publication, held: None, events, owners, cause: "owner" }))
}

/// A package that is ours and there, for somebody who may change it, with its maintainers.
fn existing(
    name: &PackageName,
    who: &Publisher,
    before: Before,
) -> Result<(Draft, Vec<String>), ApiError> {
    if before.row.is_none() {
        return Err(ApiError::not_here(name));
    }
    who.may_change(name, &before)?;
    let row = before.row.filter(|row| row.registry == SELF && is_live(row.status));
    match (row, before.draft) {
        (Some(_), Some(draft)) => Ok((draft, before.maintainers)),
        _ => Err(ApiError::not_here(name)),
    }
}

fn audited(
    who: &Publisher,
    action: &'static str,
    before: Option<Json>,
    after: Option<Json>,
) -> Publication {
    let audit = Some(Act { by: who.by.clone(), action, before, after });
    Publication { audit, ..Publication::default() }
}
