//! What orgs and teams may be called, and what is said of them.

use npm::PackageName;

/// Most characters of a name.
pub const LONGEST_NAME: usize = 100;
/// Most characters of a description.
pub const LONGEST_DESCRIPTION: usize = 1_024;

/// The name of an org as it is written with or without the `@` of its scope.
#[must_use]
pub fn org_of(text: &str) -> &str {
    text.strip_prefix('@').unwrap_or(text)
}

/// Whether an org may have this name: its scope has to be one that packages can be published in.
///
/// # Errors
/// The rule that is broken.
pub fn check_org(name: &str) -> Result<(), &'static str> {
    if name.chars().count() > LONGEST_NAME {
        return Err("must NOT have more than 100 characters");
    }
    let package = PackageName::parse(&format!("@{name}/x"));
    match package {
        Ok(package) if package.is_publishable() => Ok(()),
        _ => Err("must be an npm scope without its @: lower-case letters, digits, '-', '.', '_'"),
    }
}

/// Whether a team may have this name: nothing that a URL would escape, so that no two look alike.
///
/// # Errors
/// The rule that is broken.
pub fn check_team(name: &str) -> Result<(), &'static str> {
    let legal = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
    };
    match name.as_bytes() {
        bytes if bytes.len() > LONGEST_NAME => Err("must NOT have more than 100 characters"),
        [first, rest @ ..]
            if (first.is_ascii_lowercase() || first.is_ascii_digit())
                && rest.iter().all(|byte| legal(*byte)) =>
        {
            Ok(())
        }
        _ => Err("must be lower-case letters, digits, '.', '_' and '-', a letter or digit first"),
    }
}

/// Whether this may be said of an org or a team.
///
/// # Errors
/// The rule that is broken.
pub fn check_description(text: &str) -> Result<(), &'static str> {
    if text.chars().count() > LONGEST_DESCRIPTION {
        return Err("must NOT have more than 1024 characters");
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err("must NOT have control characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_a_check_fall_over(text in "\\PC{0,130}") {
            let _ = (check_org(&text), check_team(&text), check_description(&text));
        }

        #[test]
        fn an_org_that_is_allowed_is_a_scope_that_is_its_own_path(name in "\\PC{1,110}") {
            if check_org(&name).is_ok() {
                let package = PackageName::parse(&format!("@{name}/x")).unwrap();
                prop_assert_eq!(package.scope(), Some(&*format!("@{name}")));
                let path = format!("@{name}/x");
                prop_assert_eq!(package.path_in_documents(), path.as_str());
                prop_assert_eq!(org_of(&name), name.as_str());
            }
        }

        #[test]
        fn a_team_that_is_allowed_needs_no_escape(name in "\\PC{0,110}") {
            if check_team(&name).is_ok() {
                let is_plain =
                    |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                prop_assert!(name.chars().all(is_plain) && !name.starts_with('.'));
                prop_assert!((1..=LONGEST_NAME).contains(&name.len()));
            }
        }

        #[test]
        fn names_of_the_rules_are_allowed(
            team in "[a-z0-9][a-z0-9._-]{0,99}",
            org in "[a-z0-9~-][a-z0-9._~-]{0,99}",
        ) {
            prop_assert_eq!(check_team(&team), Ok(()));
            prop_assert_eq!(check_org(&org), Ok(()));
        }
    }

    #[test]
    fn names_that_could_be_taken_for_others_are_refused() {
        for name in ["", "Garden", "@garden", "a/b", "a:b", "..", ".a", "_a", "a b", "a\0", "%61"] {
            assert!(check_org(name).is_err(), "{name:?}");
            assert!(check_team(name).is_err(), "{name:?}");
        }
        assert!(check_team("-a").is_err() && check_team("~a").is_err());
        assert_eq!(org_of("@garden"), "garden");
        assert_eq!(org_of("@@garden"), "@garden");
    }

    #[test]
    fn a_description_is_text_of_some_length() {
        assert_eq!(check_description(""), Ok(()));
        assert_eq!(check_description(&"ü".repeat(LONGEST_DESCRIPTION)), Ok(()));
        assert!(check_description(&"ü".repeat(LONGEST_DESCRIPTION + 1)).is_err());
        assert!(check_description("a\0b").is_err());
    }
}
