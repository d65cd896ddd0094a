//! What the fuzz targets check, over their committed inputs: parsers directly, requests through a
//! whole mirror. See `fuzz/`.

#[path = "../../../fuzz/src/checks/mod.rs"]
mod checks;

use std::path::{Path, PathBuf};

use checks::requests::{Tokens, judge, written};
use espejo::app::OnMiss;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Package, TestMirror, TokenKind};

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files = std::fs::read_dir(&folder).expect("a folder of seeds");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seeds");
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("a file"))).collect()
}

/// Calls a check with every seed, and with every seed cut, doubled and damaged at some places.
fn run(target: &str, check: fn(&[u8])) {
    for (_, seed) in seeds(target) {
        check(&seed);
        check(&[&seed[..], &seed].concat());
        for at in (0..seed.len()).step_by(seed.len() / 64 + 1) {
            check(&seed[..at]);
            for byte in [0, b'%', b'"', b'0', 0xff] {
                let mut damaged = seed.clone();
                damaged[at] = byte;
                check(&damaged);
            }
        }
    }
}

#[test]
fn the_parsers_keep_their_rules_over_all_seeds() {
    run("addresses", checks::addresses);
    run("bodies", checks::bodies);
    run("changes", checks::changes);
    run("headers", checks::headers);
    run("integrity", checks::integrity);
    run("packument", checks::packument);
    run("paths", checks::paths);
    run("versions", checks::versions);
}

#[tokio::test]
async fn no_request_among_the_seeds_makes_the_mirror_fail() {
    let mirror = TestMirror::builder()
        .packages(&[Package::new("lamp").version("1.0.0")])
        .serve(|settings| {
            settings.on_miss = OnMiss::None;
            settings.registration_open = true;
        })
        .start()
        .await;
    mirror.sync(&["lamp"]).await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    let (user, _) = mirror.token("ada", TokenKind::User).await;
    let tokens = Tokens { admin, user };
    for (path, seed) in seeds("requests") {
        let request = written(&seed, &tokens);
        let request = request.unwrap_or_else(|| panic!("{} is no request", path.display()));
        let mut stream = TcpStream::connect(mirror.address()).await.expect("the mirror listens");
        stream.write_all(&request).await.expect("the mirror reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        judge(&answer);
    }
    mirror.finish().await;
}
