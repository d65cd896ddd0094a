//! Accounts: who may log in, and the tokens they ask with.
//!
//! Tables are the truth. What is kept in memory is [`known`], the tokens that were used a moment
//! ago; every write that goes through [`Accounts::write`] makes this node forget them before its
//! caller has an answer, and other nodes read a token again after [`known::KNOWN_FOR`].

pub mod changes;
pub mod known;
pub mod names;
pub mod passwords;
pub mod ranges;

use std::time::Duration;

use actors::EngineHandle;
use npm::Sha512Digest;
use store::audit::By;
use store::tokens::{self, TokenLimits, TokenRow};
use store::{AnyConnection, StoreError, WriteFn};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use self::known::KnownTokens;
use self::passwords::Passwords;
use crate::admin_token::Token;
use crate::app::ServeSettings;
use crate::error::ApiError;
use crate::rate_limits::PerMinute;

/// How often the times of use are written down.
const WRITE_USES_EVERY: Duration = Duration::from_secs(30);

/// What handlers need of accounts.
pub struct Accounts {
    /// Tokens that were used lately.
    pub known: KnownTokens,
    /// Hashing, a few at a time.
    pub passwords: Passwords,
    /// Passwords that are tried.
    pub login_limit: PerMinute,
    /// Tokens that are made.
    pub token_limit: PerMinute,
    engine: EngineHandle,
    runtime: Handle,
}

impl Accounts {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(settings: &ServeSettings, engine: EngineHandle, runtime: Handle) -> Self {
        Self {
            known: KnownTokens::new(engine.store().clone()),
            passwords: Passwords::new(settings.password_cost, settings.workers, runtime.clone()),
            login_limit: PerMinute::new("logins", settings.login_per_minute),
            token_limit: PerMinute::new("new tokens", settings.token_per_minute),
            engine,
            runtime,
        }
    }

    /// Runs a write of users or tokens in the engine's next transaction; in effect on this node
    /// when it answers, whether or not the caller still waits.
    ///
    /// # Errors
    /// Those of the write.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let write: WriteFn = Box::new(move |rows| {
            // the caller may have gone; what was asked for is done all the same
            let _ = answer.send(work(rows)?);
            Ok(())
        });
        let (engine, known) = (self.engine.clone(), self.known.clone());
        let writing = self.runtime.spawn(async move {
            let written = engine.write(write).await;
            known.forget();
            written
        });
        writing.await.map_err(|error| ApiError::Internal(format!("a write: {error}")))??;
        answered.await.map_err(|_| ApiError::Internal("a write without an answer".to_owned()))
    }

    /// Makes a token of a user; `None` when one of this name is there. Whoever asked for it stands
    /// in the audit log; logins, which make one each, do not.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn issue(
        &self,
        user: &str,
        limits: TokenLimits,
        by: Option<By>,
    ) -> Result<Option<(Token, TokenRow)>, ApiError> {
        let token = Token::generate().map_err(|error| ApiError::Internal(error.to_string()))?;
        let new = token.row(user, limits);
        let made = self.write(move |rows| match by {
            Some(by) => changes::add_token(rows, &new, &by),
            None if tokens::create(rows, &new)? => tokens::find(rows, &new.key),
            None => Ok(None),
        });
        let made = made.await?;
        Ok(made.map(|row| (token, row)))
    }

    /// Writes down when tokens were used. What cannot be written is lost: the time is for people.
    pub async fn write_uses(&self) {
        let used = self.known.take_uses();
        if used.is_empty() {
            return;
        }
        let write: WriteFn = Box::new(move |rows| tokens::touch(rows, &used));
        if let Err(error) = self.engine.write(write).await {
            tracing::warn!(%error, "the times at which tokens were used could not be written");
        }
    }

    /// Does so every half minute, for as long as anybody else holds this.
    pub async fn keep_writing_uses(app: std::sync::Weak<crate::app::App>) {
        let mut ticks = tokio::time::interval(WRITE_USES_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(app) = app.upgrade() else { return };
            app.accounts.write_uses().await;
        }
    }
}

/// What a secret text is found by.
#[must_use]
pub fn key_of(text: &str) -> Sha512Digest {
    Sha512Digest::of(text.as_bytes())
}
