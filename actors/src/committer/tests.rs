use std::collections::VecDeque;
use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, MessageResult, Supervisor};
use npm::PackageName;
use parking_lot::Mutex;
use store::{BatchOutcome, Committed, PackageChange, StoreError};

use super::*;

/// A writer that refuses batches holding the change named `guilty`, and notes batch sizes.
#[derive(Default)]
struct FakeWriter {
    sizes: Arc<Mutex<Vec<usize>>>,
    disk_full: Arc<Mutex<VecDeque<&'static str>>>,
}

impl Actor for FakeWriter {
    type Context = Context<Self>;
}

impl Handler<WriteBatch> for FakeWriter {
    type Result = MessageResult<WriteBatch>;

    fn handle(&mut self, message: WriteBatch, _: &mut Self::Context) -> Self::Result {
        let batch = message.batch;
        self.sizes.lock().push(batch.changes.len());
        if let Some(error) = self.disk_full.lock().pop_front() {
            let error = StoreError::DiskFull(error.into());
            return MessageResult(Err(FailedBatch { changes: batch.changes, error }));
        }
        if batch.changes.iter().any(|change| change.name.as_str() == "guilty") {
            let error = StoreError::Other("constraint failed".into());
            return MessageResult(Err(FailedBatch { changes: batch.changes, error }));
        }
        let committed = Committed { package_id: 1, revision: 1, local_seq: 1 };
        MessageResult(Ok(BatchOutcome {
            deliveries: 0,
            writes: batch.writes.iter().map(|_| Ok(())).collect(),
            changes: batch.changes.iter().map(|_| Ok(committed)).collect(),
        }))
    }
}

impl Handler<Idle> for FakeWriter {
    type Result = ();

    fn handle(&mut self, _: Idle, _: &mut Self::Context) {}
}

fn start(writer: FakeWriter) -> Addr<Committer> {
    let writer = writer.start();
    Supervisor::start(move |_| {
        Committer::new(writer.clone().recipient(), writer.recipient(), broadcast::channel(8).0)
    })
}

fn change(name: &str) -> PackageChange {
    PackageChange::new(PackageName::parse(name).unwrap(), "sync")
}

#[actix::test]
async fn what_arrives_while_a_batch_is_written_shares_the_next_one() {
    let writer = FakeWriter::default();
    let sizes = Arc::clone(&writer.sizes);
    let committer = start(writer);
    let sent = (0..20).map(|n| committer.send(Commit { change: change(&format!("p{n}")) }));
    for answer in futures_util::future::join_all(sent).await {
        answer.unwrap().unwrap();
    }
    let sizes = sizes.lock().clone();
    assert_eq!(sizes.iter().sum::<usize>(), 20);
    assert!(sizes.len() < 20, "every change had a transaction of its own: {sizes:?}");
}

#[actix::test]
async fn one_bad_change_fails_alone() {
    let committer = start(FakeWriter::default());
    let names = ["a", "b", "guilty", "c", "d", "e"];
    let sent = names.map(|name| committer.send(Commit { change: change(name) }));
    let answers = futures_util::future::join_all(sent).await;
    for (name, answer) in names.iter().zip(answers) {
        assert_eq!(answer.unwrap().is_err(), *name == "guilty", "{name}");
    }
}

#[actix::test]
async fn a_full_disk_is_told_to_everybody_at_once() {
    let writer = FakeWriter::default();
    writer.disk_full.lock().push_back("no room");
    let sizes = Arc::clone(&writer.sizes);
    let committer = start(writer);
    let answer = committer.send(Commit { change: change("a") }).await.unwrap();
    assert!(matches!(answer, Err(CommitError::DiskFull(text)) if text == "no room"));
    committer.send(Commit { change: change("a") }).await.unwrap().unwrap();
    assert_eq!(*sizes.lock(), [1, 1]);
}

#[actix::test]
async fn draining_waits_for_everything_sent_before() {
    let committer = start(FakeWriter::default());
    let first = committer.send(Commit { change: change("a") });
    let write = committer.send(Write { write: Box::new(|_| Ok(())) });
    let (first, write, drained) = futures_util::join!(first, write, committer.send(Drain));
    first.unwrap().unwrap();
    write.unwrap().unwrap();
    drained.unwrap();
    let status = committer.send(DescribeCommitter).await.unwrap();
    assert_eq!((status.waiting, status.writing), (0, false));
    assert_eq!((status.changes, status.writes, status.failed), (1, 1, 0));
}
