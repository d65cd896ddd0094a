//! The body of `GET /`: the fields of the reference implementation that we have values for.

use actors::DEFAULT_REGISTRY;
use serde::Serialize;
use store::packages::Totals;

use super::downloads::HomeDownloads;
use crate::app::App;

/// See the wire contract, "Home, ping, misc".
#[derive(Debug, Serialize)]
pub struct Home<'a> {
    db_name: &'static str,
    last_package: &'a str,
    doc_count: i64,
    doc_version_count: i64,
    download: HomeDownloads,
    update_seq: i64,
    sync_model: &'static str,
    instance_start_time: i64,
    node_version: &'static str,
    egg_version: &'static str,
    app_version: &'static str,
    engine: &'static str,
    source_registry: &'a str,
    cache_time: i64,
    upstream_registries: Vec<UpstreamRegistry<'a>>,
}

#[derive(Debug, Serialize)]
struct UpstreamRegistry<'a> {
    registry_name: &'static str,
    source_registry: &'a str,
}

impl<'a> Home<'a> {
    /// Puts the answer together.
    #[must_use]
    pub fn new(
        app: &'a App,
        totals: Totals,
        seq: i64,
        last: Option<&'a str>,
        download: HomeDownloads,
    ) -> Self {
        let upstream = app.settings.upstream_url.as_ref().map(url::Url::as_str);
        let registry =
            |source_registry| UpstreamRegistry { registry_name: DEFAULT_REGISTRY, source_registry };
        let now_ms = actors::clock::now_ms();
        let uptime_ms = i64::try_from(app.started.elapsed().as_millis()).unwrap_or(0);
        Self {
            db_name: "registry",
            last_package: last.unwrap_or(""),
            doc_count: totals.packages,
            doc_version_count: totals.versions,
            download,
            update_seq: seq,
            sync_model: app.settings.sync_mode.as_str(),
            instance_start_time: now_ms.saturating_sub(uptime_ms),
            node_version: "none",
            egg_version: "none",
            app_version: env!("CARGO_PKG_VERSION"),
            engine: "espejo",
            source_registry: upstream.unwrap_or(""),
            cache_time: now_ms,
            upstream_registries: upstream.map(registry).into_iter().collect(),
        }
    }
}
