//! What is known of a package, and the changes that follow from an answer of its upstream.
//!
//! Syncs and misses make the same rows because both come here.

use bytes::Bytes;
use npm::{PackageName, PackumentScan, Sha512Digest};
use store::packages::{self, PackageRow};
use store::versions::{self, VersionRow};
use store::{DocumentChange, DocumentEncoding, PackageChange, Store, StoreError, Validators};

use crate::change_builder::{DocumentPlan, Terms, plan_document};
use crate::clock::now_ms;
use crate::hook_news;
use crate::upstream::{FetchedDocument, Upstream, in_place, inflate};

/// A document that cannot be read or is not this package's; the text names both and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableDocument(pub String);

/// A package with all rows of its versions.
pub(crate) struct Known {
    pub(crate) name: PackageName,
    pub(crate) row: Option<PackageRow>,
    pub(crate) versions: Vec<VersionRow>,
    /// Who owns it once it is written, where nobody does yet.
    new_owner: Option<String>,
}

impl Known {
    pub(crate) async fn read(store: &Store, name: &PackageName) -> Result<Self, StoreError> {
        let name = name.clone();
        store
            .read_here(move |connection| {
                let row = packages::find(connection, &name)?;
                let versions = match &row {
                    Some(row) => versions::of_package(connection, row.id)?,
                    None => Vec::new(),
                };
                Ok(Self { name, row, versions, new_owner: None })
            })
            .await
    }

    /// The registry that owns it, as far as that is written down.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.row.as_ref().map(|row| row.registry.as_str())
    }

    /// A package that is new becomes one of this upstream.
    pub(crate) fn asked_at(mut self, upstream: &Upstream) -> Self {
        self.new_owner = Some(upstream.settings().name.clone());
        self
    }

    /// What a conditional request may carry.
    pub(crate) fn validators(&self) -> Validators {
        let held = self.row.as_ref().filter(|row| row.document.is_some());
        held.map(|row| row.validators.clone()).unwrap_or_default()
    }

    /// A change that says "asked just now" and nothing else.
    pub(crate) fn touched(&self, validators: Validators, cause: &'static str) -> PackageChange {
        let mut change = PackageChange::new(self.name.clone(), cause);
        if let Some(owner) = self.owner().or(self.new_owner.as_deref()) {
            owner.clone_into(&mut change.registry);
        }
        if let Some(row) = &self.row {
            (change.keep, change.base_revision) = (row.keep, Some(row.revision));
        }
        PackageChange { validators, checked_at_ms: now_ms(), ..change }
    }

    /// Scans a new document and compares it with the rows.
    ///
    /// # Errors
    /// When it cannot be read or is not this package's document.
    pub(crate) fn plan(
        &self,
        fetched: &FetchedDocument,
        terms: Terms<'_>,
    ) -> Result<DocumentPlan, UnusableDocument> {
        in_place(fetched.body.len(), || {
            let name = &self.name;
            let scan = PackumentScan::parse(&fetched.body).map_err(|error| {
                UnusableDocument(format!("the document of {name} cannot be read: {error}"))
            })?;
            plan_document(name, &scan, &self.versions, terms)
                .map_err(|refused| UnusableDocument(refused.to_string()))
        })
    }

    /// The text of the held document; `None` when there is none or it cannot be read.
    pub(crate) async fn document_body(&self, store: &Store) -> Option<Bytes> {
        let document = self.row.as_ref()?.document.as_ref()?;
        let reader = store.blobs().reader(&document.digest, document.location).await.ok()?;
        let stored = reader.read_all().await.ok()?;
        let body_bytes = usize::try_from(document.body_bytes).ok()?;
        match document.encoding {
            DocumentEncoding::Identity => Some(stored),
            DocumentEncoding::Gzip => in_place(body_bytes, || inflate(&stored, body_bytes)).ok(),
            DocumentEncoding::Zstd => None, // no upstream sends it to us
        }
    }

    /// Stores the bytes of a new document, unless they are held already, and makes the change
    /// that says what they mean.
    pub(crate) async fn with_document(
        &self,
        store: &Store,
        fetched: FetchedDocument,
        plan: DocumentPlan,
        cause: &'static str,
    ) -> Result<PackageChange, StoreError> {
        let digest = in_place(fetched.stored.len(), || Sha512Digest::of(&fetched.stored));
        let held = self.row.as_ref().and_then(|row| row.document.as_ref());
        let mut change = self.touched(fetched.validators, cause);
        let same = held.filter(|held| held.digest == digest);
        if same.is_none() {
            hook_news::tell_document(store, self, &fetched.body, &plan, &mut change).await;
        }
        let is_back = self.row.as_ref().is_some_and(|row| row.gone_at_ms.is_some());
        if (same.is_none() || is_back) && !plan.keep_old_document {
            let location = match same {
                Some(held) => held.location,
                None => {
                    let location = store.blobs().put(digest, fetched.stored).await?;
                    change.blobs.push((digest, location));
                    location
                }
            };
            change.document = Some(DocumentChange {
                digest,
                location,
                encoding: fetched.encoding,
                stored_bytes: location.length,
                body_bytes: i64::try_from(fetched.body.len()).unwrap_or(i64::MAX),
                upstream_rev: plan.upstream_rev,
                added_version: plan.added_version,
                dist_tags: plan.dist_tags,
                modified: plan.modified,
                status: plan.status,
            });
        }
        change.versions = plan.versions;
        change.removed_versions = plan.removed;
        change.alarms = plan.alarms;
        change.revise = plan.judged_anew;
        Ok(change)
    }
}
