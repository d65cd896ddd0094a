//! What happens when stored bytes turn out to be missing or damaged: they are never served,
//! the tables forget them, and they are fetched again like anything that is not here.

use actors::EngineHandle;
use npm::{PackageName, Sha512Digest};
use store::blobs::BlobError;
use store::maintenance::{Damage, DamageKind, forget_damaged};

use super::packages::Packages;
use crate::app::App;

/// Whether an error says that the bytes are not the blob, and not that reading failed.
#[must_use]
pub fn is_damage(error: &BlobError) -> bool {
    matches!(error, BlobError::Missing { .. } | BlobError::Damaged { .. })
}

/// Makes tables and memory forget a blob of a package, so that whoever wants it next fetches
/// it again.
pub async fn forget_blob(
    engine: &EngineHandle,
    packages: &Packages,
    name: &PackageName,
    digest: Sha512Digest,
    what: &str,
) {
    tracing::error!(package.name = %name, what, "stored bytes cannot be used and are forgotten");
    // Only the digest decides what is forgotten.
    let damage = Damage {
        name: name.clone(),
        version: None,
        file: String::new(),
        digest,
        kind: DamageKind::Unreadable(what.to_owned()),
    };
    let write = engine.write(Box::new(move |rows| forget_damaged(rows, &[damage])));
    if let Err(error) = write.await {
        tracing::error!(package.name = %name, %error, "the row of a damaged blob stays");
    }
    packages.forget(name);
}

/// What a body calls when a read fails after the answer has begun.
pub fn forget_later(
    app: &App,
    name: &PackageName,
    digest: Sha512Digest,
) -> impl Fn(&BlobError) + 'static {
    let (engine, packages) = (app.engine.clone(), app.packages.clone());
    let (runtime, name) = (app.runtime.clone(), name.clone());
    move |error| {
        if !is_damage(error) {
            return;
        }
        let (engine, packages) = (engine.clone(), packages.clone());
        let (name, what) = (name.clone(), error.to_string());
        runtime.spawn(async move { forget_blob(&engine, &packages, &name, digest, &what).await });
    }
}
