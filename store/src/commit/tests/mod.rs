//! The write path on both databases.

mod order;
mod refusals;
mod rows;

use crate::testing::{TestStore, held, on_each_database, package, remote};
use crate::{
    CommitBatch, Keeping, PackageChange, PackageStatus, TaskEnd, TaskId, TaskState, VersionState,
    alarms, changes, dist_tags, packages, segments, tasks, versions,
};

fn batch(changes: Vec<PackageChange>) -> CommitBatch {
    CommitBatch { writes: Vec::new(), changes }
}

fn version(test: &TestStore, name: &str, key: &str) -> versions::VersionRow {
    test.read(|connection| versions::find(connection, &package(name), key)).unwrap().row
}

#[test]
fn a_committed_package_is_all_there() {
    on_each_database(|test| {
        let task = queued(test, "@s/p");
        let tarball = test.put("tarball");
        let mut change = test.change("@s/p", None, "document");
        change.blobs.push(tarball);
        change.versions = vec![held("1.0.0", tarball.0), remote("1.1.0")];
        change.alarms = vec!["look at this".into()];
        change.task = Some(ended(task, "all done\n"));
        let committed = test.commit(change.clone()).unwrap();

        let row = test.read(|c| packages::find(c, &package("@s/p"))).unwrap();
        assert_eq!((row.id, row.revision), (committed.package_id, 1));
        assert_eq!((committed.revision, committed.local_seq), (1, 1));
        assert_eq!((row.keep, row.status), (Keeping::Mirrored, PackageStatus::Live));
        assert_eq!(row.validators, change.validators);
        let document = row.document.unwrap();
        assert_eq!(document.digest, change.document.as_ref().unwrap().digest);
        assert_eq!(document.location, change.document.as_ref().unwrap().location);
        assert_eq!((document.stored_bytes, document.body_bytes), (8, 24));
        let versions = test.read(|c| versions::of_package(c, row.id));
        let keys: Vec<_> = versions.iter().map(|row| (row.version.as_str(), row.state)).collect();
        assert_eq!(keys, [("1.0.0", VersionState::Held), ("1.1.0", VersionState::Remote)]);
        assert_eq!(versions[0].expected.as_deref(), Some("sha512-of-1.0.0"));
        let found = test.read(|c| versions::find(c, &package("@s/p"), "1.0.0")).unwrap();
        assert_eq!(found.location, Some(tarball.1));
        let tags = test.read(|c| dist_tags::of_package(c, &package("@s/p")));
        assert_eq!(tags, [("latest".to_owned(), "1.0.0".to_owned())]);
        assert_eq!(test.read(|c| tasks::find(c, task)).unwrap().state, TaskState::Success);
        assert_eq!(test.read(|c| tasks::log(c, task)).as_deref(), Some("all done\n"));
        let log = test.read(|c| changes::since(c, 0, 10));
        assert_eq!((log.len(), log[0].seq, log[0].kind.as_str()), (1, 1, "sync"));
        assert_eq!(test.read(|c| alarms::newest(c, 10))[0].message, "look at this");
        let known = test.read(segments::all);
        assert!(known[0].durable_bytes >= tarball.1.end(), "{known:?} covers the tarball");
        let totals = test.read(packages::totals);
        assert_eq!((totals.packages, totals.versions, totals.held), (1, 2, 1));
        assert_eq!(totals.bytes, 8 + 7);
    });
}

fn queued(test: &TestStore, name: &str) -> TaskId {
    let task = tasks::NewTask {
        id: TaskId::new(),
        name: package(name),
        registry: "default".into(),
        priority: 0,
        options: tasks::TaskOptions::default(),
        author: None,
        author_ip: None,
    };
    test.write(|c| {
        tasks::enqueue(c, vec![task])?;
        tasks::claim(c, "default", "here", 1, 60_000)
    })[0]
        .id
}

fn ended(id: TaskId, log: &str) -> TaskEnd {
    TaskEnd { id, state: TaskState::Success, error: None, failure: None, log: log.into() }
}
