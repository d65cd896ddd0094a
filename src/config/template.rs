//! The text of `config.toml`: every setting commented out, with default and meaning.

use super::{setting::SETTINGS, value::ValueError};

const HEAD: &str = "\
# Settings of Espejo. Every line is commented out and shows its default.
# Order: flag > environment (ESPEJO_SECTION__KEY) > this file > stored > discovered > default.
# Check with: espejo config check    See what is in force: espejo config show
";

/// Where the comments start, so that they stand in one column.
const COMMENT_COLUMN: usize = 44;

/// The whole text, ending with a line break.
///
/// # Errors
/// When a default of the table is wrong.
pub fn config_toml() -> Result<String, ValueError> {
    let mut text = String::from(HEAD);
    let mut section = "";
    for setting in SETTINGS {
        let own = setting.key.split_once('.').map_or("", |(section, _)| section);
        if own != section || setting.key == "listen" {
            section = own;
            text.push('\n');
        }
        let line = format!("# {} = {}", setting.key, setting.default_value()?.to_toml());
        text.push_str(&format!("{line:<COMMENT_COLUMN$} # {}\n", setting.about));
    }
    Ok(text)
}
