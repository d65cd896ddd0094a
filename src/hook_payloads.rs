//! What deliveries to hooks carry: the document as a reader would get it now.
//!
//! Made anew for each delivery of a package (the engine keeps it for those that follow at once) and
//! kept nowhere. Large documents take their room from `ROOM_KIB` as long as they are on their
//! way, so that however many hooks wait, memory is bounded.

use std::sync::{Arc, Weak};

use actors::hook_dispatcher::{Payload, PayloadSource};
use npm::{PackageName, PackumentForm};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::gate;
use crate::app::App;
use crate::cache::bodies::{BodyPlace, NoBody};
use crate::cache::packages::Package;
use crate::cache::render::Wanted;
use crate::error::ApiError;
use crate::extract::encoding::Encoding;

/// Memory for documents on their way to hooks, in KiB.
const ROOM_KIB: u32 = 128 << 10;
/// Documents up to this size take no room.
const FREE_BYTES: i64 = 64 << 10;

/// The way from the engine to documents. It ends with the server.
pub fn source(app: &Arc<App>) -> PayloadSource {
    let app = Arc::downgrade(app);
    let room = Arc::new(Semaphore::new(usize::try_from(ROOM_KIB).unwrap_or(usize::MAX)));
    Arc::new(move |name, owner| {
        let (app, room) = (Weak::clone(&app), Arc::clone(&room));
        Box::pin(async move {
            let app = app.upgrade().ok_or("the server is being stopped")?;
            payload(&app, room, &name, &owner).await
        })
    })
}

async fn payload(
    app: &App,
    room: Arc<Semaphore>,
    name: &PackageName,
    owner: &str,
) -> Result<Payload, String> {
    let package = match app.packages.find_current(name).await {
        Ok(package) => package,
        Err(ApiError::Legal(_) | ApiError::Forbidden(_)) => None, // blocked
        Err(error) => return Err(error.to_string()),
    };
    let may_read = gate::lets_user_in(app, name, package.as_deref(), owner).await;
    if !may_read.map_err(|error| error.to_string())? {
        return Ok(Payload::NotForOwner);
    }
    let Some(package) = package else { return Ok(Payload::Nothing) };
    let permit = take_room(room, &package).await;
    let wanted = Wanted::Packument(PackumentForm::Full, Encoding::Identity);
    match app.bodies.get(&package, wanted, &app.bases.own()).await {
        Ok(body) => match &body.place {
            BodyPlace::Memory(bytes) => Ok(Payload::Document(bytes.clone(), permit)),
            BodyPlace::Blob(..) => Err("a document that is kept nowhere is in a blob".to_owned()),
        },
        Err(NoBody::NoVersion) => Ok(Payload::Nothing),
        Err(NoBody::Failed(error)) => Err(error.to_string()),
        Err(NoBody::Damaged(what)) => {
            // the next reader has it fetched again, and so has this
            if let Err(error) = app.packages.revalidate_now(name).await {
                return Err(format!("{what}; upstream cannot be asked: {error}"));
            }
            Err(what)
        }
    }
}

/// The body as stored, unpacked and as rendered.
async fn take_room(room: Arc<Semaphore>, package: &Package) -> Option<OwnedSemaphorePermit> {
    let bytes = package.document.body_bytes;
    if bytes <= FREE_BYTES {
        return None;
    }
    let kib = u32::try_from(bytes.saturating_mul(3) >> 10).unwrap_or(ROOM_KIB).min(ROOM_KIB);
    room.acquire_many_owned(kib).await.ok()
}
