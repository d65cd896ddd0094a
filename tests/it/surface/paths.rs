//! Ways out of a folder, in every part of every kind of path: nothing outside is read, no upstream
//! is asked for such a name, and nothing fails inside.

use crate::harness::{Package, TestMirror};

const WAYS: [&str; 22] = [
    "..",
    "../..",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2f",
    "%252e%252e%252f",
    "..%5c..%5c",
    "..\\..\\",
    "....//....//",
    "%c0%ae%c0%ae%c0%af",
    "%00",
    "lamp%00.tgz",
    "lamp%0d%0aset-cookie:x",
    "%7f",
    ".",
    "%2e",
    "~",
    "@..",
    "@%2e%2e%2fx",
    "@s%2f..",
    "@s%2f%2e%2e%2f%2e%2e",
    "file:%2f%2f%2fetc%2fpasswd",
];

#[tokio::test]
async fn no_path_leads_out_of_anything() {
    let mirror = TestMirror::with(&[Package::new("lamp").version("1.0.0")]).await;
    mirror.sync(&["lamp"]).await;
    mirror.upstream.forget_asked();
    for way in WAYS {
        for target in [
            format!("/{way}"),
            format!("/{way}/1.0.0"),
            format!("/{way}/-/lamp-1.0.0.tgz"),
            format!("/lamp/{way}"),
            format!("/lamp/-/{way}"),
            format!("/lamp/-/{way}/lamp-1.0.0.tgz"),
            format!("/@s/{way}"),
            format!("/@s%2f{way}"),
            format!("/@{way}/lamp"),
            format!("/-/package/{way}/dist-tags"),
            format!("/-/package/{way}/syncs/x/log"),
            format!("/-/package/lamp/syncs/{way}/log"),
            format!("/-/npm/v1/attestations/{way}@1.0.0"),
            format!("/-/tasks/{way}"),
            format!("/_all_docs?startkey=%22{way}%22"),
        ] {
            let answer = mirror.get(&target).send().await;
            let names = target.starts_with("/_all_docs");
            let fine =
                if names { answer.status < 500 } else { (400..500).contains(&answer.status) };
            assert!(fine, "{target}: {} {}", answer.status, answer.text());
            assert_eq!(answer.header("set-cookie"), None, "{target}");
            assert!(!answer.text().contains("root:"), "{target}");
        }
    }
    for asked in mirror.upstream.asked() {
        let path = asked.raw_path.to_lowercase();
        for bad in ["..", "%2e%2e", "%00", "\\", "%5c", "%0d", "%0a", "%25", "%7f", "passwd"] {
            assert!(!path.contains(bad), "upstream was asked for {}", asked.raw_path);
        }
    }
    mirror.get("/lamp").send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn a_sync_is_not_made_for_a_name_that_is_none() {
    let mirror = TestMirror::builder().serve(|settings| settings.sync_anonymous = true);
    let mirror = mirror.start().await;
    // `~` is a name that old packages may have
    for way in WAYS.iter().filter(|way| **way != "~") {
        for target in [format!("/-/package/{way}/syncs"), format!("/{way}/sync")] {
            let answer = mirror.request("PUT", &target).send().await;
            let refused = (400..500).contains(&answer.status);
            assert!(refused, "{target}: {} {}", answer.status, answer.text());
        }
    }
    let counts = mirror.store().read(store::tasks::counts).await.expect("counts");
    assert_eq!((counts.waiting, counts.processing, counts.error_last_hour), (0, 0, 0));
    mirror.finish().await;
}
