//! Tasks of all packages: `GET /-/tasks`, `GET /-/tasks/:id`, cancelling and trying again.
//!
//! Our own API. What a task does is for everybody to see who may read its package, as its log is;
//! who asked for it is for those who are logged in. Changing one is for admins and for whoever asked for it.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::{EngineError, EngineHandle};
use store::TaskId;
use store::tasks::{self, TaskRow};

use crate::access::gate::Shown;
use crate::app::App;
use crate::control::messages::{TaskAnswer, TasksQuery};
use crate::control::tasks::{known, no_task};
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::extract::caller::{Caller, client};
use crate::views::json_answer;
use crate::views::task::{Created, TaskList};

/// Tasks by age, newest first, with what is asked for in the query; `next` is the `before` of the
/// next page.
///
/// # Errors
/// 401 for a list by author without a login, 422 for a query that makes no sense.
pub async fn list_tasks(
    app: Data<App>,
    caller: Caller,
    query: Query<TasksQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if query.author.is_some() {
        caller.user()?;
    }
    let filter = query.filter()?;
    let limit = filter.limit;
    let store = app.engine.store();
    let rows = store.read(move |rows| tasks::list(rows, &filter)).await?;
    // counting reads the whole queue, so all who ask within some seconds share one count
    let counting = async { store.read(tasks::counts).await.map_err(ApiError::from) };
    let counts = app.task_counts.try_get_with((), counting).await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
    let next = rows.last().filter(|_| is_full).map(|row| row.id.to_string());
    let readable = Shown::to(&app, &request).await?;
    let may_know = |row: &TaskRow| readable.as_ref().is_none_or(|readable| readable.has(&row.name));
    let tasks = rows.into_iter().filter(may_know).map(|row| shown(row, &caller)).collect();
    Ok(json_answer(&TaskList { tasks, next, counts }))
}

/// One task; while it waits with its place in the queue.
///
/// # Errors
/// 404 when there is none, or its package is one that the caller may not know of.
pub async fn get_task(
    app: Data<App>,
    caller: Caller,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (row, place) = known(&app, &id).await?;
    if Shown::to(&app, &request).await?.is_some_and(|readable| !readable.has(&row.name)) {
        return Err(no_task(row.id));
    }
    Ok(json_answer(&TaskAnswer { place, ..shown(row, &caller) }))
}

/// Ends a waiting or running task.
///
/// # Errors
/// 401, 403 for others than admins and the one who asked, 404, 409 when it has ended.
pub async fn cancel_task(asked: Asked) -> Result<HttpResponse, ApiError> {
    let rule = "only waiting and running tasks can be cancelled";
    change(asked, rule, |engine, id| async move { engine.cancel(id).await }).await
}

/// Lets a failed task start over, in front of everything that nobody waits for.
///
/// # Errors
/// 401, 403 for others than admins and the one who asked, 404, 409 when it has not ended.
pub async fn retry_task(asked: Asked) -> Result<HttpResponse, ApiError> {
    let rule = "only tasks that ended can be retried";
    change(asked, rule, |engine, id| async move { engine.retry(id).await }).await
}

/// All of a request to change a task.
type Asked = (Data<App>, Caller, Path<String>, HttpRequest, Payload);

async fn change<F: Future<Output = Result<bool, EngineError>>>(
    (app, caller, id, request, payload): Asked,
    rule: &str,
    change: impl FnOnce(EngineHandle, TaskId) -> F,
) -> Result<HttpResponse, ApiError> {
    drain(&request, payload, app.settings.max_body_bytes).await?;
    let id = own_task(&app, &caller, &id, &request).await?;
    let is_changed = change(app.engine.clone(), id).await?;
    let (row, _) = known(&app, &id.to_string()).await?;
    if is_changed {
        return Ok(json_answer(&Created::of(&row)));
    }
    Err(ApiError::Conflict(format!("task {id} is in state {}; {rule}", row.state)))
}

fn shown(row: TaskRow, caller: &Caller) -> TaskAnswer {
    let row = TaskAnswer::from(row);
    TaskAnswer { author: row.author.filter(|_| caller.user().is_ok()), ..row }
}

/// The id of a task that the caller may change.
async fn own_task(
    app: &App,
    caller: &Caller,
    id: &str,
    request: &HttpRequest,
) -> Result<TaskId, ApiError> {
    let user = caller.user()?;
    if !user.admin {
        app.sync_limit.check(client(app, request), caller.name())?;
    }
    let (row, _) = known(app, id).await?;
    user.may_change(&row.name, "change tasks")?;
    if user.admin || row.author.as_deref() == Some(&user.name) {
        return Ok(row.id);
    }
    Err(ApiError::Forbidden("Not allow to access".to_owned()))
}
