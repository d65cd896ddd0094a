//! What hooks hear of a sync: the difference between the document that is here and the new one.
//!
//! Worked out only for packages that some hook may want to hear of, because it takes the old
//! document to be read. Of a package that was not here before all versions and tags are news; its
//! maintainers are not, as nobody changed them.

use std::collections::{HashMap, HashSet};

use npm::{HookEvent, PackageName, PackumentScan, VersionEntry};
use serde::Deserialize;
use store::{PackageChange, PackageStatus, Store, StoreError, VersionChange};

use crate::change_builder::DocumentPlan;
use crate::known::Known;
use crate::upstream::in_place;

/// Tells a change that brings a new document what hooks hear of it.
pub(crate) async fn tell_document(
    store: &Store,
    known: &Known,
    body: &[u8],
    plan: &DocumentPlan,
    change: &mut PackageChange,
) {
    let interests = store.hooks().current();
    if !interests.may_want(&known.name) {
        change.watched_at = Some(interests.generation());
        return;
    }
    if plan.keep_old_document {
        return;
    }
    let held = known.row.as_ref().is_some_and(|row| row.document.is_some());
    let old = known.document_body(store).await;
    let bytes = body.len() + old.as_ref().map_or(0, |old| old.len());
    in_place(bytes, || {
        let Ok(new) = PackumentScan::parse(body) else { return };
        let old = old.as_deref().and_then(|old| PackumentScan::parse(old).ok());
        let news = News { known, plan, new: &new, old: old.as_ref(), held };
        (change.events, change.owners) = (news.events(), news.owners());
    });
}

/// Tells a change that takes a whole package away.
pub(crate) async fn tell_absence(store: &Store, known: &Known, change: &mut PackageChange) {
    let interests = store.hooks().current();
    let is_new = known.row.as_ref().is_some_and(|row| !row.status.is_absent());
    let takes_away = change.gone.is_some_and(|gone| gone.status.is_some());
    if !is_new || !takes_away {
        return;
    }
    if !interests.may_want(&known.name) {
        change.watched_at = Some(interests.generation());
        return;
    }
    change.events = vec![HookEvent::unpublish_all()];
    let Some(old) = known.document_body(store).await else { return };
    in_place(old.len(), || {
        if let Ok(old) = PackumentScan::parse(&old) {
            change.owners = maintainers(&old);
        }
    });
}

/// Login names of those who maintain a package, where some hook may be about one of them.
pub(crate) async fn owners_of(
    store: &Store,
    name: &PackageName,
) -> Result<Vec<String>, StoreError> {
    if !store.hooks().current().follow_users() {
        return Ok(Vec::new());
    }
    let known = Known::read(store, name).await?;
    let Some(body) = known.document_body(store).await else { return Ok(Vec::new()) };
    Ok(in_place(body.len(), || {
        PackumentScan::parse(&body).map(|scan| maintainers(&scan)).unwrap_or_default()
    }))
}

struct News<'a> {
    known: &'a Known,
    plan: &'a DocumentPlan,
    new: &'a PackumentScan<'a>,
    old: Option<&'a PackumentScan<'a>>,
    /// A document was here, be it readable or not.
    held: bool,
}

impl News<'_> {
    fn events(&self) -> Vec<HookEvent> {
        if self.is_gone() {
            let was_live = self.known.row.as_ref().map(|row| row.status);
            let is_news = was_live == Some(PackageStatus::Live);
            return if is_news { vec![HookEvent::unpublish_all()] } else { Vec::new() };
        }
        let mut events = self.versions();
        // of a document that cannot be read nobody knows what differs
        if self.old.is_some() || !self.held {
            events.extend(self.tags());
            events.extend(self.maintainers());
            events.extend(self.deprecations());
        }
        events
    }

    fn is_gone(&self) -> bool {
        matches!(self.plan.status, PackageStatus::Unpublished | PackageStatus::Emptied)
    }

    fn versions(&self) -> Vec<HookEvent> {
        let rows: HashMap<&str, bool> = self
            .known
            .versions
            .iter()
            .map(|row| (row.version.as_str(), row.removed_at_ms.is_some()))
            .collect();
        let is_added = |version: &str| rows.get(version).copied().unwrap_or(true);
        let is_new = |row: &&VersionChange| {
            is_added(&row.version) && self.new.version(&row.version).is_some()
        };
        let mut added: Vec<&VersionChange> = self.plan.versions.iter().filter(is_new).collect();
        // documents of some registries are not in the order of time
        added.sort_by_key(|row| row.published_at_ms);
        let published = added.into_iter().map(|row| {
            let tag = tag_of(&row.version, &self.new.dist_tags, self.old_tags());
            HookEvent::publish(&row.version, tag)
        });
        let gone = self.plan.removed.iter().filter(|version| !is_added(version));
        let unpublished = gone
            .map(|version| HookEvent::unpublish(version, tag_of(version, self.old_tags(), &[])));
        published.chain(unpublished).collect()
    }

    fn old_tags(&self) -> &[Tag<'_>] {
        self.old.map_or(&[], |old| old.dist_tags.as_slice())
    }

    fn tags(&self) -> impl Iterator<Item = HookEvent> {
        let old: HashMap<_, _> = pairs(self.old_tags()).collect();
        let new: HashMap<_, _> = pairs(&self.new.dist_tags).collect();
        let set = pairs(&self.new.dist_tags).filter(|(tag, to)| old.get(tag) != Some(to));
        let set: Vec<_> = set.map(|(tag, _)| HookEvent::dist_tag(tag)).collect();
        let gone = pairs(self.old_tags()).filter(|(tag, _)| !new.contains_key(tag));
        let gone: Vec<_> = gone.map(|(tag, _)| HookEvent::dist_tag_removed(tag)).collect();
        set.into_iter().chain(gone)
    }

    fn maintainers(&self) -> Vec<HookEvent> {
        let Some(old) = self.old else { return Vec::new() };
        let (before, now) = (maintainers(old), maintainers(self.new));
        let came = now.iter().any(|name| !before.contains(name));
        let stay = now.iter().filter(|_| came).map(|name| HookEvent::owner(name));
        let gone = before.iter().filter(|name| !now.contains(name));
        stay.chain(gone.map(|name| HookEvent::owner_removed(name))).collect()
    }

    /// Only a version whose manifest differs can have another text.
    fn deprecations(&self) -> Vec<HookEvent> {
        let Some(old) = self.old else { return Vec::new() };
        let changed = self.plan.versions.iter().filter_map(|row| {
            let (before, now) = (old.version(&row.version)?, self.new.version(&row.version)?);
            let texts = (VersionEntry::deprecation(before), VersionEntry::deprecation(now));
            match texts {
                (before, now) if before == now => None,
                (_, Some(_)) => Some(HookEvent::deprecated(&row.version)),
                (_, None) => Some(HookEvent::undeprecated(&row.version)),
            }
        });
        changed.collect()
    }

    fn owners(&self) -> Vec<String> {
        let all = self.old.into_iter().chain([self.new]).flat_map(maintainers);
        let mut seen = HashSet::new();
        all.filter(|name| seen.insert(name.clone())).collect()
    }
}

type Tag<'a> = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>);

fn pairs<'a>(tags: &'a [Tag<'_>]) -> impl Iterator<Item = (&'a str, &'a str)> {
    tags.iter().map(|(tag, version)| (&**tag, &**version))
}

/// The tag that means a version and did not before, `latest` first.
fn tag_of<'a>(version: &str, tags: &'a [Tag<'_>], before: &[Tag<'_>]) -> Option<&'a str> {
    let is_new = |tag: &str| !pairs(before).any(|known| known == (tag, version));
    let means = pairs(tags).filter(|(tag, to)| *to == version && is_new(tag));
    means.map(|(tag, _)| tag).min_by_key(|tag| *tag != "latest")
}

/// Whom a document calls its maintainers, by login name.
fn maintainers(scan: &PackumentScan<'_>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Person {
        #[serde(default)]
        name: String,
    }
    let list = scan.member("maintainers");
    let people = list.and_then(|list| serde_json::from_str::<Vec<Person>>(list.get()).ok());
    let names = people.into_iter().flatten().map(|person| person.name);
    names.filter(|name| !name.is_empty()).collect()
}
