//! Where the request budget of a registry is kept: the `request_budgets` table, written through
//! the committer.

use std::sync::{Arc, OnceLock};

use actix::Recipient;
use futures_util::FutureExt;
use store::{Store, StoreError, WriteFn, request_budgets};
use tokio::sync::oneshot;

use crate::clock::now_ms;
use crate::committer::Write;
use crate::upstream::{Month, RequestBudget, Reservation, ReserveFn};

/// The committer, once it has been started.
pub(crate) type LateCommitter = Arc<OnceLock<Recipient<Write>>>;

/// The budget of `registry`, going on where this month stands.
pub(crate) async fn open(
    registry: &str,
    store: &Store,
    committer: LateCommitter,
) -> Result<Arc<RequestBudget>, StoreError> {
    let (name, month) = (registry.to_owned(), Month::of(now_ms()).to_string());
    let read = store.read(move |connection| request_budgets::reserved(connection, &name, &month));
    let reserved = u64::try_from(read.await?).unwrap_or(0);
    let reserve: ReserveFn = Arc::new(move |wanted| reserve(committer.clone(), wanted).boxed());
    Ok(Arc::new(RequestBudget::new(registry, reserve, Arc::new(now_ms), reserved)))
}

async fn reserve(committer: LateCommitter, wanted: Reservation) -> Result<u64, String> {
    let committer = committer.get().ok_or("the engine is starting")?;
    let (tell, told) = oneshot::channel();
    let write: WriteFn = Box::new(move |connection| {
        let amount = i64::try_from(wanted.amount).unwrap_or(i64::MAX);
        let Reservation { registry, month, .. } = &wanted;
        let _ = tell.send(request_budgets::reserve(connection, registry, month, amount)?);
        Ok(())
    });
    // the number counts once the transaction that holds it is durable
    let written = committer.send(Write { write }).await.map_err(|error| error.to_string())?;
    written.map_err(|error| error.to_string())?;
    let reserved = told.await.map_err(|error| error.to_string())?;
    u64::try_from(reserved).map_err(|error| error.to_string())
}
