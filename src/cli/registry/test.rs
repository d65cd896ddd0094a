//! `espejo registry test`: asks a registry whether all is well with it.

use actors::Engine;
use actors::upstream::check::{Finding, Verdict};
use clap::Args;
use comfy_table::{Table, presets};
use npm::PackageName;
use serde_json::json;

use super::super::{
    control::ControlClient,
    exit::Exit,
    open::{DataFolder, STOP_GRACE, engine_settings},
    output::Output,
    problem::{Outcome, Problem},
    runtime, upstream,
};
use crate::config::Config;
use crate::control::messages::{RegistryTest, RegistryTested};

/// Arguments of `registry test`.
#[derive(Debug, Args)]
pub struct TestArguments {
    /// Its name here
    pub name: String,
    /// A package it should have; one of its own that is here when left out
    #[arg(long, value_name = "NAME")]
    pub package: Option<String>,
}

/// Asks and shows.
///
/// # Errors
/// When there is no such registry, or it has no address.
pub(super) fn run(config: &Config, arguments: &TestArguments, output: &Output) -> Outcome {
    let package = arguments.package.as_deref().map(PackageName::parse).transpose();
    let package = package.map_err(|error| Problem::usage(format!("--package: {error}")))?;
    let findings = match ControlClient::connect(config)? {
        Some(client) => {
            let package = package.map(|name| name.to_string());
            let asked = RegistryTest { name: arguments.name.clone(), package };
            let answer = client.post::<_, RegistryTested>("registries/test", &asked);
            runtime::small()?.block_on(answer)?.findings
        }
        None => alone(config, &arguments.name, package)?,
    };
    let is_well = findings.iter().all(|finding| finding.verdict != Verdict::Failed);
    show(&arguments.name, &findings, is_well, output);
    Ok(if is_well { Exit::Done } else { Exit::CheckFailed })
}

/// With an engine of our own, so that the requests are counted as everybody's.
fn alone(
    config: &Config,
    name: &str,
    package: Option<PackageName>,
) -> Result<Vec<Finding>, Problem> {
    let mut config = config.clone();
    let folder = DataFolder::lock(&config)?;
    let store = folder.open_store(&config)?;
    upstream::known(&mut config, &store, true)?;
    let mut settings = engine_settings(&config, upstream::settings(&config, &store)?);
    settings.registry_defaults = Some(upstream::registry_defaults(&config, &store)?);
    settings.work_on_tasks = false;
    runtime::small()?.block_on(async {
        let engine = Engine::start(settings, store).await;
        let engine =
            engine.map_err(|error| Problem::failed("the engine cannot start").why(error))?;
        let found = engine.handle().check_registry(name, package).await;
        engine.shutdown(STOP_GRACE).await;
        drop(folder);
        let found = found.map_err(|error| Problem::failed(error.to_string()))?;
        found.ok_or_else(|| {
            let what = format!("registry {name} is not there or has no address");
            Problem::new(Exit::NotFound, "NOT_FOUND", what).hint("espejo registry list")
        })
    })
}

fn show(name: &str, findings: &[Finding], is_well: bool, output: &Output) {
    if output.json {
        output.json(&json!({ "registry": name, "ok": is_well, "findings": findings }));
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Ok => "[ok]",
            Verdict::Unknown => "[-]",
            Verdict::Failed => "[fail]",
        };
        let took = format!("{} ms", finding.took_ms);
        table.add_row([mark, &finding.what, &finding.text, &took]);
    }
    output.line(table);
}
