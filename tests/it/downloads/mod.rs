//! Downloads are counted once each and told in the shapes of npm's service of counts.

use std::time::Duration;

use actors::clock::now_ms;
use espejo::downloads::calendar;
use serde_json::{Value, json};
use store::downloads::{Downloads, add, day_of};

use crate::harness::{Fault, Package, TestMirror, TokenKind, until};

/// A mirror that writes counts down at once.
async fn counting(packages: &[Package]) -> TestMirror {
    TestMirror::builder()
        .packages(packages)
        .serve(|settings| settings.write_downloads_every = Duration::from_millis(1))
        .start()
        .await
}

fn garden() -> [Package; 2] {
    [
        Package::new("lamp").version("1.0.0").version("1.1.0"),
        Package::new("@garden/ui").version("1.0.0"),
    ]
}

async fn json_of(mirror: &TestMirror, path: &str) -> Value {
    mirror.get(path).send().await.expect(200).json()
}

/// Counts of a subject today, once there are so many.
async fn counted(mirror: &TestMirror, path: &str, wanted: i64) {
    until(&format!("{wanted} downloads of {path}"), || async {
        let today = calendar::text(day_of(now_ms()));
        let counts = json_of(mirror, &path.replace("{today}", &today)).await;
        let sum: i64 = match &counts["downloads"] {
            Value::Array(days) => days.iter().filter_map(|day| day["downloads"].as_i64()).sum(),
            sum => sum.as_i64().expect("a number"),
        };
        assert!(sum <= wanted, "{path}: {sum} instead of {wanted}");
        (sum == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_whole_tarball_that_goes_out_counts_and_nothing_else_does() {
    let mirror = counting(&garden()).await;
    let tarball = "/lamp/-/lamp-1.0.0.tgz";
    for _ in 0..3 {
        mirror.get(tarball).send().await.expect(200); // the first comes through, the others are here
    }
    mirror.get("/lamp/-/lamp-1.1.0.tgz").send().await.expect(200);
    mirror.get("/@garden/ui/-/ui-1.0.0.tgz").send().await.expect(200);
    let etag = mirror.head(tarball).send().await.expect(200).must("etag").to_owned();
    mirror.get(tarball).header("if-none-match", &etag).send().await.expect(304);
    mirror.get(tarball).header("range", "bytes=0-3").send().await.expect(206);
    mirror.get("/lamp/-/lamp-9.0.0.tgz").send().await.expect(404);
    mirror.get("/lamp").send().await.expect(200);

    counted(&mirror, "/downloads/total/{today}", 5).await;
    counted(&mirror, "/downloads/point/{today}/lamp", 4).await;
    counted(&mirror, "/downloads/point/{today}/@garden%2fui", 1).await;
    counted(&mirror, "/downloads/@garden/{today}", 1).await;
    let today = calendar::text(day_of(now_ms()));
    let range = json_of(&mirror, &format!("/downloads/range/{today}/lamp")).await;
    let of = |downloads: i64| json!([{ "day": today, "downloads": downloads }]);
    assert_eq!(
        range,
        json!({
            "downloads": of(4), "start": today, "end": today, "package": "lamp",
            "versions": { "1.0.0": of(3), "1.1.0": of(1) },
        })
    );
    let home = json_of(&mirror, "/").await;
    assert_eq!(
        (&home["download"]["today"], &home["download"]["yesterday"]),
        (&json!(5), &json!(0))
    );
    mirror.finish().await;
}

#[tokio::test]
async fn what_was_counted_is_written_down_when_the_mirror_stops() {
    let mut mirror = TestMirror::with(&garden()).await;
    mirror.sync(&["lamp"]).await;
    for _ in 0..7 {
        mirror.get("/lamp/-/lamp-1.0.0.tgz").send().await.expect(200);
    }
    mirror.restart().await;
    counted(&mirror, "/downloads/point/{today}/lamp", 7).await;
    mirror.finish().await;
}

#[tokio::test]
async fn many_readers_at_once_are_counted_one_by_one() {
    let mirror = counting(&garden()).await;
    mirror.sync(&["lamp"]).await;
    let readers = (0..200).map(|_| async {
        mirror.get("/lamp/-/lamp-1.0.0.tgz").send().await.expect(200);
    });
    futures_util::future::join_all(readers).await;
    counted(&mirror, "/downloads/point/{today}/lamp", 200).await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_tarball_that_breaks_off_upstream_is_no_download() {
    let mirror = counting(&garden()).await;
    mirror.upstream.always("/lamp/-/lamp-1.0.0.tgz", Fault::status(404));
    mirror.get("/lamp/-/lamp-1.0.0.tgz").send().await.expect(404);
    mirror.get("/lamp/-/lamp-1.1.0.tgz").send().await.expect(200);
    counted(&mirror, "/downloads/total/{today}", 1).await;
    mirror.finish().await;
}

#[tokio::test]
async fn ranges_are_days_in_utc_and_what_is_none_is_refused() {
    let mirror = counting(&garden()).await;
    mirror.sync(&["lamp"]).await;
    let today = day_of(now_ms());
    let name = npm::PackageName::parse("lamp").expect("a name");
    let of = |version: &str, day, count| Downloads {
        name: name.clone(),
        version: version.to_owned(),
        day,
        count,
    };
    let counts =
        [of("1.0.0", today - 1, 10), of("1.1.0", today - 7, 100), of("1.0.0", today - 8, 1)];
    let write: store::WriteFn = Box::new(move |rows| add(rows, &counts));
    mirror.engine().write(write).await.expect("written");
    for (range, sum) in
        [("last-day", 10), ("last-week", 110), ("last-month", 111), ("last-year", 111)]
    {
        let point = json_of(&mirror, &format!("/downloads/point/{range}/lamp")).await;
        assert_eq!(
            (&point["downloads"], &point["package"]),
            (&json!(sum), &json!("lamp")),
            "{range}"
        );
        assert_eq!(point["end"], json!(calendar::text(today - 1)), "{range}");
        let all = json_of(&mirror, &format!("/downloads/total/point/{range}")).await;
        assert_eq!(all["downloads"], json!(sum), "{range}");
        assert!(all.get("package").is_none());
    }
    let (first, last) = (calendar::text(today - 8), calendar::text(today - 7));
    let path = format!("/downloads/point/{last}:{first}/lamp");
    let swapped = json_of(&mirror, &path).await;
    assert_eq!((&swapped["start"], &swapped["downloads"]), (&json!(first), &json!(101)));

    let refused = mirror.get("/downloads/point/yesterday/lamp").send().await.expect(422);
    let text = "[UNPROCESSABLE_ENTITY] range(yesterday) format invalid, must be \"last-day\", \
                \"last-week\", \"last-month\", \"last-year\", \"YYYY-MM-DD\" or \
                \"YYYY-MM-DD:YYYY-MM-DD\" style";
    assert_eq!(refused.error(), text);
    let refused = mirror.get("/downloads/total/2020-01-01:2021-01-02").send().await.expect(422);
    assert!(refused.error().ends_with("max up to \"2021-01-01\""), "{}", refused.error());
    let missing = mirror.get("/downloads/range/last-day/nowhere").send().await.expect(404);
    assert_eq!(missing.error(), "[NOT_FOUND] nowhere not found");
    for path in ["/downloads/range/last-day", "/downloads/x/y/z", "/downloads/garden/last-day"] {
        mirror.get(path).send().await.expect(404);
    }
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    mirror.request("POST", "/downloads/total/last-day").token(&admin).send().await.expect(405);
    mirror.finish().await;
}
