use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SHOWN: &dyn Fn(&str) -> bool = &|_| false;

fn name(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

fn render(body: &str, form: PackumentForm, hidden: &dyn Fn(&str) -> bool) -> String {
    render_as("x", "https://m.example/npm", body, form, hidden)
}

fn render_as(
    package: &str,
    base_url: &str,
    body: &str,
    form: PackumentForm,
    hidden: &dyn Fn(&str) -> bool,
) -> String {
    let name = name(package);
    let scan = PackumentScan::parse(body.as_bytes()).unwrap();
    let options = RenderOptions { name: &name, base_url, hidden, told: &BTreeMap::new() };
    String::from_utf8(render_packument(&scan, form, &options)).unwrap()
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const FULL: &str = concat!(
    r#"{"_id":"x","_rev":"7-a","name":"x","dist-tags":{"latest":"2.0.0","old":"1.0.0","beta":"3.0.0-b"},"#,
    r#""versions":{"1.0.0":{"name":"x","version":"1.0.0","scripts":{"postinstall":"x"},"bundledDependencies":["a"],"_npmUser":{"name":"n"},"dist":{"shasum":"s","tarball":"http:\/\/up.example\/x\/-\/x-1.0.0.tgz","signatures":[{"keyid":"k","sig":"s"}],"unknown":{"tarball":"kept"}},"tarball":"kept"},"#,
    r#""2.0.0":{"odd":{"dist":{"tarball":"kept"}},"name":"x","version":"2.0.0","dist":{"tarball":"https://up.example/x/-/legacy-name.tgz","attestations":{"url":"https://up.example/-/npm/v1/attestations/x@2.0.0","provenance":{"predicateType":"p"}},"integrity":"sha512-i"},"hasInstallScript":false,"gypfile":true,"funding":"f"},"#,
    r#""3.0.0-b":{"name":"x","version":"3.0.0-b","gypfile":true,"engines":["node"],"os":"linux","dist":{}}},"#,
    r#""time":{"modified":"2022","created":"2020","1.0.0":"2020"},"readme":"r \"\u00e9\"","users":{}}"#
);

#[test]
fn the_full_form_is_the_body_with_addresses_replaced() {
    let expected = FULL
        .replace(
            r#""http:\/\/up.example\/x\/-\/x-1.0.0.tgz""#,
            r#""https://m.example/npm/x/-/x-1.0.0.tgz""#,
        )
        .replace(
            r#""https://up.example/x/-/legacy-name.tgz""#,
            r#""https://m.example/npm/x/-/x-2.0.0.tgz""#,
        )
        .replace("https://up.example/-/npm/", "https://m.example/npm/-/npm/");
    assert_eq!(render(FULL, PackumentForm::Full, SHOWN), expected);
}

#[test]
fn the_abbreviated_form_holds_what_installing_needs_and_the_times() {
    let rendered = render(FULL, PackumentForm::Abbreviated, SHOWN);
    let expected = concat!(
        r#"{"name":"x","dist-tags":{"latest":"2.0.0","old":"1.0.0","beta":"3.0.0-b"},"modified":"2022","#,
        r#""time":{"modified":"2022","created":"2020","1.0.0":"2020"},"versions":{"#,
        r#""1.0.0":{"name":"x","version":"1.0.0","bundleDependencies":["a"],"dist":{"shasum":"s","tarball":"https://m.example/npm/x/-/x-1.0.0.tgz","signatures":[{"keyid":"k","sig":"s"}],"unknown":{"tarball":"kept"}},"hasInstallScript":true},"#,
        r#""2.0.0":{"name":"x","version":"2.0.0","dist":{"tarball":"https://m.example/npm/x/-/x-2.0.0.tgz","attestations":{"url":"https://m.example/npm/-/npm/v1/attestations/x@2.0.0","provenance":{"predicateType":"p"}},"integrity":"sha512-i"},"hasInstallScript":false,"funding":"f"},"#,
        r#""3.0.0-b":{"name":"x","version":"3.0.0-b","os":"linux","dist":{},"engines":["node"],"hasInstallScript":true}}}"#
    );
    assert_eq!(rendered, expected);
}

#[test]
fn install_scripts_are_told_from_others() {
    for (manifest, flag) in [
        (r#"{"scripts":{"install":"x"}}"#, Some(true)),
        (r#"{"scripts":{"preinstall":"x"}}"#, Some(true)),
        (r#"{"scripts":{"postinstall":"x"}}"#, Some(true)),
        (r#"{"scripts":{"test":"install"}}"#, None),
        (r#"{"scripts":["install"]}"#, None),
        (r#"{"gypfile":false}"#, None),
        (r#"{"gypfile":true}"#, Some(true)),
        (r#"{"hasInstallScript":true}"#, Some(true)),
        ("{}", None),
    ] {
        let body = format!(r#"{{"name":"x","versions":{{"1.0.0":{manifest}}}}}"#);
        let rendered = tree(&render(&body, PackumentForm::Abbreviated, SHOWN));
        let found = rendered["versions"]["1.0.0"].get("hasInstallScript").and_then(Value::as_bool);
        assert_eq!(found, flag, "{manifest}");
        assert_eq!(render(&body, PackumentForm::Full, SHOWN), body, "the full form is left alone");
    }
}

#[test]
fn both_spellings_of_bundled_dependencies_reach_the_client() {
    for (manifest, bundled) in [
        (r#"{"bundleDependencies":true}"#, json!(true)),
        (r#"{"bundledDependencies":["a"]}"#, json!(["a"])),
        (r#"{"bundledDependencies":["a"],"bundleDependencies":["b"]}"#, json!(["b"])),
    ] {
        let body = format!(r#"{{"name":"x","versions":{{"1.0.0":{manifest}}}}}"#);
        let rendered = tree(&render(&body, PackumentForm::Abbreviated, SHOWN));
        assert_eq!(rendered["versions"]["1.0.0"], json!({ "bundleDependencies": bundled }));
    }
}

#[test]
fn a_hidden_version_goes_and_latest_moves_to_the_highest_stable_one() {
    for form in [PackumentForm::Full, PackumentForm::Abbreviated] {
        let rendered = tree(&render(FULL, form, &|version| version == "2.0.0"));
        let versions: Vec<&String> = rendered["versions"].as_object().unwrap().keys().collect();
        assert_eq!(versions, ["1.0.0", "3.0.0-b"]);
        assert_eq!(rendered["dist-tags"], json!({"latest":"1.0.0","old":"1.0.0","beta":"3.0.0-b"}));
    }
    let rendered = tree(&render(FULL, PackumentForm::Full, &|version| version != "3.0.0-b"));
    assert_eq!(rendered["dist-tags"], json!({"latest":"3.0.0-b","beta":"3.0.0-b"}));
    let rendered = tree(&render(FULL, PackumentForm::Full, &|_| true));
    assert_eq!((&rendered["dist-tags"], &rendered["versions"]), (&json!({}), &json!({})));
}

#[test]
fn tags_pass_as_they_are_while_every_version_is_shown() {
    let body = r#"{"name":"x","dist-tags":{"latest":"9.9.9","n":1},"versions":{"1.0.0":{}}}"#;
    for form in [PackumentForm::Full, PackumentForm::Abbreviated] {
        let rendered = tree(&render(body, form, SHOWN));
        assert_eq!(rendered["dist-tags"], json!({"latest":"9.9.9","n":1}));
        let rendered = tree(&render(&body.replace("}}}", "},\"2.0.0\":7}}"), form, SHOWN));
        assert_eq!(rendered["dist-tags"], json!({"latest":"1.0.0"}), "2.0.0 cannot be shown");
        assert_eq!(rendered["versions"], json!({"1.0.0":{}}));
    }
}

#[test]
fn documents_without_versions_come_out_without_them() {
    let stub = r#"{"_id":"x","name":"x","time":{"modified":"2020","unpublished":{"time":"2020"}}}"#;
    assert_eq!(render(stub, PackumentForm::Full, SHOWN), stub);
    assert_eq!(
        render(stub, PackumentForm::Abbreviated, SHOWN),
        r#"{"name":"x","modified":"2020","time":{"modified":"2020","unpublished":{"time":"2020"}}}"#
    );
    for odd in ["null", "5", "[]", "\"a\""] {
        let body = format!(r#"{{"dist-tags":{odd},"versions":{odd},"time":{odd}}}"#);
        assert_eq!(render(&body, PackumentForm::Full, &|_| true), body);
        assert_eq!(render(&body, PackumentForm::Abbreviated, &|_| true), r#"{"name":"x"}"#);
    }
    assert_eq!(
        render(r#"{"versions":{},"modified":"2021"}"#, PackumentForm::Abbreviated, SHOWN),
        r#"{"name":"x","modified":"2021","versions":{}}"#
    );
}

#[test]
fn addresses_are_ours_whatever_upstream_wrote() {
    for upstream in [
        "https://other.host/x.tgz",
        "http://169.254.169.254/x",
        "file:///etc/passwd",
        "https://user:pass@up.example/x.tgz",
        "gopher://x",
        "",
        "not a url",
        "x\\u0000y",
        "https://up.example/../../x.tgz#fragment",
    ] {
        let body = format!(
            r#"{{"name":"@s/x","versions":{{"1.0.0+b":{{"dist":{{"tarball":"{upstream}","tarball":"{upstream}"}},"dist":{{"tarball":"{upstream}"}}}}}}}}"#
        );
        for form in [PackumentForm::Full, PackumentForm::Abbreviated] {
            let rendered = render_as("@s/x", "https://m.example", &body, form, SHOWN);
            let expected = r#""tarball":"https://m.example/@s/x/-/x-1.0.0+b.tgz""#;
            let kept = if form == PackumentForm::Full { 3 } else { 1 };
            assert_eq!(rendered.matches(expected).count(), kept, "{rendered}");
            assert_eq!(rendered.matches("tarball").count(), kept, "{rendered}");
        }
    }
}

#[test]
fn odd_dists_pass_untouched() {
    for dist in
        ["null", "[]", "7", "{}", r#"{"tarball":null}"#, r#"{"tarball":{"a":1},"attestations":[]}"#]
    {
        let body = format!(r#"{{"name":"x","versions":{{"1.0.0":{{"dist":{dist}}}}}}}"#);
        assert_eq!(render(&body, PackumentForm::Full, SHOWN), body);
        assert_eq!(render(&body, PackumentForm::Abbreviated, SHOWN), body);
    }
}

#[test]
fn attestation_addresses_keep_only_their_api_path() {
    for (upstream, path) in [
        (
            "https://up.example/-/npm/v1/attestations/@s%2fx@1.0.0",
            "/-/npm/v1/attestations/@s%2fx@1.0.0",
        ),
        ("https://up.example/prefix/-/npm/v1/attestations/x@1", "/-/npm/v1/attestations/x@1"),
        ("/-/npm/v1/attestations/x@1", "/-/npm/v1/attestations/x@1"),
        ("https://up.example/elsewhere?q=1#f", "/elsewhere"),
        ("https://up.example", "/"),
        ("odd", "/odd"),
    ] {
        let body = format!(
            r#"{{"name":"x","versions":{{"1.0.0":{{"dist":{{"attestations":{{"url":"{upstream}"}}}}}}}}}}"#
        );
        let rendered = tree(&render(&body, PackumentForm::Full, SHOWN));
        let url = rendered["versions"]["1.0.0"]["dist"]["attestations"]["url"].as_str().unwrap();
        assert_eq!(url, format!("https://m.example/npm{path}"));
    }
}

#[test]
fn odd_names_and_versions_are_escaped_in_addresses() {
    let body = r#"{"name":"?","versions":{"1.0.0-\"a/..":{"dist":{"tarball":"t"}}}}"#;
    let rendered =
        tree(&render_as("what? (1)", "https://m.example", body, PackumentForm::Full, SHOWN));
    assert_eq!(
        rendered["versions"]["1.0.0-\"a/.."]["dist"]["tarball"],
        "https://m.example/what%3F%20(1)/-/what%3F%20(1)-1.0.0-%22a%2F...tgz"
    );
}

#[test]
fn one_version_is_rendered_alone() {
    let name = name("x");
    let scan = PackumentScan::parse(FULL.as_bytes()).unwrap();
    let options = RenderOptions {
        name: &name,
        base_url: "https://m.example",
        hidden: &|v| v == "1.0.0",
        told: &BTreeMap::new(),
    };
    let manifest = |version, form| {
        render_manifest(&scan, version, form, &options)
            .map(|bytes| tree(&String::from_utf8(bytes).unwrap()))
    };
    let full = manifest("2.0.0", PackumentForm::Full).unwrap();
    assert_eq!(full["dist"]["tarball"], "https://m.example/x/-/x-2.0.0.tgz");
    assert_eq!(full["odd"]["dist"]["tarball"], "kept");
    let short = manifest("2.0.0", PackumentForm::Abbreviated).unwrap();
    assert_eq!((short.get("odd"), short.get("gypfile")), (None, None));
    assert_eq!((full["readme"].as_str(), short.get("readme")), (Some("r \"\u{e9}\""), None));
    let beta = manifest("3.0.0-b", PackumentForm::Full).unwrap();
    assert_eq!(beta.get("readme"), None, "the document's readme is that of latest");
    assert_eq!(manifest("1.0.0", PackumentForm::Full), None, "hidden");
    assert_eq!(manifest("4.0.0", PackumentForm::Full), None, "absent");
}

#[test]
fn a_manifest_keeps_its_own_readme_and_an_empty_one_can_take_one() {
    let name = name("x");
    let options = RenderOptions {
        name: &name,
        base_url: "https://m.example",
        hidden: SHOWN,
        told: &BTreeMap::new(),
    };
    for (manifest, expected) in [
        (r#"{"readme":"own"}"#, r#"{"readme":"own"}"#),
        ("{ }", r#"{ "readme":"of the document"}"#),
        (r#"{"a":"}"}"#, r#"{"a":"}","readme":"of the document"}"#),
    ] {
        let body = format!(
            r#"{{"name":"x","dist-tags":{{"latest":"1.0.0"}},"versions":{{"1.0.0":{manifest}}},"readme":"of the document"}}"#
        );
        let scan = PackumentScan::parse(body.as_bytes()).unwrap();
        let made = render_manifest(&scan, "1.0.0", PackumentForm::Full, &options).unwrap();
        assert_eq!(String::from_utf8(made).unwrap(), expected);
    }
}

#[test]
fn file_names_and_versions_lead_to_each_other() {
    for (package, version, file) in [
        ("x", "1.0.0", "x-1.0.0.tgz"),
        ("@s/x-y", "1.0.0-a.1+b", "x-y-1.0.0-a.1+b.tgz"),
        ("-", "0.0.1", "--0.0.1.tgz"),
    ] {
        let name = name(package);
        assert_eq!(canonical_tarball_file(&name, version), file);
        assert_eq!(version_of_tarball_file(&name, file), Some(version));
    }
    for file in ["y-1.0.0.tgz", "x1.0.0.tgz", "x-1.0.0.tar.gz", "x-.tgz", "x.tgz", ""] {
        assert_eq!(version_of_tarball_file(&name("x"), file), None, "{file}");
    }
}

#[test]
fn the_accept_header_is_negotiated() {
    use PackumentForm::{Abbreviated, Full};
    const SHORT: &str = "application/vnd.npm.install-v1+json";
    assert_eq!(PackumentForm::from_accept(None), Full);
    for (accept, form) in [
        ("", Full),
        ("*/*", Full),
        ("application/json", Full),
        ("application/*", Full),
        ("text/html", Full),
        ("SHORT", Abbreviated),
        ("SHORT; q=1.0, application/json; q=0.8, */*", Abbreviated),
        ("application/json; q=0.8, SHORT; q=1.0, */*", Abbreviated),
        ("application/json, SHORT", Full),
        ("SHORT, application/json", Abbreviated),
        ("SHORT;q=0.5, application/json;q=0.9", Full),
        ("SHORT;q=0.5, */*;q=0.1", Abbreviated),
        ("SHORT;q=0, application/json;q=0.1", Full),
        ("SHORT;q=0, */*", Full),
        ("SHORT;q=0", Full),
        ("application/json;q=0, */*", Abbreviated),
        ("application/json;q=0, SHORT", Abbreviated),
        ("SHORT;q=0.001, text/html", Abbreviated),
        ("SHORT;q=nonsense", Abbreviated),
        ("application/json;charset=utf-8, SHORT;q=0.9", Full),
        (" SHORT ;Q=.9 , application/json ; q=0.8", Abbreviated),
    ] {
        let accept = accept.replace("SHORT", SHORT);
        assert_eq!(PackumentForm::from_accept(Some(&accept)), form, "{accept}");
        assert_eq!(PackumentForm::from_accept(Some(&accept.to_uppercase())), form, "{accept}");
    }
}

proptest! {
    #[test]
    fn any_accept_header_is_answered(accept in any::<String>()) {
        let _ = PackumentForm::from_accept(Some(&accept));
    }

    #[test]
    fn both_forms_say_what_a_tree_would_say(
        versions in prop::collection::btree_map(
            "[0-9]\\.[0-9]\\.[0-9](-[ab\"é]{1,2})?",
            prop::collection::btree_map(
                prop::sample::select(vec!["name", "dist", "bin", "os", "x", "scripts", "deprecated"]),
                prop_oneof![
                    Just(json!({"tarball": "https://up.example/t.tgz", "n": [1, {"tarball": 2}]})),
                    Just(json!("text \"\\")), Just(json!(null)), Just(json!({"install": ""})),
                ],
                0..7,
            ),
            0..6,
        ),
        hide in any::<u8>(),
    ) {
        let body = json!({"name": "x", "versions": versions, "other": "é"}).to_string();
        let hidden = |version: &str| version.len() % 2 == usize::from(hide % 3);
        let full = tree(&render(&body, PackumentForm::Full, &hidden));
        let short = tree(&render(&body, PackumentForm::Abbreviated, &hidden));
        let mut expected = tree(&body);
        expected["versions"].as_object_mut().unwrap().retain(|version, _| !hidden(version));
        for (version, manifest) in expected["versions"].as_object_mut().unwrap() {
            if let Some(tarball) = manifest.get_mut("dist").and_then(|dist| dist.get_mut("tarball")) {
                let version = crate::name::escape_file(version);
                *tarball = format!("https://m.example/npm/x/-/x-{version}.tgz").into();
            }
        }
        prop_assert_eq!(&full, &expected);
        for (version, manifest) in short["versions"].as_object().unwrap() {
            for (key, value) in manifest.as_object().unwrap() {
                if key != "hasInstallScript" {
                    prop_assert_eq!(value, &expected["versions"][version][key]);
                }
            }
        }
    }
}

#[test]
fn what_is_blocked_is_told_in_both_forms_and_leaves_no_time_behind() {
    let body = r#"{"name":"lamp","blockVersions":{"9.0.0":"theirs"},
        "versions":{"1.0.0":{"name":"lamp"},"1.1.0":{"name":"lamp"}},
        "time":{"modified":"m","1.0.0":"a","1.1.0":"b"}}"#;
    let scan = PackumentScan::parse(body.as_bytes()).unwrap();
    let name = PackageName::parse("lamp").unwrap();
    let told = BTreeMap::from([("1.1.0".to_owned(), "a \"miner\"".to_owned())]);
    let hidden = |version: &str| version == "1.1.0";
    let options = RenderOptions { name: &name, base_url: "http://m", hidden: &hidden, told: &told };
    for form in [PackumentForm::Full, PackumentForm::Abbreviated] {
        let made = render_packument(&scan, form, &options);
        let made: Value = serde_json::from_slice(&made).unwrap();
        assert_eq!(made["blockVersions"], json!({ "1.1.0": "a \"miner\"" }), "{form:?}");
        assert_eq!(made["time"], json!({ "modified": "m", "1.0.0": "a" }));
        assert_eq!(made["versions"].as_object().unwrap().len(), 1);
    }
}
