//! The index follows what is committed and may be lost.

use espejo::search::index::SearchIndex;
use espejo::search::question::Question;
use espejo::search::{Place, SearchError};

use super::{answer, described, finds, searching};
use crate::harness::{TestMirror, files};

#[tokio::test]
async fn a_change_is_found_and_a_restart_goes_on_where_it_was() {
    let mut mirror = searching(&[described("lamp", "first words", &[])]).await;
    finds(&mirror, "first", &["lamp"]).await;
    mirror.upstream.publish(&described("lamp", "second thoughts", &[]));
    mirror.sync(&["lamp"]).await;
    finds(&mirror, "second", &["lamp"]).await;
    finds(&mirror, "first", &[]).await;
    mirror.restart().await;
    finds(&mirror, "second", &["lamp"]).await;
    mirror.upstream.publish(&described("torch", "second light", &[]));
    mirror.sync(&["torch"]).await;
    finds(&mirror, "second light", &["torch"]).await;
    assert_eq!(answer(&mirror, "").await["total"], 2, "each package is there once");
    mirror.finish().await;
}

#[tokio::test]
async fn a_package_that_a_reader_missed_is_found() {
    let mirror =
        TestMirror::builder().packages(&[described("lamp", "a light", &[])]).search().start().await;
    mirror.get("/lamp").send().await.expect(200);
    finds(&mirror, "light", &["lamp"]).await;
    mirror.finish().await;
}

#[tokio::test]
async fn what_was_changed_while_there_was_no_search_is_caught_up() {
    let mut mirror = TestMirror::with(&[described("lamp", "a light", &[])]).await;
    mirror.sync(&["lamp"]).await;
    let folder = mirror.folder().join("search");
    mirror
        .change_serve(|settings| {
            let every = std::time::Duration::from_millis(1);
            settings.search = Some(espejo::search::SearchSettings { folder, every });
        })
        .await;
    finds(&mirror, "light", &["lamp"]).await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_lost_or_damaged_index_is_made_anew() {
    let mut mirror = searching(&[described("lamp", "a light", &[])]).await;
    finds(&mirror, "light", &["lamp"]).await;
    let folder = mirror.folder().join("search");
    let all = |folder: &std::path::Path| {
        files(folder, |name| name != "meta.json" && !name.starts_with('.'))
    };
    for damage in ["bytes of a file", "the list of files", "everything"] {
        mirror
            .change_serve(|_| match damage {
                "everything" => std::fs::remove_dir_all(&folder).expect("a folder to delete"),
                "the list of files" => {
                    std::fs::write(folder.join("meta.json"), "{").expect("a file to write");
                }
                _ => {
                    for path in all(&folder) {
                        let mut bytes = std::fs::read(&path).expect("a file");
                        let middle = bytes.len() / 2;
                        if let Some(byte) = bytes.get_mut(middle) {
                            *byte ^= 0xff;
                        }
                        std::fs::write(path, bytes).expect("a file to write");
                    }
                }
            })
            .await;
        finds(&mirror, "light", &["lamp"]).await;
    }
    mirror.finish().await;
}

#[tokio::test]
async fn an_index_of_another_database_is_not_believed() {
    let mut first = searching(&[described("lamp", "a light", &[])]).await;
    finds(&first, "light", &["lamp"]).await;
    let mut other = searching(&[described("torch", "a light", &[])]).await;
    finds(&other, "light", &["torch"]).await;
    let (of_first, of_other) = (first.folder().join("search"), other.folder().join("search"));
    first.change_serve(|settings| settings.search = None).await;
    other
        .change_serve(|_| {
            std::fs::remove_dir_all(&of_other).expect("a folder to delete");
            std::fs::rename(&of_first, &of_other).expect("a folder to move");
        })
        .await;
    finds(&other, "light", &["torch"]).await;
    first.finish().await;
    other.finish().await;
}

#[tokio::test]
async fn a_closed_index_is_searched_on_while_another_one_writes() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let place = Place::start("database", 1);
    let first = SearchIndex::open(folder.path()).expect("an index");
    first.commit(&place).expect("a commit");
    assert!(SearchIndex::open(folder.path()).is_err(), "one writer at a time");
    first.close();
    let second = SearchIndex::open(folder.path()).expect("the same index");
    let question = Question::parse("lamp").expect("a question");
    for index in [&first, &second] {
        assert_eq!(index.search(&question, 0, 20, &[]).expect("an answer").total, 0);
    }
    assert!(matches!(first.commit(&place), Err(SearchError::Closed)));
    second.commit(&place).expect("a commit");
}

#[tokio::test]
async fn metrics_tell_of_the_search() {
    let mirror = searching(&[described("lamp", "a light", &[])]).await;
    finds(&mirror, "light", &["lamp"]).await;
    let told = mirror.get("/-/metrics").send().await.expect(200).text();
    for line in
        ["espejo_search_ready 1", "espejo_search_packages 1", "espejo_search_changes_behind 0"]
    {
        assert!(told.lines().any(|one| one == line), "{line} not in {told}");
    }
    let asked = told.lines().find_map(|line| line.strip_prefix("espejo_searches_total "));
    assert!(asked.is_some_and(|count| count != "0"), "{told}");
    mirror.finish().await;
}
