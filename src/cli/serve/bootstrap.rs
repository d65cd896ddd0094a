//! First start: the user `admin` and the file with its token.

use store::{Store, WriteFn};

use crate::{
    admin_token::{self, Token},
    cli::{open::write_blocking, problem::Problem},
    config::Config,
};

/// Makes the token when its file is not there; says whether it did.
///
/// The row comes first: a file that is there always opens the door.
///
/// # Errors
/// When the token cannot be stored.
pub fn ensure_admin_token(config: &Config, store: &Store) -> Result<bool, Problem> {
    let folder = &config.storage.path;
    let path = admin_token::path(folder);
    if path.exists() {
        return Ok(false);
    }
    let token = Token::generate().map_err(|error| Problem::failed(error.to_string()))?;
    let row = token.clone();
    let write: WriteFn =
        Box::new(move |connection| admin_token::store(connection, row.key(), &row.mark()));
    write_blocking(store, vec![write])?;
    admin_token::write_file(folder, &token)
        .map_err(|error| Problem::failed(format!("cannot write {}", path.display())).why(error))?;
    Ok(true)
}
