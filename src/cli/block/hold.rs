//! `espejo block hold` and `espejo block release`.

use std::time::Duration;

use clap::Args;
use comfy_table::{Table, presets};
use serde_json::json;
use store::{blocks::WHOLE_PACKAGE, releases};

use super::{ListArguments, Place, collect, say_more, target};
use crate::{
    cli::{
        exit::Exit,
        output::Output,
        place::by,
        problem::{Outcome, Problem},
        runtime, text,
    },
    config::Config,
    control::{
        holds,
        messages::{BlockRequest, DoneAnswer, HeldAnswer, HoldsAnswer, HoldsQuery},
    },
};

/// Arguments of `block hold`.
#[derive(Debug, Args)]
pub struct HoldArguments {
    /// Look as if security.hold were this long: 3d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub dry_run: Option<Duration>,
    #[command(flatten)]
    pub page: ListArguments,
}

/// Arguments of `block release`.
#[derive(Debug, Args)]
pub struct ReleaseArguments {
    /// NAME@VERSION
    pub target: String,
    /// End a release: the version is held back or denied as if there had been none
    #[arg(long)]
    pub take_back: bool,
}

/// What is held back, or would be.
pub(super) fn list(
    config: &Config,
    place: &Place,
    arguments: &HoldArguments,
    output: &Output,
) -> Outcome {
    let hold_ms = arguments.dry_run.and_then(|time| i64::try_from(time.as_millis()).ok());
    let policy = holds::as_if(&config.sync.policy, hold_ms);
    let (held, next) = collect(&arguments.page, |after, limit| match place {
        Place::Remote(client) => {
            let after = after.map(|target| target.to_string());
            let query = HoldsQuery { hold_ms, after, limit: Some(limit) };
            let page = client.find::<_, HoldsAnswer>("holds", &query);
            let page = runtime::small()?.block_on(page)?;
            Ok((page.held, page.next))
        }
        Place::Local { store, .. } => {
            let page = store
                .read_blocking(|rows| HeldAnswer::list(rows, &policy, after.as_ref(), limit))?;
            Ok((page.rows, page.next))
        }
    })?;
    if output.json {
        output.json(&json!({ "held": held, "next": next }));
        return Ok(Exit::Done);
    }
    if held.is_empty() {
        output.line("Nothing is held back.");
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["HELD", "AGE", "LEFT"]);
    let now_ms = policy.clock.now_ms();
    for version in &held {
        let age = now_ms.saturating_sub(version.published_at_ms).max(0).unsigned_abs();
        let left = version.until_ms.saturating_sub(now_ms).max(0).unsigned_abs();
        table.add_row([&version.target, &text::age(age), &text::age(left)]);
    }
    output.line(table);
    say_more(output, next.as_deref());
    Ok(Exit::Done)
}

/// Gives a version out, or ends that.
pub(super) fn release(place: &Place, arguments: &ReleaseArguments, output: &Output) -> Outcome {
    let target = target(&arguments.target)?;
    if target.version == WHOLE_PACKAGE {
        return Err(Problem::usage(format!("{target} is a package; a release names one version"))
            .hint("espejo block release NAME@VERSION"));
    }
    let ends = arguments.take_back;
    let changed = match place {
        Place::Remote(client) => {
            let (target, reason) = (target.to_string(), String::new());
            let request = BlockRequest { target, reason };
            let path = if ends { "releases/remove" } else { "releases" };
            let done = client.post::<_, DoneAnswer>(path, &request);
            runtime::small()?.block_on(done)?.ok
        }
        Place::Local { store, .. } => {
            let of = target.clone();
            store.writer_blocking()?.write_blocking(move |rows| match ends {
                true => releases::remove_by(rows, &of.name, &of.version, &by()),
                false => releases::add_by(rows, &of.name, &of.version, &by()),
            })?
        }
    };
    if ends && !changed {
        return Err(Problem::failed(format!("{target} was not released")).hint("espejo block hold"));
    }
    match (output.json, ends) {
        (true, true) => output.json(&json!({ "taken_back": target.to_string() })),
        (true, false) => output.json(&json!({ "released": target.to_string() })),
        (false, true) => {
            output.line(format_args!("{target} is given out as the rules say, like any other."));
        }
        (false, false) => output.line(format_args!(
            "{target} is given out from now on, whatever its age and the rules. Undo: espejo block \
             release {target} --take-back"
        )),
    }
    Ok(Exit::Done)
}
