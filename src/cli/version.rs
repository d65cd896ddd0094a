//! `espejo version`.

use serde_json::json;

use super::{exit::Exit, output::Output, problem::Outcome};

/// Says the version of this program.
///
/// # Errors
/// Never; the shape is that of all commands.
pub fn run(output: &Output) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if output.json {
        output.json(&json!({ "name": "espejo", "version": version }));
    } else {
        output.line(format_args!("espejo {version}"));
    }
    Ok(Exit::Done)
}
