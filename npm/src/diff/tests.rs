use super::*;

fn known(scan: &PackumentScan<'_>) -> Vec<KnownVersion> {
    scan.versions
        .iter()
        .map(|entry| KnownVersion { version: entry.key.to_string(), digest: entry.digest() })
        .collect()
}

const OLD: &str = r#"{"name":"x","versions":{"1.0.0":{"a":1},"1.1.0":{"a":2},"1.2.0":{"a":3}}}"#;

#[test]
fn nothing_known_makes_everything_new() {
    let scan = PackumentScan::parse(OLD.as_bytes()).unwrap();
    let diff = PackumentDiff::between(&[], &scan);
    assert_eq!(diff, PackumentDiff { added: vec![0, 1, 2], ..PackumentDiff::default() });
}

#[test]
fn added_changed_unchanged_and_removed_are_told_apart() {
    let old = PackumentScan::parse(OLD.as_bytes()).unwrap();
    let body =
        r#"{"name":"x","versions":{"2.0.0":{},"1.1.0":{"a":2},"1.0.0":{"a":1,"deprecated":"x"}}}"#;
    let new = PackumentScan::parse(body.as_bytes()).unwrap();
    let diff = PackumentDiff::between(&known(&old), &new);
    assert_eq!(diff.added, [0]);
    assert_eq!(diff.unchanged, [1]);
    assert_eq!(diff.changed, [2]);
    assert_eq!(diff.removed, ["1.2.0"]);
}

#[test]
fn a_version_that_became_no_object_is_gone() {
    let old = PackumentScan::parse(OLD.as_bytes()).unwrap();
    let body = r#"{"name":"x","versions":{"1.0.0":5,"1.1.0":{"a":2},"1.2.0":{"a":3}}}"#;
    let new = PackumentScan::parse(body.as_bytes()).unwrap();
    assert_eq!(PackumentDiff::between(&known(&old), &new).removed, ["1.0.0"]);
}

#[test]
fn an_equal_document_changes_nothing() {
    let scan = PackumentScan::parse(OLD.as_bytes()).unwrap();
    let diff = PackumentDiff::between(&known(&scan), &scan);
    assert_eq!(diff, PackumentDiff { unchanged: vec![0, 1, 2], ..PackumentDiff::default() });
}
