//! What operators do to accounts, registries, advisories and the audit log: one piece of code for
//! the running server, which does it for its socket and for admins from afar, and for the command
//! line alone under the folder lock.
//!
//! An [`Operation`] is a request with its answer: it travels as JSON to a running server
//! (`control::operate`), or is performed on the rows at hand. Passwords, tokens and links are made and
//! hashed where the person sits, so that no answer and, but for the token of a registry, no request
//! holds a secret.

pub mod accounts;
pub mod advisories;
pub mod audit;
pub mod registries;

use serde::Serialize;
use serde::de::DeserializeOwned;
use store::audit::By;
use store::{AnyConnection, StoreError};

use crate::registries::{Refused, Rules};

/// Something that is done to rows.
pub trait Operation: Serialize + DeserializeOwned + Send + 'static {
    /// What comes of it.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// Where a running server takes it, below the prefix of the owner's API.
    const PATH: &'static str;
    /// It changes nothing.
    const READS: bool = false;
    /// What a running server has to know of it.
    const NEWS: News = News::None;

    /// Does it, in a transaction when it changes something.
    ///
    /// # Errors
    /// The refusal inside, those of the database outside.
    fn perform(
        self,
        rows: &mut AnyConnection,
        with: &Surroundings,
    ) -> Result<Result<Self::Answer, Refused>, StoreError>;
}

/// What an operation has to know beside the rows.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// What registries may not be.
    pub rules: Rules,
    /// Names that are admins by the settings.
    pub admins: Vec<String>,
    /// Who asks.
    pub by: By,
}

/// What is in memory and differs from the rows afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// Nothing.
    None,
    /// Users and tokens.
    Accounts,
    /// Registries and scopes.
    Registries,
}
