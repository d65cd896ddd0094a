//! The parts of a path below a route that takes a whole tree: each is decoded once, by itself, so
//! that `%2f` in a part never makes two of it.

use percent_encoding::percent_decode_str;

/// The decoded parts of `path` behind `prefix`, with or without a slash at the end; `None` where
/// one of them is empty or no text.
#[must_use]
pub fn segments(path: &str, prefix: &str) -> Option<Vec<String>> {
    let (_, rest) = path.split_once(prefix)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Some(Vec::new());
    }
    rest.strip_prefix('/')?.split('/').map(part).collect()
}

fn part(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (!decoded.is_empty()).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_decoded_once_and_by_itself() {
        let parts = |path: &str| segments(path, "/-/team").map(|parts| parts.join(" | "));
        for (path, found) in [
            ("/-/team", Some("")),
            ("/-/team/", Some("")),
            ("/-/team/garden/growers", Some("garden | growers")),
            ("/-/team/garden/growers/", Some("garden | growers")),
            ("/-/team/%40garden/a%2fb", Some("@garden | a/b")),
            ("/-/team/a%252fb", Some("a%2fb")),
            ("/-/team/%00", Some("\0")),
            ("/-/team//growers", None),
            ("/-/team/garden//", None),
            ("/-/team/%ff", None),
            ("/-/teams/garden", None),
            ("/-/other", None),
        ] {
            assert_eq!(parts(path).as_deref(), found, "{path}");
        }
    }
}
