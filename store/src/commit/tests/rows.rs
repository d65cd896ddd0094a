//! What changes do to rows that are there.

use super::{batch, version};
use crate::testing::{bare_change, held, on_each_database, package, remote};
use crate::{
    Keeping, PackageChange, Validators, VersionState, blob_rows, changes, dist_tags, packages,
    versions,
};

#[test]
fn a_reused_blob_is_found() {
    on_each_database(|test| {
        let tarball = test.put("same bytes");
        let mut first = test.change("a", None, "a1");
        first.blobs.push(tarball);
        test.commit(first).unwrap();
        let mut second = test.change("b", None, "b1");
        second.reused = vec![tarball.0];
        second.versions = vec![held("1.0.0", tarball.0)];
        test.commit(second).unwrap();
        let found = test.read(|c| versions::find(c, &package("b"), "1.0.0")).unwrap();
        assert_eq!(found.location, Some(tarball.1));
    });
}

#[test]
fn a_blob_put_twice_keeps_its_first_place() {
    on_each_database(|test| {
        let first = test.put("same bytes");
        let second = test.put("same bytes");
        let mut change = test.change("a", None, "a1");
        change.blobs.push(first);
        test.commit(change).unwrap();
        let mut change = test.change("b", None, "b1");
        change.blobs.push(second);
        test.commit(change).unwrap();
        assert_eq!(test.read(|c| blob_rows::find(c, &first.0)), Some(first.1));
    });
}

#[test]
fn what_a_version_must_hash_to_is_written_once() {
    on_each_database(|test| {
        let mut change = test.change("p", None, "1");
        change.versions = vec![remote("1.0.0")];
        change.versions.push(crate::VersionChange { expected: None, ..remote("1.0.1") });
        test.commit(change).unwrap();
        let other = crate::VersionChange { expected: Some("other".into()), ..remote("1.0.0") };
        let late = crate::VersionChange { expected: Some("late".into()), ..remote("1.0.1") };
        let none = crate::VersionChange { expected: None, ..remote("1.0.1") };
        let mut change = test.change("p", Some(1), "2");
        change.versions = vec![other, late];
        test.commit(change).unwrap();
        let mut change = test.change("p", Some(2), "3");
        change.versions = vec![none];
        test.commit(change).unwrap();
        assert_eq!(version(test, "p", "1.0.0").expected.as_deref(), Some("sha512-of-1.0.0"));
        assert_eq!(version(test, "p", "1.0.1").expected.as_deref(), Some("late"));
    });
}

#[test]
fn a_held_version_stays_held_when_the_document_is_read_again() {
    on_each_database(|test| {
        let tarball = test.put("tarball");
        let mut change = test.change("p", None, "1");
        change.blobs.push(tarball);
        change.versions = vec![held("1.0.0", tarball.0)];
        test.commit(change).unwrap();
        let mut change = test.change("p", Some(1), "2");
        let mut again = remote("1.0.0");
        again.manifest = npm::ManifestDigest([2; 16]);
        again.tarball_file = "renamed.tgz".into();
        change.versions = vec![again];
        test.commit(change).unwrap();
        let row = version(test, "p", "1.0.0");
        assert_eq!((row.state, row.blob), (VersionState::Held, Some(tarball.0)));
        assert_eq!(row.size_bytes, Some(9));
        assert_eq!((row.manifest.0, row.tarball_file.as_str()), ([2; 16], "renamed.tgz"));

        let mut change = bare_change("p", Some(2));
        let failed = crate::VersionChange {
            state: VersionState::Failed,
            reason: Some("damaged".into()),
            ..remote("1.0.0")
        };
        change.versions = vec![failed];
        test.commit(change).unwrap();
        let row = version(test, "p", "1.0.0");
        assert_eq!((row.state, row.blob), (VersionState::Failed, None));
        assert_eq!(row.reason.as_deref(), Some("damaged"));
    });
}

#[test]
fn a_removed_version_is_hidden_and_may_come_back() {
    on_each_database(|test| {
        let mut change = test.change("p", None, "1");
        change.versions = vec![remote("1.0.0"), remote("2.0.0")];
        test.commit(change).unwrap();
        let mut change = bare_change("p", Some(1));
        change.removed_versions = vec!["1.0.0".into(), "never was".into()];
        change.checked_at_ms = 5_000;
        let committed = test.commit(change).unwrap();
        assert_eq!(committed.revision, 2);
        assert_eq!(version(test, "p", "1.0.0").removed_at_ms, Some(5_000));
        assert_eq!(version(test, "p", "2.0.0").removed_at_ms, None);
        let mut change = test.change("p", Some(2), "3");
        change.versions = vec![remote("1.0.0")];
        test.commit(change).unwrap();
        assert_eq!(version(test, "p", "1.0.0").removed_at_ms, None);
    });
}

#[test]
fn what_did_not_change_costs_no_revision_and_no_seq() {
    on_each_database(|test| {
        let first = test.commit(test.change("p", None, "1")).unwrap();
        let mut same = test.change("p", Some(1), "1");
        same.checked_at_ms = 9_000;
        same.keep = Keeping::Cached;
        same.validators.last_modified = Some("today".into());
        let again = test.commit(same).unwrap();
        assert_eq!(again, first);
        let row = test.read(|c| packages::find(c, &package("p"))).unwrap();
        assert_eq!((row.checked_at_ms, row.changed_at_ms), (9_000, 1_000));
        assert_eq!(row.keep, Keeping::Mirrored);
        assert_eq!(row.validators.last_modified.as_deref(), Some("today"));

        let mut not_modified = bare_change("p", Some(1));
        not_modified.checked_at_ms = 8_000;
        assert_eq!(test.commit(not_modified).unwrap(), first);
        let row = test.read(|c| packages::find(c, &package("p"))).unwrap();
        assert_eq!(row.checked_at_ms, 9_000);
        assert!(row.validators.etag.is_some(), "validators that are not repeated stay");
        assert!(row.document.is_some());
        let touched = (package("p"), 10_000, Validators { etag: None, last_modified: None });
        test.write(|c| packages::touch_checked(c, &[touched]));
        let row = test.read(|c| packages::find(c, &package("p"))).unwrap();
        assert_eq!(row.checked_at_ms, 10_000);
        assert!(row.validators.etag.is_some());
        assert_eq!(test.read(|c| changes::since(c, 0, 10)).len(), 1);
    });
}

#[test]
fn a_cached_package_becomes_mirrored() {
    on_each_database(|test| {
        let mut change = test.change("p", None, "1");
        change.keep = Keeping::Cached;
        test.commit(change).unwrap();
        test.commit(bare_change("p", Some(1))).unwrap();
        let row = test.read(|c| packages::find(c, &package("p"))).unwrap();
        assert_eq!((row.keep, row.revision), (Keeping::Mirrored, 1));
    });
}

#[test]
fn two_tarballs_of_one_package_go_into_one_batch() {
    on_each_database(|test| {
        let mut change = test.change("p", None, "1");
        change.versions = vec![remote("1.0.0"), remote("2.0.0")];
        test.commit(change).unwrap();
        let changes = ["1.0.0", "2.0.0"].map(|key| {
            let tarball = test.put(key);
            PackageChange {
                versions: vec![held(key, tarball.0)],
                blobs: vec![tarball],
                cause: "tarball",
                ..bare_change("p", Some(1))
            }
        });
        let outcome = test.writer().commit_blocking(&mut batch(changes.into())).unwrap();
        let seqs: Vec<_> =
            outcome.changes.iter().map(|one| one.as_ref().unwrap().local_seq).collect();
        assert_eq!(seqs, [2, 3]);
        for key in ["1.0.0", "2.0.0"] {
            assert_eq!(version(test, "p", key).state, VersionState::Held);
        }
        let log = test.read(|c| changes::since(c, 0, 10));
        assert_eq!(log.len(), 1, "one row for a package, its newest: {log:?}");
        assert_eq!((log[0].seq, log[0].kind.as_str()), (3, "tarball"));
    });
}

#[test]
fn tags_follow_the_document() {
    on_each_database(|test| {
        let tags = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(tag, version)| ((*tag).into(), (*version).into())).collect()
        };
        let mut change = test.change("p", None, "1");
        let first = tags(&[("latest", "1.0.0"), ("next", "2.0.0-rc"), ("old", "0.1.0")]);
        change.document.as_mut().unwrap().dist_tags = first;
        test.commit(change).unwrap();
        let mut change = test.change("p", Some(1), "2");
        let second = tags(&[("beta", "3.0.0"), ("latest", "2.0.0"), ("old", "0.1.0")]);
        change.document.as_mut().unwrap().dist_tags = second.clone();
        test.commit(change).unwrap();
        assert_eq!(test.read(|c| dist_tags::of_package(c, &package("p"))), second);
    });
}

#[test]
fn a_version_or_tag_named_twice_counts_once_and_the_last_wins() {
    on_each_database(|test| {
        let mut change = test.change("p", None, "1");
        let second = crate::VersionChange { tarball_file: "second.tgz".into(), ..remote("1.0.0") };
        change.versions = vec![remote("1.0.0"), second];
        let tags = &mut change.document.as_mut().unwrap().dist_tags;
        tags.push(("latest".into(), "2.0.0".into()));
        test.commit(change).unwrap();
        assert_eq!(version(test, "p", "1.0.0").tarball_file, "second.tgz");
        let tags = test.read(|c| dist_tags::of_package(c, &package("p")));
        assert_eq!(tags, [("latest".to_owned(), "2.0.0".to_owned())]);
    });
}
