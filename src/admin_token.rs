//! Access tokens as text, and the bootstrap admin's token in the data folder.
//!
//! A token is `npm_`, 30 base62 characters from a secure random source, and 6 base62 characters
//! of their CRC-32, the form that secret scanners know. The database holds its SHA-512 only; the
//! text of the bootstrap token is in `admin.token`, readable by the owner.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use npm::Sha512Digest;
use store::{
    AnyConnection, StoreError, settings,
    tokens::{self, NewToken, TokenLimits},
    users,
};

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "admin.token";
/// The user the token belongs to.
pub const ADMIN: &str = "admin";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &str = "npm_";
const RANDOM_CHARACTERS: usize = 30;
const CHECK_CHARACTERS: usize = 6;
/// What lists of tokens say of it.
const DESCRIPTION: &str = "in the file admin.token of the data folder";
/// Setting that holds the key of the bootstrap token in force, so that a new one ends it.
const KEY_IN_FORCE: &str = "admin_token.key";

/// A token that was just made; its text is known only here.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Makes a token.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> io::Result<Self> {
        let mut text = String::with_capacity(PREFIX.len() + RANDOM_CHARACTERS + CHECK_CHARACTERS);
        let mut random = [0_u8; 64];
        while text.len() < RANDOM_CHARACTERS {
            getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
            // 248 = 4 × 62: larger bytes are thrown away, or some characters were likelier.
            let fair = random.iter().filter(|byte| **byte < 248);
            let characters = fair.map(|byte| base62(u32::from(*byte)));
            let missing = RANDOM_CHARACTERS - text.len();
            text.extend(characters.take(missing));
        }
        let check = check_characters(&text);
        Ok(Self(format!("{PREFIX}{text}{check}")))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What the database knows of it.
    #[must_use]
    pub fn key(&self) -> Sha512Digest {
        Sha512Digest::of(self.0.as_bytes())
    }

    /// Its row as a token of this user.
    #[must_use]
    pub fn row(&self, user: &str, limits: TokenLimits) -> NewToken {
        NewToken { key: self.key(), user: user.to_owned(), mark: self.mark(), limits }
    }

    /// First six and last two characters: what lists show.
    #[must_use]
    pub fn mark(&self) -> String {
        let first: String = self.0.chars().take(6).collect();
        let last: String = self.0.chars().skip(self.0.chars().count().saturating_sub(2)).collect();
        format!("{first}...{last}")
    }
}

/// Whether a text has the form of a token and its check characters agree.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    let alphabet = rest.bytes().all(|byte| ALPHABET.contains(&byte));
    if !alphabet || rest.len() != RANDOM_CHARACTERS + CHECK_CHARACTERS {
        return false;
    }
    let (random, check) = rest.split_at(RANDOM_CHARACTERS);
    check_characters(random) == check
}

fn base62(number: u32) -> char {
    let index = usize::try_from(number % 62).unwrap_or_default();
    ALPHABET.get(index).map_or('0', |byte| char::from(*byte))
}

fn check_characters(random: &str) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(random.as_bytes());
    let mut rest = crc.sum();
    let mut reversed = [0_u32; CHECK_CHARACTERS];
    for digit in &mut reversed {
        *digit = rest % 62;
        rest /= 62;
    }
    reversed.iter().rev().map(|digit| base62(*digit)).collect()
}

/// Where the bootstrap token is.
#[must_use]
pub fn path(data_folder: &Path) -> PathBuf {
    data_folder.join(FILE_NAME)
}

/// Writes the file, readable by its owner only; the old one is replaced in one step.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_file(data_folder: &Path, token: &Token) -> io::Result<()> {
    let new = data_folder.join(format!("{FILE_NAME}.new"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    writeln!(file, "{}", token.text())?;
    file.sync_all()?;
    fs::rename(&new, path(data_folder))
}

/// Makes a token, of which this is the row, the bootstrap admin's only one (a write).
///
/// # Errors
/// Those of the database.
pub fn store(
    connection: &mut AnyConnection,
    key: Sha512Digest,
    mark: &str,
) -> Result<(), StoreError> {
    users::ensure(connection, ADMIN, true)?;
    let old = settings::find(connection, KEY_IN_FORCE)?;
    if let Some(old) = old.and_then(|hex| Sha512Digest::from_hex(&hex).ok()) {
        tokens::delete(connection, &old)?;
    }
    let limits =
        TokenLimits { description: Some(DESCRIPTION.to_owned()), ..TokenLimits::default() };
    let row = NewToken { key, user: ADMIN.to_owned(), mark: mark.to_owned(), limits };
    tokens::create(connection, &row)?;
    settings::set(connection, KEY_IN_FORCE, &row.key.to_hex())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn tokens_have_the_known_form_and_a_check_that_finds_slips() {
        let token = Token::generate().unwrap();
        assert_eq!(token.text().len(), 40);
        assert!(is_well_formed(token.text()));
        assert_eq!(token.key(), Sha512Digest::of(token.text().as_bytes()));
        assert_eq!(token.mark().len(), 11);
        let slip = token.text().replace(token.text().chars().nth(10).unwrap(), "_");
        assert!(!is_well_formed(&slip));
        for (index, character) in token.text().char_indices().skip(4) {
            let other = if character == 'a' { 'b' } else { 'a' };
            let mut text = token.text().to_owned();
            text.replace_range(index..=index, &other.to_string());
            assert!(!is_well_formed(&text), "{text}");
        }
    }

    #[test]
    fn the_check_is_the_crc_32_in_base62() {
        // CRC-32 of thirty zeros is 0x77E5DB82, computed with another implementation.
        assert_eq!(check_characters(&"0".repeat(30)), "2C8GjS");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_check_of_the_form_fall_over(text in "(npm_)?\\PC{0,50}") {
            let known = is_well_formed(&text);
            proptest::prop_assert!(!known || text.len() == 40);
        }

        #[test]
        fn every_random_part_has_one_check_that_fits(random in "[0-9A-Za-z]{30}") {
            let text = format!("npm_{random}{}", check_characters(&random));
            proptest::prop_assert!(is_well_formed(&text));
        }
    }

    #[test]
    fn all_tokens_differ() {
        let all: HashSet<String> =
            (0..200).map(|_| Token::generate().unwrap().text().to_owned()).collect();
        assert_eq!(all.len(), 200);
    }

    #[test]
    fn the_file_is_for_its_owner_only_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let token = Token::generate().unwrap();
            write_file(folder.path(), &token).unwrap();
            let path = path(folder.path());
            assert_eq!(fs::read_to_string(&path).unwrap().trim(), token.text());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
