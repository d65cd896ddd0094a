//! What is over is deleted: tokens, sign-ins, links, old rows of the audit log.

use std::time::Duration;

use actors::clock::now_ms;
use npm::Sha512Digest;
use store::audit::{self, AuditFilter, By};
use store::sign_ins::{self, LoginState, NewLogin};
use store::tokens::{self, NewToken, TokenLimits};
use store::{AnyConnection, StoreError, WriteFn};

use super::{open, register};
use crate::harness::{TestMirror, until};

const HOUR_MS: i64 = 3_600_000;

fn key(text: &str) -> Sha512Digest {
    Sha512Digest::of(text.as_bytes())
}

async fn write(
    mirror: &TestMirror,
    work: impl FnOnce(&mut AnyConnection) -> Result<(), StoreError> + Send + 'static,
) {
    let write: WriteFn = Box::new(work);
    mirror.engine().write(write).await.expect("a writable store");
}

#[tokio::test]
async fn tokens_and_sign_ins_that_have_ended_are_deleted() {
    let mirror = open().await;
    let login = register(&mirror, "ada").await;
    let now = now_ms();
    write(&mirror, move |rows| {
        let ends = [("old", Some(now - 25 * HOUR_MS)), ("late", Some(now - HOUR_MS))];
        for (text, expires_at_ms) in ends.into_iter().chain([("good", Some(now + HOUR_MS))]) {
            let limits = TokenLimits { expires_at_ms, ..TokenLimits::default() };
            let mark = text.to_owned();
            tokens::create(rows, &NewToken { key: key(text), user: "ada".into(), mark, limits })?;
        }
        for (text, lives_ms) in [("over", 0), ("under way", HOUR_MS)] {
            let login_key = key(&format!("{text} page"));
            let (hostname, address) = (None, None);
            let login = NewLogin { done_key: key(text), login_key, hostname, address, lives_ms };
            sign_ins::begin(rows, &login)?;
            sign_ins::make_link(rows, &key(text), "ada", lives_ms)?;
        }
        Ok(())
    })
    .await;
    mirror.engine().tidy_up().await.expect("a round");

    let left = mirror.store().read(|rows| tokens::of_user(rows, "ada")).await.expect("a store");
    let mut marks: Vec<_> = left.iter().map(|row| row.mark.as_str()).collect();
    marks.retain(|mark| !login.starts_with(&mark[..4]));
    marks.sort_unstable();
    assert_eq!((marks, left.len()), (vec!["good", "late"], 3));
    let late = mirror.get("/-/whoami").token("late").send().await.expect(401);
    assert_eq!(late.error(), "[UNAUTHORIZED] Token expired");
    let old = mirror.get("/-/whoami").token("old").send().await.expect(401);
    assert_eq!(old.error(), "[UNAUTHORIZED] Invalid token");
    mirror.get("/-/whoami").token("good").send().await.expect(200);
    mirror.get("/-/whoami").token(&login).send().await.expect(200);

    // a session that is there can be ended, one that was deleted cannot
    let pending = mirror.store().read(|rows| sign_ins::state(rows, &key("under way"))).await;
    assert_eq!(pending.expect("a store"), LoginState::Pending);
    write(&mirror, |rows| {
        assert!(!sign_ins::finish(rows, &key("over"))?);
        assert!(sign_ins::finish(rows, &key("under way"))?);
        assert!(sign_ins::use_link(rows, &key("under way"))?);
        assert_eq!(sign_ins::delete_ended_links(rows, 10)?, 0, "the round did it");
        Ok(())
    })
    .await;
    mirror.finish().await;
}

#[tokio::test]
async fn the_audit_log_is_kept_as_long_as_is_wanted() {
    let mut mirror = open().await;
    write(&mirror, |rows| {
        audit::record(rows, &By::terminal("ada"), "scope.add", "@garden", None, None)
    })
    .await;
    let left = async |mirror: &TestMirror| {
        mirror.engine().tidy_up().await.expect("a round");
        let filter = AuditFilter { limit: 10, ..AuditFilter::default() };
        mirror.store().read(move |rows| audit::list(rows, &filter)).await.expect("a log").len()
    };
    assert_eq!(left(&mirror).await, 1, "for good");
    let keep = |time| move |settings: &mut actors::EngineSettings| settings.keep_audit_log = time;
    mirror.change_engine(keep(Some(Duration::from_secs(3600)))).await;
    assert_eq!(left(&mirror).await, 1);
    mirror.change_engine(keep(Some(Duration::from_millis(1)))).await;
    until("an empty log", || async { (left(&mirror).await == 0).then_some(()) }).await;
    mirror.finish().await;
}
