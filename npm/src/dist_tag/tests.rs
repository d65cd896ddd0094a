use super::*;

#[test]
fn tags_that_no_range_shadows_are_taken() {
    for tag in ["latest", "next", "v1-latest", "beta.2", "release-1.x", "ünicode", "a b"] {
        assert_eq!(validate_dist_tag(tag), Ok(tag));
    }
    assert_eq!(validate_dist_tag("  next "), Ok("next"));
}

#[test]
fn the_others_are_refused_with_their_rule() {
    let long = "x-".repeat(108);
    for (tag, rule) in [
        ("", "empty"),
        ("  ", "empty"),
        (long.as_str(), "216 characters"),
        ("1.0.0", "range"),
        ("v1.0", "range"),
        ("^1", "range"),
        ("*", "range"),
        ("x", "range"),
        (">=1 <2", "range"),
        ("1.x || 2.x", "range"),
        ("a\0b", "control"),
    ] {
        let error = validate_dist_tag(tag).unwrap_err().to_string();
        assert!(error.contains(rule), "{tag:?}: {error}");
    }
}
