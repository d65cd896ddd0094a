//! The document that a delivery carries, made when it is sent.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use npm::PackageName;
use tokio::sync::OwnedSemaphorePermit;

/// What a delivery carries.
#[derive(Debug)]
pub enum Payload {
    /// The whole document as readers get it, and the room it takes in memory.
    Document(Bytes, Option<OwnedSemaphorePermit>),
    /// There is nothing to show: the package is gone, blocked or was never here.
    Nothing,
    /// The owner of the hook may not read the package.
    NotForOwner,
}

impl Payload {
    /// The JSON in its place in the body.
    pub(super) fn json(&self) -> Bytes {
        match self {
            Self::Document(bytes, _) => bytes.clone(),
            Self::Nothing | Self::NotForOwner => Bytes::from_static(b"null"),
        }
    }
}

/// Makes the payload of a package for the user who owns the hook; who serves documents knows how.
/// An error is a matter of the moment: the delivery is made later.
pub type PayloadSource =
    Arc<dyn Fn(PackageName, String) -> BoxFuture<'static, Result<Payload, String>> + Send + Sync>;
