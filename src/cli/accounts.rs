//! What `espejo user` and `espejo token` share: looking for a user, sign-in links, passwords.

use std::path::Path;

use super::{exit::Exit, place::Place, problem::Problem, runtime};
use crate::{
    accounts::{key_of, names::check_password},
    config::Config,
    control::messages::StatusAnswer,
    handlers::login::secret,
    operations::accounts::{AddLink, FindUser, ShownUser},
};

/// The user of this name.
///
/// # Errors
/// When there is none.
pub(super) fn user(place: &Place, name: &str) -> Result<ShownUser, Problem> {
    place.run(FindUser { name: name.to_owned() })?.ok_or_else(|| no_user(name))
}

/// Makes a sign-in link.
///
/// # Errors
/// When there is no such user.
pub(super) fn link(place: &Place, config: &Config, user: &str) -> Result<String, Problem> {
    let secret = secret().map_err(|error| Problem::failed(error.to_string()))?;
    let key = key_of(&secret).to_hex();
    if !place.run(AddLink { user: user.to_owned(), key })? {
        return Err(no_user(user));
    }
    Ok(format!("{}/-/ui/join/{secret}", base(place, config)?))
}

/// How people reach the mirror.
fn base(place: &Place, config: &Config) -> Result<String, Problem> {
    if let Some(remote) = &config.remote {
        return Ok(remote.url.as_str().trim_end_matches('/').to_owned());
    }
    if let Some(url) = &config.public_url {
        return Ok(url.as_str().trim_end_matches('/').to_owned());
    }
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let listen = match place.server() {
        Some(server) => runtime::small()?.block_on(server.get::<StatusAnswer>("status"))?.listen,
        None => config.listen.to_string(),
    };
    Ok(format!("{scheme}://{listen}"))
}

/// There is no user of this name.
pub(super) fn no_user(name: &str) -> Problem {
    Problem::new(Exit::NotFound, "NOT_FOUND", format!("there is no user {name}"))
        .hint(format!("espejo user list, or espejo user add {name}"))
}

/// The first line of a file, `-` for standard input.
///
/// # Errors
/// When it cannot be read.
pub(super) fn secret_from(file: &Path, what: &str) -> Result<String, Problem> {
    let read = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = read.map_err(|error| {
        Problem::usage(format!("cannot read a {what} from {}", file.display())).why(error)
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// The same as a password that may be chosen.
///
/// # Errors
/// When it cannot be read or breaks a rule.
pub(super) fn password_from(file: &Path) -> Result<String, Problem> {
    let password = secret_from(file, "password")?;
    check_password(&password).map_err(|rule| {
        Problem::usage(format!("the password {rule}")).hint("8 to 100 characters")
    })?;
    Ok(password)
}
