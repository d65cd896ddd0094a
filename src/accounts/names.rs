//! What accounts may be called, and what their e-mail addresses and passwords look like.

/// Most characters of a login name.
pub const LONGEST_NAME: usize = 100;
/// Characters of a password.
pub const PASSWORD_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=100;
/// Most characters of an e-mail address (RFC 5321, 4.5.3.1).
const LONGEST_EMAIL: usize = 254;

/// Whether a new account may have this name: npm's own rule (`npm-user-validate`), lower case and
/// nothing that a URL would escape, so that no two names look alike.
///
/// # Errors
/// The rule that is broken.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let legal = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
    };
    match name.as_bytes() {
        [] => Err("must NOT have fewer than 1 characters"),
        bytes if bytes.len() > LONGEST_NAME => Err("must NOT have more than 100 characters"),
        [b'.' | b'-' | b'_', ..] => Err("must begin with a letter or a digit"),
        bytes if bytes.iter().all(|byte| legal(*byte)) => Ok(()),
        _ => Err("must be lower-case letters, digits, '.', '_' and '-' only"),
    }
}

/// Whether a text has the form of an e-mail address; nobody is ever written to.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain = |part: &str| {
        let is_plain =
            |c: char| !c.is_whitespace() && !c.is_control() && !"<>()[],;:\\\"@".contains(c);
        !part.is_empty() && part.chars().all(is_plain)
    };
    let is_host = !domain.starts_with('.') && !domain.ends_with('.') && !domain.contains("..");
    text.len() <= LONGEST_EMAIL && plain(local) && plain(domain) && is_host
}

/// Whether a password may be chosen.
///
/// # Errors
/// The rule that is broken, in the words of the contract.
pub fn check_password(password: &str) -> Result<(), &'static str> {
    match password.chars().count() {
        count if count < *PASSWORD_CHARACTERS.start() => {
            Err("must NOT have fewer than 8 characters")
        }
        count if count > *PASSWORD_CHARACTERS.end() => {
            Err("must NOT have more than 100 characters")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_allowed_never_needs_an_escape(name in "\\PC{0,110}") {
            if check_name(&name).is_ok() {
                let escaped = percent_encoding::utf8_percent_encode(
                    &name,
                    percent_encoding::NON_ALPHANUMERIC,
                ).to_string();
                let plain = escaped.replace("%2E", ".").replace("%5F", "_").replace("%2D", "-");
                prop_assert_eq!(&plain, &name);
                prop_assert!(name.len() <= LONGEST_NAME && !name.is_empty());
            }
        }

        #[test]
        fn names_of_the_rule_are_allowed(name in "[a-z0-9][a-z0-9._-]{0,99}") {
            prop_assert_eq!(check_name(&name), Ok(()));
        }

        #[test]
        fn no_text_makes_the_check_of_an_address_fall_over(text in "\\PC{0,300}") {
            prop_assert!(!is_email(&text) || (text.contains('@') && text.len() <= LONGEST_EMAIL));
        }
    }

    #[test]
    fn names_that_could_be_taken_for_others_are_refused() {
        for name in ["Ada", "ada ", "a/b", "a:b", "@ada", ".ada", "-ada", "ädä", "a\0", "a%20"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name(&"a".repeat(101)).is_err());
        assert_eq!(check_name(&"a".repeat(100)), Ok(()));
    }

    #[test]
    fn addresses_and_passwords_have_their_forms() {
        for (text, good) in [
            ("ada@garden.test", true),
            ("a.b+c@localhost", true),
            ("ada", false),
            ("@garden.test", false),
            ("ada@", false),
            ("ada@garden..test", false),
            ("a b@garden.test", false),
            ("a@b@garden.test", false),
        ] {
            assert_eq!(is_email(text), good, "{text}");
        }
        assert!(check_password("1234567").is_err());
        assert!(check_password("12345678").is_ok());
        assert!(check_password(&"ü".repeat(100)).is_ok());
        assert!(check_password(&"ü".repeat(101)).is_err());
    }
}
