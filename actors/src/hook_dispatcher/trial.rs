//! Trying a hook by hand, outside of the order of what waits for it.

use npm::{HookEvent, HookEventKind, PackageName};
use store::hooks::HookRow;
use store::hooks::lease::{self, Fate, Tried};
use store::hooks::outbox::DeliveryId;
use store::{AnyConnection, Store, StoreError};

use super::HookDeps;
use super::payload::{Payload, PayloadSource};
use super::sender::{Sender, Sending, Sent};
use super::settings::HookSettings;
use crate::clock::now_ms;
use crate::committer::{CommitError, write_returning};

/// Tries a hook at once and writes down how it went; answers with the id of the delivery.
pub(super) async fn test_hook(
    deps: HookDeps,
    payloads: Option<PayloadSource>,
    hook: HookRow,
) -> Result<(DeliveryId, Sent), CommitError> {
    let payload = match (PackageName::parse(&hook.name), payloads) {
        (Ok(name), Some(payloads)) => payloads(name, hook.owner.clone()).await,
        _ => Ok(Payload::Nothing),
    };
    let (at_ms, begun) = (now_ms(), hook.clone());
    let begin =
        move |rows: &mut AnyConnection| lease::begin_test(rows, &begun, &HookEvent::test(), at_ms);
    let id = DeliveryId { seq: write_returning(deps.write.clone(), begin).await?, at_ms };
    let payload = payload.unwrap_or(Payload::Nothing);
    let (sent, tried) = send(&deps.sender, &hook, id, &payload).await;
    write_returning(deps.write, move |rows| lease::end_test(rows, &tried)).await?;
    Ok((id, sent))
}

/// The same where no engine runs: with no document, as nobody is there to make one.
///
/// # Errors
/// Those of the store, and when nothing can be sent at all.
pub async fn try_alone(
    store: &Store,
    settings: &HookSettings,
    hook: HookRow,
) -> Result<(DeliveryId, Sent), StoreError> {
    let sender = Sender::new(settings).map_err(StoreError::Other)?;
    let (at_ms, begun) = (now_ms(), hook.clone());
    let begin =
        move |rows: &mut AnyConnection| lease::begin_test(rows, &begun, &HookEvent::test(), at_ms);
    let id = DeliveryId { seq: write_alone(store, begin).await?, at_ms };
    let (sent, tried) = send(&sender, &hook, id, &Payload::Nothing).await;
    write_alone(store, move |rows| lease::end_test(rows, &tried)).await?;
    Ok((id, sent))
}

async fn write_alone<T: Send + 'static>(
    store: &Store,
    write: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = store.clone();
    let written =
        tokio::task::spawn_blocking(move || store.writer_blocking()?.write_blocking(write));
    written.await.map_err(|error| StoreError::Other(error.to_string()))?
}

async fn send(sender: &Sender, hook: &HookRow, id: DeliveryId, payload: &Payload) -> (Sent, Tried) {
    let sending = Sending {
        hook,
        event: HookEventKind::Test,
        change_json: "{}",
        package: &hook.name,
        at_ms: id.at_ms,
        delivery: id.to_string(),
        payload,
    };
    let sent = sender.send(sending).await;
    let fate = if sent.delivered { Fate::Delivered } else { Fate::Parked };
    let tried = Tried { seq: id.seq, number: 1, attempt: Some(sent.attempt.clone()), fate };
    (sent, tried)
}
