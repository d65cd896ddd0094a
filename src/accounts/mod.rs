//! Accounts: who may log in, and the tokens they ask with.
//!
//! Tables are the truth. What is kept in memory is [`known`], the tokens that were used a moment
//! ago; every write that goes through [`Accounts::write`] makes this node forget them before its
//! caller has an answer, and other nodes a moment later.

pub mod changes;
pub mod known;
pub mod names;
pub mod passwords;
pub mod ranges;
pub mod refusals;

use std::sync::Arc;
use std::time::Duration;

use actors::EngineHandle;
use npm::Sha512Digest;
use store::audit::By;
use store::tokens::{self, TokenLimits, TokenRow};
use store::{AnyConnection, StoreError, WriteFn};
use tokio::runtime::Handle;

use self::known::KnownTokens;
use self::passwords::Passwords;
use self::refusals::Refusals;
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
    /// Logins that were refused a moment ago.
    pub refusals: Arc<Refusals>,
    engine: EngineHandle,
    runtime: Handle,
}

impl Drop for Accounts {
    /// Whoever waits for news learns that there will be none.
    fn drop(&mut self) {
        self.refusals.news.notify_one();
    }
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
            refusals: Arc::default(),
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
        let (engine, known) = (self.engine.clone(), self.known.clone());
        let writing = self.runtime.spawn(async move {
            let written = engine.write_returning(work).await;
            known.forget();
            written
        });
        Ok(writing.await.map_err(|error| ApiError::Internal(format!("a write: {error}")))??)
    }

    /// Makes a token of a user; `None` when one of this name is there.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn issue(
        &self,
        user: &str,
        limits: TokenLimits,
        by: By,
    ) -> Result<Option<(Token, TokenRow)>, ApiError> {
        let token = Token::generate().map_err(|error| ApiError::Internal(error.to_string()))?;
        let new = token.row(user, limits);
        let made = self.write(move |rows| changes::add_token(rows, &new, &by)).await?;
        Ok(made.map(|row| (token, row)))
    }

    /// Makes the token of a login with a password.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn log_in(&self, user: &str, by: By) -> Result<Option<Token>, ApiError> {
        let token = Token::generate().map_err(|error| ApiError::Internal(error.to_string()))?;
        let new = token.row(user, TokenLimits::default());
        let made = self.write(move |rows| changes::log_in(rows, &new, &by)).await?;
        Ok(made.map(|_| token))
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

    /// Writes down which logins were refused.
    pub async fn write_refusals(&self) {
        let gathered = self.refusals.take();
        if gathered.is_empty() {
            return;
        }
        let write: WriteFn = Box::new(move |rows| gathered.write(rows));
        if let Err(error) = self.engine.write(write).await {
            tracing::warn!(%error, "refused logins could not be written into the audit log");
        }
    }

    /// Does so when there are some, for as long as anybody else holds this.
    pub async fn keep_writing_refusals(app: std::sync::Weak<crate::app::App>) {
        let Some(refusals) = app.upgrade().map(|app| Arc::clone(&app.accounts.refusals)) else {
            return;
        };
        loop {
            refusals.news.notified().await;
            let Some(app) = app.upgrade() else { return };
            app.accounts.write_refusals().await;
            drop(app);
            tokio::time::sleep(refusals::GATHER_FOR).await;
        }
    }

    /// Writes the times of use every half minute, for as long as anybody else holds this.
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
