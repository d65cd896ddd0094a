//! What statements the queries of a test run, and how the databases mean to answer them.

use std::sync::{Arc, Mutex};

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::{AnyConnection, StoreError};

/// How the database means to answer, a step a line.
pub(crate) fn plan(connection: &mut AnyConnection, query: &str) -> String {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    #[derive(QueryableByName)]
    struct PgStep {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        detail: String,
    }
    let steps: Vec<String> = match connection {
        AnyConnection::Sqlite(_) => {
            let steps = diesel::sql_query(format!("EXPLAIN QUERY PLAN {query}"));
            let steps = steps.load::<Step>(connection).unwrap();
            steps.into_iter().map(|step| step.detail).collect()
        }
        AnyConnection::Pg(postgres) => {
            let steps = diesel::sql_query(format!("EXPLAIN {query}"));
            let steps = steps.load::<PgStep>(postgres).unwrap();
            steps.into_iter().map(|step| step.detail).collect()
        }
    };
    steps.join("\n")
}

/// Runs queries and answers with their statements, the values in their places.
pub(crate) fn statements_of<T>(
    connection: &mut AnyConnection,
    queries: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
) -> Result<Vec<String>, StoreError> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    connection.set_instrumentation(Recorder(Arc::clone(&seen)));
    let done = queries(connection);
    connection.set_instrumentation(None::<Box<dyn Instrumentation>>);
    done?;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    Ok(seen.iter().map(|text: &String| filled(text)).collect())
}

struct Recorder(Arc<Mutex<Vec<String>>>);

impl Instrumentation for Recorder {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            self.0.lock().unwrap().push(query.to_string());
        }
    }
}

/// A statement as diesel shows it, `… ? … -- binds: [1, "x"]`, as one that can be run alone.
fn filled(shown: &str) -> String {
    let (text, binds) = shown.split_once("-- binds: ").unwrap_or((shown, "[]"));
    let binds: Vec<serde_json::Value> = serde_json::from_str(binds).unwrap();
    let value = |bind: &serde_json::Value| match bind {
        serde_json::Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    };
    if text.contains('?') {
        let mut values = binds.iter().map(value);
        let mut pieces = text.split('?');
        let first = pieces.next().unwrap_or_default().to_owned();
        return pieces.fold(first, |text, piece| text + &values.next().unwrap() + piece);
    }
    // from the last one, so that $1 is not taken for the beginning of $10
    binds.iter().enumerate().rev().fold(text.to_owned(), |text, (place, bind)| {
        text.replace(&format!("${}", place + 1), &value(bind))
    })
}
