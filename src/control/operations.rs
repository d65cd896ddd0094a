//! Long operations: `verify`, `gc`, `backup`. Each runs on a thread of its own and tells how
//! far it is in lines; a reader that goes away does not stop it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actors::EngineHandle;
use futures_util::{StreamExt, stream};
use npm::PackageName;
use serde::Serialize;
use store::maintenance::{
    Damage, GcOptions, VerifyOptions, VerifyReport, backup_blocking, forget_damaged, gc_blocking,
    verify_blocking,
};
use store::tasks::{NewTask, PRIORITY_PEOPLE, TaskOptions};
use store::{Keeping, Store, StoreError, TaskId, WriteFn, packages};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::body::{json, lines};
use super::messages::{
    BackupAnswer, BackupRequest, DamageAnswer, GcAnswer, GcRequest, OperationLine, TaskAnswer,
    VerifyAnswer, VerifyRequest,
};
use super::tasks::answer;
use crate::app::App;
use crate::error::ApiError;

/// Lines a slow reader may fall behind; progress beyond is left out, the last line never.
const WAITING_LINES: usize = 16;

/// Tells how far an operation is.
type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// `POST verify`.
///
/// # Errors
/// 422 for a sample that is no share.
pub async fn verify(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let asked: VerifyRequest = json(&request, payload).await?;
    if asked.sample.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
        return Err(ApiError::Invalid("sample: must be above 0 and at most 1".to_owned()));
    }
    Ok(operate(&app, move |engine, runtime, mut progress| {
        let seed = actors::clock::now_ms().unsigned_abs();
        let options = VerifyOptions { sample: asked.sample, seed };
        let report = verify_blocking(engine.store(), &options, &mut |now| {
            progress(now.packages, now.of_packages);
        })?;
        let repairing = match asked.repair && !report.damaged.is_empty() {
            true => runtime.block_on(repair(&engine, &report.damaged))?,
            false => Vec::new(),
        };
        Ok(verify_answer(report, repairing))
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
        Ok(GcAnswer {
            blobs: report.blobs,
            bytes: report.bytes,
            tasks: report.tasks,
            freed_bytes: report.compaction.freed_bytes,
        })
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

/// Forgets what is damaged and queues its packages.
async fn repair(engine: &EngineHandle, damaged: &[Damage]) -> Result<Vec<TaskAnswer>, ApiError> {
    let tasks = repair_tasks(engine.store(), damaged).await?;
    let damaged = damaged.to_vec();
    engine.write(Box::new(move |rows| forget_damaged(rows, &damaged))).await?;
    let rows = engine.enqueue(tasks).await?;
    Ok(rows.into_iter().map(answer).collect())
}

/// One task per package, for the damaged versions only; a package is kept as it was.
async fn repair_tasks(store: &Store, damaged: &[Damage]) -> Result<Vec<NewTask>, ApiError> {
    let mut versions: BTreeMap<PackageName, Option<Vec<String>>> = BTreeMap::new();
    for damage in damaged {
        let wanted = versions.entry(damage.name.clone()).or_insert_with(|| Some(Vec::new()));
        match &damage.version {
            Some(version) => wanted.iter_mut().for_each(|wanted| wanted.push(version.clone())),
            None => *wanted = None, // the document: everything is looked at
        }
    }
    let names: Vec<PackageName> = versions.keys().cloned().collect();
    let rows = store.read(move |rows| packages::find_many(rows, &names)).await?;
    let keeping: BTreeMap<PackageName, Keeping> =
        rows.into_iter().map(|row| (row.name, row.keep)).collect();
    let task = |(name, specific_versions): (PackageName, Option<Vec<String>>)| NewTask {
        id: TaskId::new(),
        registry: actors::DEFAULT_REGISTRY.to_owned(),
        priority: PRIORITY_PEOPLE,
        options: TaskOptions {
            skip_dependencies: true,
            force: true,
            tips: Some("repair of damaged files".to_owned()),
            specific_versions,
            keep: keeping.get(&name).copied().unwrap_or(Keeping::Mirrored),
            ..TaskOptions::default()
        },
        name,
        author: None,
        author_ip: None,
    };
    Ok(versions.into_iter().map(task).collect())
}

fn verify_answer(report: VerifyReport, repairing: Vec<TaskAnswer>) -> VerifyAnswer {
    let damage = |damage: Damage| DamageAnswer {
        name: damage.name.to_string(),
        version: damage.version,
        file: damage.file,
        kind: damage.kind.to_string(),
    };
    VerifyAnswer {
        checked: report.checked,
        bytes: report.bytes,
        damaged: report.damaged.into_iter().map(damage).collect(),
        repairing,
    }
}
