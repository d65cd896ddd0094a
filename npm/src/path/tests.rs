use proptest::prelude::*;

use super::*;

fn parse(raw: &str) -> PackagePath {
    PackagePath::parse(raw).unwrap()
}

fn packument(name: &str) -> PackagePath {
    PackagePath::Packument(PackageName::parse(name).unwrap())
}

fn manifest(name: &str, spec: &str) -> PackagePath {
    PackagePath::Manifest { name: PackageName::parse(name).unwrap(), spec: spec.to_owned() }
}

fn tarball(name: &str, file: &str) -> PackagePath {
    PackagePath::Tarball { name: PackageName::parse(name).unwrap(), file: file.to_owned() }
}

#[test]
fn every_form_of_a_name_is_one_package() {
    for raw in [
        "/@s/n",
        "@s/n",
        "/@s%2fn",
        "/@s%2Fn",
        "/%40s/n",
        "/%40s%2fn",
        "/%40s%2Fn",
        "//@s/n",
        "/@s//n",
        "/@s/n/",
        "/@s%2fn/",
    ] {
        assert_eq!(parse(raw), packument("@s/n"), "{raw}");
    }
    for raw in ["/lodash", "lodash", "//lodash", "/lodash/", "/%6codash"] {
        assert_eq!(parse(raw), packument("lodash"), "{raw}");
    }
    assert_eq!(parse("/%20leading"), packument(" leading"));
    assert_eq!(parse("/-"), packument("-"));
    assert_eq!(parse("/JSONStream"), packument("JSONStream"));
}

#[test]
fn a_second_part_is_a_spec() {
    assert_eq!(parse("/n/1.0.0"), manifest("n", "1.0.0"));
    assert_eq!(parse("/n/latest/"), manifest("n", "latest"));
    assert_eq!(parse("/n/%5E1.0"), manifest("n", "^1.0"));
    assert_eq!(parse("/n/%3E%3D4"), manifest("n", ">=4"));
    assert_eq!(parse("/@s/n/1.0.0"), manifest("@s/n", "1.0.0"));
    assert_eq!(parse("/@s%2fn/1.0.0"), manifest("@s/n", "1.0.0"));
    assert_eq!(parse("/n/1.0.0+build"), manifest("n", "1.0.0+build"));
    assert_eq!(parse("/n/download"), manifest("n", "download"));
}

#[test]
fn tarballs_are_found_in_every_path_form() {
    for raw in [
        "/@s/n/-/n-1.0.0.tgz",
        "/@s%2fn/-/n-1.0.0.tgz",
        "/%40s%2Fn/-/n-1.0.0.tgz",
        "/@s/n/-/@s/n-1.0.0.tgz",
        "/@s/n/-/%40s/n-1.0.0.tgz",
        "/@s/n/-/s/n-1.0.0.tgz",
        "/@s/n/-/@s%2fn-1.0.0.tgz",
        "/@s/n/download/@s/n-1.0.0.tgz",
        "/@s/n/download/n-1.0.0.tgz",
        "//@s//n/-//n-1.0.0.tgz",
    ] {
        assert_eq!(parse(raw), tarball("@s/n", "n-1.0.0.tgz"), "{raw}");
    }
    assert_eq!(parse("/n/-/n-1.0.0.tgz"), tarball("n", "n-1.0.0.tgz"));
    assert_eq!(parse("/n/download/n-1.0.0.tgz"), tarball("n", "n-1.0.0.tgz"));
    assert_eq!(parse("/n/-/odd%20name.tar.gz"), tarball("n", "odd name.tar.gz"));
    assert_eq!(parse("/-/-/--0.0.1.tgz"), tarball("-", "--0.0.1.tgz"));
}

#[test]
fn the_rest_is_not_ours() {
    for raw in [
        "",
        "/",
        "///",
        "/-/ping",
        "/-/all",
        "/-/npm/v1/keys",
        "/-/-/x",
        "/n/-",
        "/n/-rev/1-a",
        "/n/a/b/c",
        "/n/-/s/n-1.0.0.tgz",
        "/@s/n/-/@other/n-1.0.0.tgz",
        "/n/-/a/b/c.tgz",
    ] {
        assert_eq!(parse(raw), PackagePath::Other, "{raw}");
    }
}

#[test]
fn hostile_paths_are_refused() {
    for raw in [
        "/..",
        "/%2e%2e",
        "/..%2f..%2fetc",
        "/%2e%2e%2fetc",
        "/@s%2f..",
        "/@s/..",
        "/@..%2fn",
        "/a%00b",
        "/a%0ab",
        "/a%5cb",
        "/%252e%252e",
        "/@s%252fn",
        "/%",
        "/%2",
        "/%zz",
        "/%ff",
        "/n/-/..",
        "/n/-/%2e%2e",
        "/n/-/a%00.tgz",
        "/n/-/a%5c.tgz",
        "/n/%ff",
        "/@s",
    ] {
        assert!(PackagePath::parse(raw).is_err(), "{raw}: {:?}", PackagePath::parse(raw));
    }
}

proptest! {
    #[test]
    fn any_path_is_answered_without_panic(raw in any::<String>()) {
        let _ = PackagePath::parse(&raw);
    }

    #[test]
    fn the_four_url_forms_lead_back_to_the_name(
        scope in "[a-zA-Z0-9~_.()'!-]{1,20}", bare in "[a-zA-Z0-9 ?~_.()'-]{1,20}"
    ) {
        let Ok(name) = PackageName::parse(&format!("@{scope}/{bare}")) else { return Ok(()) };
        let document_path = name.path_in_documents().into_owned();
        let url_path = name.url_path().into_owned();
        for raw in [
            document_path, url_path.clone(), url_path.replace("%2f", "%2F"),
            url_path.replacen('@', "%40", 1),
        ] {
            prop_assert_eq!(parse(&raw), PackagePath::Packument(name.clone()), "{}", raw);
            let file = crate::canonical_tarball_file(&name, "1.2.3-a+b");
            let raw = format!("/{raw}/-/{}", crate::name::escape_file(&file));
            prop_assert_eq!(parse(&raw), PackagePath::Tarball { name: name.clone(), file });
        }
    }
}

#[test]
fn the_sync_log_of_older_clients_has_a_path_of_its_own() {
    let log = |name: &str, task: &str| PackagePath::SyncLog {
        name: PackageName::parse(name).unwrap(),
        task: task.to_owned(),
    };
    assert_eq!(parse("/lamp/sync/log/1a"), log("lamp", "1a"));
    assert_eq!(parse("/@s/n/sync/log/1a/"), log("@s/n", "1a"));
    assert_eq!(parse("/@s%2fn/sync/log/1a"), log("@s/n", "1a"));
    assert_eq!(parse("/lamp/sync/log"), PackagePath::Other);
    assert_eq!(parse("/lamp/sync/log/1a/x"), PackagePath::Other);
    assert_eq!(parse("/lamp/sync"), manifest("lamp", "sync"));
}
