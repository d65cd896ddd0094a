//! Runs `espejo bench` as built by cargo and passes on its verdict.

use std::process::{Command, exit};

/// Runs one measurement: `full` sizes under `cargo bench`, `small` ones under `-- --test`.
pub fn measure(kind: &str, full: &[&str], small: &[&str]) {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let sizes = if is_test { small } else { full };
    let mut command = Command::new(env!("CARGO_BIN_EXE_espejo"));
    match command.args(["bench", kind]).args(sizes).status() {
        Ok(status) if status.success() => {}
        Ok(status) => exit(status.code().unwrap_or(1)),
        Err(error) => {
            eprintln!("the built program cannot be started: {error}");
            exit(1);
        }
    }
}
