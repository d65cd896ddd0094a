//! What a document does to the dist-tags of its package, as logs tell it.

use serde::Serialize;

/// One tag that is set anew or taken away.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct TagChange<'a> {
    /// `change` or `remove`.
    action: &'static str,
    tag: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

/// The tags that differ, in the order of the new document, then those that are gone.
pub fn changes<'a>(
    before: &'a [(String, String)],
    after: &'a [(String, String)],
) -> Vec<TagChange<'a>> {
    let set = after.iter().filter(|now| !before.contains(now)).map(|(tag, version)| TagChange {
        action: "change",
        tag,
        version: Some(version),
    });
    let gone = before
        .iter()
        .filter(|(tag, _)| !after.iter().any(|(now, _)| now == tag))
        .map(|(tag, _)| TagChange { action: "remove", tag, version: None });
    set.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_are_equal_are_not_told() {
        let list = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(tag, version)| ((*tag).into(), (*version).into())).collect()
        };
        let before = list(&[("latest", "1.0.0"), ("old", "0.1.0"), ("same", "1.0.0")]);
        let after = list(&[("same", "1.0.0"), ("latest", "1.1.0"), ("next", "2.0.0")]);
        let text = serde_json::to_string(&changes(&before, &after)).unwrap();
        assert_eq!(
            text,
            r#"[{"action":"change","tag":"latest","version":"1.1.0"},{"action":"change","tag":"next","version":"2.0.0"},{"action":"remove","tag":"old"}]"#
        );
    }
}
