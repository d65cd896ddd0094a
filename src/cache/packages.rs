//! What is known of each package: one row, kept in memory until something is committed
//! about it.
//!
//! Also decides whether a document is old enough to be checked upstream. Losable: filled by
//! reading the `packages` table.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actors::clock::now_ms;
use actors::{EngineHandle, MissError};
use moka::future::Cache;
use npm::PackageName;
use store::maintainers;
use store::packages::{self, DocumentRef, PackageRow};
use store::{PackageStatus, Validators};

use super::generations::{Generations, Seen};
use super::withheld::{Hidden, Withheld, learn};
use crate::access::rights::is_ours;
use crate::error::ApiError;

/// States kept; about 500 bytes each.
const KEPT: u64 = 20_000;

/// After an old document was sent to be checked, its row is read again this much later at
/// the earliest, and the check asked for again if it still is old.
const ASK_AGAIN_MS: i64 = 1_000;

/// A package whose document is here.
#[derive(Debug)]
pub struct Package {
    /// Its name.
    pub name: PackageName,
    /// Row id.
    pub id: i64,
    /// Raised by every change that readers can see.
    pub revision: i64,
    /// Where the document lies.
    pub document: DocumentRef,
    /// What upstream sent with it.
    pub validators: Validators,
    /// When upstream was last asked, unix milliseconds.
    pub checked_at_ms: i64,
    /// Versions that are not shown.
    pub hidden: Hidden,
    /// Fingerprint of those.
    pub hidden_print: i64,
    /// Of a package that is ours, and may have readers of its own: who maintains it.
    pub maintainers: Option<Vec<String>>,
    asked_at_ms: AtomicI64,
    seen: Seen,
}

/// The states.
#[derive(Clone)]
pub struct Packages {
    cache: Cache<PackageName, Arc<Package>>,
    generations: Arc<Generations>,
    engine: EngineHandle,
    fresh_for_ms: i64,
}

/// Why a row gave no [`Package`].
enum NoPackage {
    NotHere,
    Failed(ApiError),
}

impl Packages {
    /// Empty.
    #[must_use]
    pub fn new(engine: EngineHandle, generations: Arc<Generations>, fresh_for: Duration) -> Self {
        let fresh_for_ms = i64::try_from(fresh_for.as_millis()).unwrap_or(i64::MAX);
        Self { cache: Cache::new(KEPT), generations, engine, fresh_for_ms }
    }

    /// The package, when its document is here.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub async fn find(&self, name: &PackageName) -> Result<Option<Arc<Package>>, ApiError> {
        if let Some(package) = self.cache.get(name).await {
            if self.generations.is_current(package.seen) && !self.is_over(&package) {
                return Ok(Some(package));
            }
            self.cache.invalidate(name).await;
        }
        match self.cache.try_get_with_by_ref(name, self.load(name)).await {
            Ok(package) => Ok(Some(package)),
            Err(none) => match none.as_ref() {
                NoPackage::NotHere => Ok(None),
                NoPackage::Failed(error) => Err(error.clone()),
            },
        }
    }

    /// The same as it is in the store at this moment, whatever news are still on their way.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub async fn find_current(&self, name: &PackageName) -> Result<Option<Arc<Package>>, ApiError> {
        let seen = self.generations.raise_and_look(name);
        loop {
            let found = self.find(name).await?;
            // a look that began before ours may have seen an older row
            match &found {
                Some(package) if !package.seen.is_since(seen) => {} // old, so it is read again
                _ => return Ok(found),
            }
        }
    }

    /// The same, and an old document is checked upstream: behind the reader's back, or, when
    /// `wait` is set, before the answer. An upstream that cannot be asked changes nothing.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub async fn find_fresh(
        &self,
        name: &PackageName,
        wait: bool,
    ) -> Result<Option<Arc<Package>>, ApiError> {
        let Some(package) = self.find(name).await? else { return Ok(None) };
        self.engine.note_read(name);
        if wait && package.maintainers.is_some() {
            // nobody upstream is asked, but another node may have published a moment ago
            return self.find_current(name).await;
        }
        let now_ms = now_ms();
        if now_ms.saturating_sub(package.checked_at_ms) < self.fresh_for_ms {
            return Ok(Some(package));
        }
        if wait {
            if let Err(error) = self.revalidate_now(name).await {
                tracing::debug!(package.name = %name, %error, "served without a check upstream");
            }
            return self.find(name).await;
        }
        self.check_later(&package, now_ms).await;
        Ok(Some(package))
    }

    /// Asks upstream whether the document changed and waits for the answer.
    ///
    /// # Errors
    /// What upstream or the engine says; what is held stays.
    pub async fn revalidate_now(&self, name: &PackageName) -> Result<(), MissError> {
        let checked = self.engine.revalidate_now(name).await;
        self.generations.raise(name);
        checked
    }

    /// Forgets what is in memory about a package.
    pub fn forget(&self, name: &PackageName) {
        self.generations.raise(name);
    }

    /// Whether some version has become old enough to be shown.
    fn is_over(&self, package: &Package) -> bool {
        let until_ms = package.hidden.until_ms;
        until_ms.is_some_and(|until_ms| self.engine.policy().clock.now_ms() >= until_ms)
    }

    async fn check_later(&self, package: &Package, now_ms: i64) {
        let asked = package.asked_at_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(asked) < ASK_AGAIN_MS {
            return;
        }
        if asked != 0 {
            // The check may have ended with "not modified", which commits nothing.
            self.cache.invalidate(&package.name).await;
        }
        package.asked_at_ms.store(now_ms, Ordering::Relaxed);
        self.engine.revalidate(&package.name);
    }

    async fn load(&self, name: &PackageName) -> Result<Arc<Package>, NoPackage> {
        let seen = self.generations.look(name);
        let (mut row, mut withheld, mut maintainers) = self.look(name).await?;
        if withheld.lacks_facts {
            learn(&self.engine, name).await;
            (row, withheld, maintainers) = self.look(name).await?;
        }
        if let Some(refused) = withheld.package {
            return Err(NoPackage::Failed(refused));
        }
        let hidden = Arc::new(withheld.versions);
        row.and_then(|row| package(row, hidden, maintainers, seen))
            .map(Arc::new)
            .ok_or(NoPackage::NotHere)
    }

    async fn look(&self, name: &PackageName) -> Result<Looked, NoPackage> {
        let (wanted, policy) = (name.clone(), self.engine.policy());
        let is_private = self.engine.registries().ownership().is_private(name);
        let read = self.engine.store().read(move |rows| {
            let row = packages::find(rows, &wanted)?;
            let withheld = Withheld::read(rows, &policy, &wanted, row.as_ref())?;
            let ours = row.as_ref().is_some_and(|row| is_ours(&row.registry, is_private));
            let maintainers =
                if ours { Some(maintainers::of_package(rows, &wanted)?) } else { None };
            Ok((row, withheld, maintainers))
        });
        read.await.map_err(|error| NoPackage::Failed(error.into()))
    }
}

/// What the tables say of a package: its row, what is withheld, and who maintains one of ours.
type Looked = (Option<PackageRow>, Withheld, Option<Vec<String>>);

/// A row without a document, or whose document lists nothing, is as good as none.
fn package(
    row: PackageRow,
    hidden: Hidden,
    maintainers: Option<Vec<String>>,
    seen: Seen,
) -> Option<Package> {
    let document =
        row.document.filter(|_| row.status != PackageStatus::Emptied && !row.status.is_absent())?;
    Some(Package {
        name: row.name,
        id: row.id,
        revision: row.revision,
        document,
        validators: row.validators,
        checked_at_ms: row.checked_at_ms,
        hidden_print: hidden.fingerprint(),
        hidden,
        maintainers,
        asked_at_ms: AtomicI64::new(0),
        seen,
    })
}
