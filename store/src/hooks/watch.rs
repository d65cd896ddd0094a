//! What hooks are about, known in memory: syncs and commits ask here before they do anything for
//! hooks, so that a mirror without hooks reads and writes nothing for them.
//!
//! The node that makes a hook reads this again before the maker is answered; others see the raised
//! number in the `settings` table within seconds. A sync that looked at a document before that and
//! commits after it is refused and looks again (`HookInterests::missed`), so that nothing that
//! happens behind the answer is lost.

use std::collections::HashSet;
use std::sync::Arc;

use diesel::prelude::*;
use npm::{HookKind, PackageName};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::change::PackageChange;
use crate::schema::hooks;
use crate::{AnyConnection, StoreError};

/// What all hooks together are about.
#[derive(Debug, Default)]
pub struct HookInterests {
    /// Rises whenever these are read again.
    generation: u64,
    packages: HashSet<String>,
    scopes: HashSet<String>,
    owners: HashSet<String>,
}

impl HookInterests {
    /// The number of this reading, for [`PackageChange::watched_at`].
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether there is no hook at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.scopes.is_empty() && self.owners.is_empty()
    }

    /// Whether some hook may want to hear of this package. With a hook about a user it may be any:
    /// who maintains it stands in its document.
    #[must_use]
    pub fn may_want(&self, name: &PackageName) -> bool {
        !self.owners.is_empty()
            || self.packages.contains(name.as_str())
            || name.scope().is_some_and(|scope| self.scopes.contains(scope))
    }

    /// Whether some hook is about what a user maintains.
    #[must_use]
    pub fn follow_users(&self) -> bool {
        !self.owners.is_empty()
    }

    /// Whether a change was worked out before some hook that wants to hear of it was there.
    pub(crate) fn missed(&self, change: &PackageChange) -> bool {
        change.watched_at.is_some_and(|seen| seen != self.generation) && self.may_want(&change.name)
    }

    /// The (kind, name) of hooks that are to be told of a change.
    pub(crate) fn targets<'a>(
        &'a self,
        name: &'a PackageName,
        owners: &'a [String],
    ) -> impl Iterator<Item = (HookKind, &'a str)> {
        let package = self.packages.get(name.as_str()).map(|name| (HookKind::Package, &**name));
        let scope = name.scope().and_then(|scope| self.scopes.get(scope));
        let scope = scope.map(|scope| (HookKind::Scope, &**scope));
        let owners = owners.iter().filter_map(|owner| self.owners.get(owner));
        let owners = owners.map(|owner| (HookKind::Owner, &**owner));
        package.into_iter().chain(scope).chain(owners)
    }
}

/// The interests of now, and the bell that rings when something is to be delivered.
#[derive(Debug, Default)]
pub struct HookWatch {
    current: RwLock<Arc<HookInterests>>,
    reading: Mutex<()>,
    queued: Notify,
}

impl HookWatch {
    /// What hooks are about now.
    #[must_use]
    pub fn current(&self) -> Arc<HookInterests> {
        Arc::clone(&self.current.read())
    }

    /// Reads them again. One reading at a time, so that an older one never replaces a newer one.
    pub(crate) fn read_again(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        let _one = self.reading.lock();
        let read = read(connection)?;
        let mut current = self.current.write();
        let generation = current.generation + 1;
        *current = Arc::new(HookInterests { generation, ..read });
        Ok(())
    }

    /// Says that deliveries were queued; commits of packages do so by themselves.
    pub fn ring(&self) {
        self.queued.notify_one();
    }

    /// Waits until deliveries were queued here since the last call.
    pub async fn queued(&self) {
        self.queued.notified().await;
    }
}

/// What all hooks are about, without a number yet.
fn read(connection: &mut AnyConnection) -> Result<HookInterests, StoreError> {
    let rows = hooks::table.select((hooks::kind, hooks::name)).distinct();
    let mut found = HookInterests::default();
    for (kind, name) in rows.load::<(String, String)>(connection)? {
        let names = match HookKind::from_text(&kind) {
            Some(HookKind::Package) => &mut found.packages,
            Some(HookKind::Scope) => &mut found.scopes,
            Some(HookKind::Owner) => &mut found.owners,
            None => continue,
        };
        names.insert(name);
    }
    Ok(found)
}
