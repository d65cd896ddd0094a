//! Long operations: `verify`, `gc`, `backup`. Each runs on a thread of its own and tells how
//! far it is in lines; a reader that goes away does not stop it.

use std::path::PathBuf;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actors::EngineHandle;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use store::maintenance::{
    Damage, GcOptions, VerifyOptions, backup_blocking, forget_damaged, gc_blocking, verify_blocking,
};
use store::tasks::TaskOptions;
use store::{StoreError, WriteFn};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::body::{json, lines};
use super::messages::{
    BackupAnswer, BackupRequest, GcAnswer, GcRequest, OperationLine, TaskAnswer, VerifyAnswer,
    VerifyRequest,
};
use crate::app::App;
use crate::error::ApiError;
use crate::repair;
use crate::wanted::{Wanted, WantedPackages};

/// Lines a slow reader may fall behind; progress beyond is left out, the last line never.
const WAITING_LINES: usize = 16;

/// Tells how far an operation is.
type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// `POST verify`.
///
/// # Errors
/// 422 for a sample that is no share and for names that are none.
pub async fn verify(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let asked: VerifyRequest = json(&request, payload).await?;
    if asked.sample.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
        return Err(ApiError::Invalid("sample: must be above 0 and at most 1".to_owned()));
    }
    let named = asked.repair.as_deref().map(WantedPackages::read).transpose()?;
    Ok(operate(&app, move |engine, runtime, mut progress| {
        let seed = actors::clock::now_ms().unsigned_abs();
        let options = VerifyOptions { sample: asked.sample, seed };
        let report = verify_blocking(engine.store(), &options, &mut |now| {
            progress(now.packages, now.of_packages);
        })?;
        let repairing = match named {
            Some(named) => runtime.block_on(mend(&engine, &report.damaged, &named))?,
            None => Vec::new(),
        };
        Ok(VerifyAnswer::new(report, repairing))
    }))
}

/// `POST gc`.
///
/// # Errors
/// 422 for a body that is none.
pub async fn gc(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let asked: GcRequest = json(&request, payload).await?;
    Ok(operate(&app, move |engine, runtime, _| {
        let options =
            GcOptions { dry_run: asked.dry_run, ..GcOptions::new(actors::clock::now_ms()) };
        let mut writes = |write: WriteFn| {
            runtime
                .block_on(engine.write(write))
                .map_err(|error| StoreError::Retry(error.to_string()))
        };
        let report = gc_blocking(engine.store(), &mut writes, &options)?;
        Ok(GcAnswer::from(report))
    }))
}

/// `POST backup`.
///
/// # Errors
/// 422 for a folder that is not absolute.
pub async fn backup(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let asked: BackupRequest = json(&request, payload).await?;
    let dir = PathBuf::from(&asked.dir);
    if !dir.is_absolute() {
        return Err(ApiError::Invalid(format!("dir: {} is not absolute", asked.dir)));
    }
    Ok(operate(&app, move |engine, _, _| {
        backup_blocking(engine.store(), &dir)?;
        Ok(BackupAnswer { dir: asked.dir })
    }))
}

/// Runs an operation on a thread and answers with its lines.
fn operate<R: Serialize>(
    app: &App,
    work: impl FnOnce(EngineHandle, Handle, Progress) -> Result<R, ApiError> + Send + 'static,
) -> HttpResponse {
    let (sender, receiver) = mpsc::channel(WAITING_LINES);
    let (engine, runtime) = (app.engine.clone(), app.runtime.clone());
    app.runtime.spawn_blocking(move || {
        let progress = sender.clone();
        let progress: Progress = Box::new(move |done, total| {
            // A full channel means a slow reader: it gets the next one.
            let _ = progress.try_send(OperationLine::Progress { done, total });
        });
        let report = work(engine, runtime, progress).and_then(|report| {
            serde_json::to_value(report).map_err(|error| ApiError::Internal(error.to_string()))
        });
        let last = match report {
            Ok(report) => OperationLine::Report { report },
            Err(ApiError::Internal(cause)) => OperationLine::Failed { error: cause },
            Err(error) => OperationLine::Failed { error: error.to_string() },
        };
        // A reader that went away does not want it.
        let _ = sender.blocking_send(last);
    });
    lines(
        stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) })
            .boxed(),
    )
}

/// Forgets what is damaged and named, and queues its packages.
async fn mend(
    engine: &EngineHandle,
    damaged: &[Damage],
    named: &[Wanted],
) -> Result<Vec<TaskAnswer>, ApiError> {
    let damaged = repair::chosen(damaged, named);
    if damaged.is_empty() {
        return Ok(Vec::new());
    }
    let of_rows = damaged.clone();
    let wanted = engine.store().read(move |rows| repair::wanted(rows, &of_rows)).await?;
    engine.write(Box::new(move |rows| forget_damaged(rows, &damaged))).await?;
    let options = TaskOptions::from(repair::options());
    let tasks = wanted.into_iter().map(|one| one.into_task(options.clone())).collect();
    let rows = engine.enqueue(tasks).await?;
    Ok(rows.into_iter().map(TaskAnswer::from).collect())
}
