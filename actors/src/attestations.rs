//! Attestations of versions, fetched when first asked for and kept.
//!
//! Most versions have none, so "none" is kept too, for a while. What was there once stays when
//! upstream loses it. The `kept_answers` table is the truth.

use std::time::Duration;

use bytes::Bytes;
use npm::PackageName;
use store::kept_answers::{self, KeptAnswer};
use store::{Store, StoreError};

use crate::clock::now_ms;
use crate::fetch_through::MissError;
use crate::signing_keys::WriteRows;
use crate::upstream::{Upstream, Urgency};

/// Attestations are made at publish time; a list only grows when a registry adds its own.
const ASK_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// "None" is asked again sooner: an edge of a CDN may not have it yet.
const ASK_AGAIN_FOR_NONE: Duration = Duration::from_secs(600);

/// The attestations of a version; `None` when it has none.
///
/// # Errors
/// When upstream cannot be asked and nothing is held.
pub(crate) async fn find(
    store: &Store,
    write: &WriteRows,
    upstream: Option<Upstream>,
    name: &PackageName,
    version: &str,
) -> Result<Option<Bytes>, MissError> {
    let path = npm::attestations_path_of(name, version);
    let registry =
        upstream.as_ref().map_or(crate::DEFAULT_REGISTRY, |upstream| &upstream.settings().name);
    let held = held(store, registry, &path).await?;
    if let Some(held) = held.as_ref().filter(|held| is_fresh(held)) {
        return Ok(held.body.clone().map(Bytes::from));
    }
    let answer = match &upstream {
        Some(upstream) => upstream.answer(&path, Urgency::Person).await.map_err(MissError::from),
        None => Err(MissError::no_upstream()),
    };
    match (answer, held) {
        (Ok(body), held) => {
            keep(write, registry, &path, body.clone()).await;
            Ok(body.or_else(|| held?.body.map(Bytes::from)))
        }
        (Err(error), Some(held)) => {
            tracing::debug!(path, %error, "attestations were not asked for again");
            Ok(held.body.map(Bytes::from))
        }
        (Err(error), None) => Err(error),
    }
}

async fn held(store: &Store, registry: &str, path: &str) -> Result<Option<KeptAnswer>, StoreError> {
    let (registry, path) = (registry.to_owned(), path.to_owned());
    store.read(move |rows| kept_answers::find(rows, &registry, &path)).await
}

fn is_fresh(held: &KeptAnswer) -> bool {
    let limit = if held.body.is_some() { ASK_AGAIN } else { ASK_AGAIN_FOR_NONE };
    let age_ms = now_ms().saturating_sub(held.checked_at_ms);
    i64::try_from(limit.as_millis()).is_ok_and(|limit_ms| age_ms < limit_ms)
}

/// An answer that could not be kept is fetched again by the next reader.
async fn keep(write: &WriteRows, registry: &str, path: &str, body: Option<Bytes>) {
    let (registry, path) = (registry.to_owned(), path.to_owned());
    let write_row = Box::new(move |rows: &mut store::AnyConnection| {
        kept_answers::keep(rows, &registry, &path, body.as_deref(), now_ms())
    });
    if let Err(error) = write(write_row).await {
        tracing::debug!(%error, "an answer with attestations was not kept");
    }
}
