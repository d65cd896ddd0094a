//! Prometheus text: our counters, and every number of the engine's own description.
//!
//! Written anew for each reader from values that others keep, so nothing is global and two
//! mirrors in one process do not mix.

use actors::EngineStatus;
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use serde_json::Value;

use crate::app::App;

/// Content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// The text; without the engine's part when the engine does not answer.
#[must_use]
pub fn text(app: &App, engine: Option<&EngineStatus>) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    counter(&recorder, "espejo_http_requests_total", app.counters.requests());
    counter(&recorder, "espejo_http_server_errors_total", app.counters.server_errors());
    counter(&recorder, "espejo_documents_rendered_total", app.bodies.made());
    gauge(&recorder, "espejo_documents_cached_bytes", Vec::new(), app.bodies.kept_bytes() as f64);
    gauge(&recorder, "espejo_ready", Vec::new(), f64::from(u8::from(app.is_ready())));
    gauge(&recorder, "espejo_uptime_seconds", Vec::new(), app.started.elapsed().as_secs_f64());
    if let Some(search) = &app.search {
        let packages = search.index().ok().map(|index| index.len());
        let ready = f64::from(u8::from(packages.is_some()));
        gauge(&recorder, "espejo_search_ready", Vec::new(), ready);
        gauge(&recorder, "espejo_search_packages", Vec::new(), packages.unwrap_or(0) as f64);
        let behind = search.numbers.behind() as f64;
        gauge(&recorder, "espejo_search_changes_behind", Vec::new(), behind);
        counter(&recorder, "espejo_searches_total", search.numbers.questions());
        let took = search.numbers.took().as_secs_f64();
        gauge(&recorder, "espejo_search_seconds", Vec::new(), took);
    }
    if let Some(status) = engine.and_then(|status| serde_json::to_value(status).ok()) {
        numbers(&recorder, "espejo_engine", &[], &status);
    }
    recorder.handle().render()
}

/// Every number and yes-or-no as a gauge named by its path; an element of a list carries its
/// name, or its place, as a label.
fn numbers(recorder: &PrometheusRecorder, path: &str, labels: &[Label], value: &Value) {
    match value {
        Value::Number(number) => {
            gauge(recorder, path, labels.to_vec(), number.as_f64().unwrap_or(f64::NAN));
        }
        Value::Bool(yes) => gauge(recorder, path, labels.to_vec(), f64::from(u8::from(*yes))),
        Value::Object(members) => {
            for (name, member) in members {
                numbers(recorder, &format!("{path}_{name}"), labels, member);
            }
        }
        Value::Array(elements) => {
            for (place, element) in elements.iter().enumerate() {
                let name = ["name", "registry"].iter().find_map(|key| element.get(key)?.as_str());
                let name = name.map_or_else(|| place.to_string(), str::to_owned);
                let mut labels = labels.to_vec();
                labels.push(Label::new("registry", name));
                numbers(recorder, path, &labels, element);
            }
        }
        Value::Null | Value::String(_) => {}
    }
}

fn counter(recorder: &PrometheusRecorder, name: &'static str, value: u64) {
    recorder.register_counter(&Key::from_name(name), &METADATA).absolute(value);
}

fn gauge(recorder: &PrometheusRecorder, name: &str, labels: Vec<Label>, value: f64) {
    let key = Key::from_parts(name.to_owned(), labels);
    recorder.register_gauge(&key, &METADATA).set(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_description_becomes_a_gauge() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let status = serde_json::json!({
            "queue": { "waiting": 3, "oldest": null, "note": "x" },
            "syncs": [{ "registry": "default", "running": 2, "parked": true }],
        });
        numbers(&recorder, "espejo_engine", &[], &status);
        let text = recorder.handle().render();
        for line in [
            "espejo_engine_queue_waiting 3",
            "espejo_engine_syncs_running{registry=\"default\"} 2",
            "espejo_engine_syncs_parked{registry=\"default\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} not in {text}");
        }
        assert!(!text.contains("note"));
    }
}
