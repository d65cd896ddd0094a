//! Where hooks are: at the running server, or in the rows beside it when none runs. What is made,
//! changed or asked for again there is delivered by the next one.

use actix_web::ResponseError;
use actors::hook_dispatcher::{HookSettings, check_endpoint, try_alone};
use serde_json::json;
use store::hooks::{self, HookRow, history};
use store::{AnyConnection, Store, StoreError, users};

use crate::{
    cli::{
        control::ControlClient,
        exit::Exit,
        open::{engine_settings, open_rows},
        place::by,
        problem::Problem,
    },
    config::Config,
    control::{
        hooks::{
            DeliveriesQuery, HookChange, HookChangeRequest, HookInfo, HookRequest, HooksAnswer,
            HooksQuery, delivery, made, no_user, not_there,
        },
        messages::DoneAnswer,
    },
    error::ApiError,
    views::hook::{DeliveryList, TestAnswer},
};

/// A running server, or the rows.
pub(super) enum Place {
    /// It answers.
    Running(ControlClient),
    /// The rows, and what the settings say of hooks.
    Alone(Box<Alone>),
}

/// The rows, and what the settings say of hooks.
pub(super) struct Alone {
    store: Store,
    settings: HookSettings,
    most: i64,
}

impl Place {
    /// Finds it; looking makes no database.
    ///
    /// # Errors
    /// When neither a server nor a database is there.
    pub(super) fn open(config: &Config) -> Result<Self, Problem> {
        if let Some(client) = ControlClient::connect(config)? {
            return Ok(Self::Running(client));
        }
        let store = open_rows(config)?.ok_or_else(|| {
            Problem::new(Exit::Unreachable, "NOT_RUNNING", "the mirror is not running")
                .why("and it has no data yet, so there are no hooks")
                .hint("espejo serve")
        })?;
        let settings = *engine_settings(config, None).hooks;
        Ok(Self::Alone(Box::new(Alone { store, settings, most: config.hooks.max_per_user })))
    }

    /// Whether deliveries are made now.
    pub(super) fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    /// A page of all hooks.
    pub(super) async fn list(&self, query: HooksQuery) -> Result<HooksAnswer, Problem> {
        match self {
            Self::Running(client) => client.find("hooks", &query).await,
            Self::Alone(alone) => Ok(alone.store.read(move |rows| query.read(rows)).await?),
        }
    }

    /// Makes one.
    pub(super) async fn add(&self, request: HookRequest) -> Result<HookInfo, Problem> {
        match self {
            Self::Running(client) => client.post("hooks", &request).await,
            Self::Alone(alone) => alone.add(request),
        }
    }

    /// Changes, pauses or resumes one.
    pub(super) async fn change(
        &self,
        id: &str,
        request: HookChangeRequest,
    ) -> Result<HookInfo, Problem> {
        match self {
            Self::Running(client) => client.post(&format!("hooks/{id}/change"), &request).await,
            Self::Alone(alone) => alone.change(id, request),
        }
    }

    /// Ends one.
    pub(super) async fn remove(&self, id: &str) -> Result<HookInfo, Problem> {
        match self {
            Self::Running(client) => client.post(&format!("hooks/{id}/remove"), &json!({})).await,
            Self::Alone(alone) => {
                let gone = alone.write(|rows| hooks::remove(rows, id, &by()))?;
                gone.map(HookInfo::from).ok_or_else(|| refused(&not_there(id)))
            }
        }
    }

    /// Calls one.
    pub(super) async fn test(&self, id: &str) -> Result<TestAnswer, Problem> {
        match self {
            Self::Running(client) => client.post(&format!("hooks/{id}/test"), &json!({})).await,
            Self::Alone(alone) => {
                let hook = alone.find(id)?;
                let (delivery, sent) = try_alone(&alone.store, &alone.settings, hook).await?;
                Ok(TestAnswer::new(delivery, &sent))
            }
        }
    }

    /// What became of its deliveries.
    pub(super) async fn deliveries(
        &self,
        id: &str,
        query: DeliveriesQuery,
    ) -> Result<DeliveryList, Problem> {
        match self {
            Self::Running(client) => client.find(&format!("hooks/{id}/deliveries"), &query).await,
            Self::Alone(alone) => {
                let reading = query.reading(id.to_owned()).map_err(|error| refused(&error))?;
                Ok(alone.store.read(reading).await?)
            }
        }
    }

    /// Sends a delivery again; `false` when there is none.
    pub(super) async fn redeliver(&self, id: &str) -> Result<bool, Problem> {
        match self {
            Self::Running(client) => {
                let path = format!("hooks/redeliver/{id}");
                Ok(client.post::<_, DoneAnswer>(&path, &json!({})).await?.ok)
            }
            Self::Alone(alone) => {
                let id = delivery(id).map_err(|error| refused(&error))?;
                alone.write(|rows| history::redeliver(rows, id))
            }
        }
    }
}

impl Alone {
    fn write<T>(
        &self,
        write: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        Ok(self.store.writer_blocking()?.write_blocking(write)?)
    }

    fn find(&self, id: &str) -> Result<HookRow, Problem> {
        let found = self.store.read_blocking(|rows| hooks::find(rows, id))?;
        found.ok_or_else(|| refused(&not_there(id)))
    }

    fn add(&self, request: HookRequest) -> Result<HookInfo, Problem> {
        let checked = request.checked(|to| check_endpoint(&self.settings, to));
        let new = checked.map_err(|error| refused(&error))?;
        if self.store.read_blocking(|rows| users::find(rows, &new.owner))?.is_none() {
            return Err(refused(&no_user(&new.owner)));
        }
        let hook = self.write(|rows| hooks::create(rows, &new, self.most, &by()))?;
        made(hook).map_err(|error| refused(&error))
    }

    fn change(&self, id: &str, request: HookChangeRequest) -> Result<HookInfo, Problem> {
        let hook = self.find(id)?;
        let checked = request.checked(|to| check_endpoint(&self.settings, to));
        let changed = match checked.map_err(|error| refused(&error))? {
            HookChange::Pause(reason) => {
                self.write(|rows| hooks::pause(rows, id, &reason, &by()))?
            }
            HookChange::Go { endpoint, secret } => {
                let endpoint = endpoint.unwrap_or(hook.endpoint);
                self.write(|rows| hooks::change(rows, id, &endpoint, secret.as_ref(), &by()))?
            }
        };
        changed.map(HookInfo::from).ok_or_else(|| refused(&not_there(id)))
    }
}

/// A refusal as the terminal has those of a running server.
fn refused(error: &ApiError) -> Problem {
    let (exit, code) = match error.status_code().as_u16() {
        401 | 403 => (Exit::NotAuthorised, "NOT_AUTHORISED"),
        404 => (Exit::NotFound, "NOT_FOUND"),
        400 | 422 => (Exit::Usage, "REFUSED"),
        _ => (Exit::Failed, "FAILED"),
    };
    Problem::new(exit, code, error.to_string())
}
