//! Finding the upstream where npm itself would: nothing is written in this repository.
//!
//! Order: flag, `ESPEJO_UPSTREAM` and file (all three in [`Config`]), the value stored at first
//! run, `npm_config_registry` in any case, `.npmrc` of project, user and installation, and at
//! last `npm config get registry`, which is asked beside start-up because it takes a second.
//! All but the last are pure functions over a [`Surroundings`].
//!
//! [`Config`]: crate::config::Config

pub mod ask_npm;
pub mod npmrc;
mod own_address;

use std::path::{Path, PathBuf};

use url::Url;

pub use self::own_address::is_own_address;
use crate::config::value::parse_address;

/// The environment and files discovery looks at.
pub trait Surroundings {
    /// All environment variables.
    fn variables(&self) -> &[(String, String)];
    /// The folder we were started in.
    fn working_folder(&self) -> &Path;
    /// The text of a file, if it can be read.
    fn read_file(&self, path: &Path) -> Option<String>;
    /// Whether a file or folder exists.
    fn exists(&self, path: &Path) -> bool;
    /// A path with its links followed.
    fn resolved(&self, path: &Path) -> Option<PathBuf>;
}

/// The surroundings of this process.
pub struct Process {
    variables: Vec<(String, String)>,
    working_folder: PathBuf,
}

impl Process {
    /// Takes a copy of the environment.
    #[must_use]
    pub fn new(variables: Vec<(String, String)>) -> Self {
        let working_folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        Self { variables, working_folder }
    }
}

impl Surroundings for Process {
    fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    fn working_folder(&self) -> &Path {
        &self.working_folder
    }

    fn read_file(&self, path: &Path) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()
    }
}

/// An upstream that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Its address.
    pub url: Url,
    /// Where it was found: "npm config (user .npmrc, line 3)".
    pub origin: String,
}

/// Why what was found is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// An undefined `${NAME}`.
    #[error("refused what stands in {place}")]
    UndefinedVariable {
        /// File and line, or variable.
        place: String,
        /// The undefined name.
        name: String,
    },
    /// No http address.
    #[error("refused the registry in {place}: {address:?} is no http or https address")]
    NotAnAddress {
        /// File and line, or variable.
        place: String,
        /// The text found.
        address: String,
    },
}

/// Looks everywhere but in npm itself.
///
/// # Errors
/// When something was found but cannot be used: it is refused rather than passed over.
pub fn discover(surroundings: &dyn Surroundings) -> Result<Option<Discovered>, DiscoveryError> {
    if let Some((name, value)) = npm_variable(surroundings, "registry") {
        return accept(surroundings, &value, name.clone(), format!("npm config ({name})"))
            .map(Some);
    }
    for (kind, path) in npmrc_files(surroundings) {
        let Some(text) = surroundings.read_file(&path) else { continue };
        if let Some(found) = npmrc::find(&text, "registry") {
            let place = format!("{} line {}", path.display(), found.line);
            let origin = format!("npm config ({kind}, line {})", found.line);
            return accept(surroundings, &found.raw, place, origin).map(Some);
        }
    }
    Ok(None)
}

/// Checks npm's own answer like any other find.
///
/// # Errors
/// When it is no address.
pub fn from_npm(answer: &str) -> Result<Discovered, DiscoveryError> {
    let place = "npm config get registry".to_owned();
    let origin = "npm config (npm config get registry)".to_owned();
    let url = address(answer, place)?;
    Ok(Discovered { url, origin })
}

/// The token that npm would send to a registry: the line of the nearest folder of its address
/// wins, in the first file that has one.
///
/// # Errors
/// When it holds a variable that is not defined.
pub fn find_token(
    surroundings: &dyn Surroundings,
    url: &Url,
) -> Result<Option<String>, DiscoveryError> {
    for (_, path) in npmrc_files(surroundings) {
        let Some(text) = surroundings.read_file(&path) else { continue };
        let mut folder = format!("//{}{}", url.authority(), url.path().trim_end_matches('/'));
        while folder.len() > 2 {
            if let Some(found) = npmrc::find(&text, &format!("{folder}/:_authToken")) {
                let token = npmrc::expand(&found.raw, |name| variable(surroundings, name));
                return token.map(Some).map_err(|name| {
                    let place = format!("{} line {}", path.display(), found.line);
                    DiscoveryError::UndefinedVariable { place, name }
                });
            }
            folder.truncate(folder.rfind('/').unwrap_or(0));
        }
    }
    Ok(None)
}

fn accept(
    surroundings: &dyn Surroundings,
    raw: &str,
    place: String,
    origin: String,
) -> Result<Discovered, DiscoveryError> {
    let text = npmrc::expand(raw, |name| variable(surroundings, name))
        .map_err(|name| DiscoveryError::UndefinedVariable { place: place.clone(), name })?;
    Ok(Discovered { url: address(&text, place)?, origin })
}

fn address(text: &str, place: String) -> Result<Url, DiscoveryError> {
    parse_address(text.trim())
        .map_err(|_| DiscoveryError::NotAnAddress { place, address: text.to_owned() })
}

fn variable(surroundings: &dyn Surroundings, name: &str) -> Option<String> {
    let found = surroundings.variables().iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.clone())
}

/// `npm_config_NAME` in any case; npm ignores empty ones.
fn npm_variable(surroundings: &dyn Surroundings, name: &str) -> Option<(String, String)> {
    let wanted = format!("npm_config_{name}");
    let mut all = surroundings.variables().iter();
    all.find(|(key, value)| key.eq_ignore_ascii_case(&wanted) && !value.is_empty()).cloned()
}

/// Project, user and installation files in the order in which they win.
fn npmrc_files(surroundings: &dyn Surroundings) -> Vec<(&'static str, PathBuf)> {
    let project = project_folder(surroundings).join(".npmrc");
    let user = npm_variable(surroundings, "userconfig")
        .map(|(_, path)| PathBuf::from(path))
        .or_else(|| variable(surroundings, "HOME").map(|home| Path::new(&home).join(".npmrc")));
    let mut files = Vec::new();
    if user.as_ref() != Some(&project) {
        files.push(("project .npmrc", project));
    }
    files.extend(user.map(|path| ("user .npmrc", path)));
    let global = npm_variable(surroundings, "globalconfig")
        .map(|(_, path)| PathBuf::from(path))
        .or_else(|| global_file(surroundings, &files));
    files.extend(global.map(|path| ("global npmrc", path)));
    files
}

/// The nearest folder upwards that npm takes for a project, else the working folder.
fn project_folder(surroundings: &dyn Surroundings) -> PathBuf {
    let start = surroundings.working_folder();
    let is_project = |folder: &&Path| {
        let marks = ["package.json", "node_modules"];
        marks.iter().any(|mark| surroundings.exists(&folder.join(mark)))
    };
    start.ancestors().find(is_project).unwrap_or(start).to_owned()
}

/// `PREFIX/etc/npmrc`; the prefix is a setting of its own, else two above the `node` program.
fn global_file(
    surroundings: &dyn Surroundings,
    files: &[(&'static str, PathBuf)],
) -> Option<PathBuf> {
    let configured = npm_variable(surroundings, "prefix").map(|(_, prefix)| prefix).or_else(|| {
        files.iter().find_map(|(_, path)| {
            let text = surroundings.read_file(path)?;
            let value = npmrc::find(&text, "prefix")?;
            npmrc::expand(&value.raw, |name| variable(surroundings, name)).ok()
        })
    });
    let prefix = match configured.or_else(|| variable(surroundings, "PREFIX")) {
        Some(prefix) => PathBuf::from(prefix),
        None => {
            let path = variable(surroundings, "PATH")?;
            let node = std::env::split_paths(&path)
                .map(|folder| folder.join("node"))
                .find(|program| surroundings.exists(program))?;
            surroundings.resolved(&node)?.parent()?.parent()?.to_owned()
        }
    };
    Some(prefix.join("etc/npmrc"))
}

#[cfg(test)]
mod tests;
