//! Package names in all URL forms, npm's odd live ones, and what is no name at all.

use crate::harness::{Package, TestMirror};

use super::mirror;

#[tokio::test]
async fn all_url_forms_of_a_scoped_name_are_one_package() {
    let mirror = mirror().await;
    let forms = [
        "/@garden/ui",
        "/@garden%2fui",
        "/@garden%2Fui",
        "/%40garden%2fui",
        "/%40garden/ui",
        "//@garden/ui",
        "/@garden/ui/",
    ];
    for target in forms {
        let answer = mirror.get(target).send().await.expect(200);
        assert_eq!(answer.json()["name"], "@garden/ui", "{target}");
    }
    assert_eq!(mirror.upstream.count("/@garden/ui"), 1);
    let asked = mirror.upstream.asked();
    assert_eq!(asked[0].raw_path, "/@garden%2fui", "upstream knows the escaped form");
    mirror.finish().await;
}

#[tokio::test]
async fn odd_names_that_really_exist_are_served() {
    let names = [
        "JSONStream",
        "jsonstream",
        "_internal",
        ".hidden",
        "@~scope/x",
        "@(._.)/assign",
        "@chappa'ai/gate",
        "base64",
        "Base64",
    ];
    let packages: Vec<_> = names.iter().map(|name| Package::new(name).version("1.0.0")).collect();
    let mirror = TestMirror::with(&packages).await;
    for name in names {
        let answer = mirror.get(&format!("/{name}")).send().await.expect(200);
        let document = answer.json();
        assert_eq!(document["name"], name);
        let url = document["versions"]["1.0.0"]["dist"]["tarball"].as_str().expect("an address");
        let target = url.strip_prefix(&mirror.url()).expect("an address of ours").to_owned();
        mirror.get(&target).send().await.expect(200);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn names_that_differ_in_case_are_different_packages() {
    let small = Package::new("dva").version("1.0.0");
    let large = Package::new("DvA").version("2.0.0");
    let mirror = TestMirror::with(&[small, large]).await;
    let small = mirror.get("/dva").send().await.expect(200).json();
    let large = mirror.get("/DvA").send().await.expect(200).json();
    assert_eq!(small["dist-tags"]["latest"], "1.0.0");
    assert_eq!(large["dist-tags"]["latest"], "2.0.0");
    mirror.get("/DVA").send().await.expect(404);
    mirror.finish().await;
}

#[tokio::test]
async fn what_is_no_name_at_all_is_refused_and_never_asked_upstream() {
    let mirror = mirror().await;
    let long = format!("/{}", "x".repeat(215));
    for target in ["/a%00b", "/%2e%2e", "/%2e%2e%2fetc", "/a%5cb", "/%0a", long.as_str()] {
        let answer = mirror.get(target).send().await;
        assert!([404, 422].contains(&answer.status), "{target} was answered {}", answer.status);
        answer.error();
    }
    // Decoded once only: this is a name with a percent sign in it, not a scoped one.
    mirror.get("/@garden%252fui").send().await.expect(422);
    assert!(mirror.upstream.asked().iter().all(|asked| !asked.path.contains("..")));
    mirror.finish().await;
}

#[tokio::test]
async fn the_names_of_operations_are_packages_too() {
    let names = ["livez", "readyz", "metrics", "sync"];
    let packages: Vec<_> = names.iter().map(|name| Package::new(name).version("1.0.0")).collect();
    let mirror = TestMirror::with(&packages).await;
    for name in names {
        let answer = mirror.get(&format!("/{name}")).send().await.expect(200);
        assert_eq!(answer.json()["name"], name);
    }
    mirror.finish().await;
}
