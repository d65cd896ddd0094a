//! Asking npm for the upstream beside a server that is serving already.

use actors::EngineHandle;
use serde_json::json;
use store::{WriteFn, registries};

use crate::{
    cli::{
        problem::Problem,
        upstream::{instance_id, refuse_own_address, stored_row, upstream_settings},
    },
    config::{Config, without_credentials},
    discovery::{self, Discovered, ask_npm::ask_npm_blocking},
};

/// Starts asking; what is found is used at once and stored.
pub fn ask(config: &Config, engine: EngineHandle, as_json: bool) {
    let config = config.clone();
    tokio::spawn(async move {
        let answer = tokio::task::spawn_blocking(ask_npm_blocking).await.unwrap_or_default();
        let Some(answer) = answer else {
            tracing::warn!(
                code = "NO_UPSTREAM",
                "serving, but sync is paused: no upstream was given and npm has none configured; \
                 try: espejo serve --upstream URL once, it is remembered"
            );
            return;
        };
        match accept(&config, &engine, &answer).await {
            Ok(found) => say(&found, as_json),
            Err(problem) => tracing::warn!(
                code = problem.code,
                why = problem.why,
                hint = problem.hint,
                "serving, but sync is paused: {}",
                problem.what
            ),
        }
    });
}

async fn accept(
    config: &Config,
    engine: &EngineHandle,
    answer: &str,
) -> Result<Discovered, Problem> {
    let found = discovery::from_npm(answer)?;
    refuse_own_address(config, &found.url)?;
    let instance_id = instance_id(engine.store())?;
    let settings = upstream_settings(config, found.url.clone(), instance_id)?;
    engine
        .set_upstream(Some(settings))
        .map_err(|error| Problem::failed("the upstream npm names is refused").why(error))?;
    let row = stored_row(&found.url, &found.origin);
    let write: WriteFn = Box::new(move |connection| registries::move_to(connection, &row));
    engine
        .write(write)
        .await
        .map_err(|error| Problem::failed("the upstream npm names cannot be stored").why(error))?;
    Ok(found)
}

fn say(found: &Discovered, as_json: bool) {
    let url = without_credentials(found.url.as_str());
    if as_json {
        // A reader that went away misses only news.
        let _ = std::io::Write::write_all(
            &mut std::io::stdout(),
            format!("{}\n", json!({ "type": "upstream", "upstream": url, "source": found.origin }))
                .as_bytes(),
        );
        return;
    }
    tracing::info!("upstream {url} found in {}; stored", found.origin);
}
