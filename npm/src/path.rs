//! The part of a request URL behind the base path, read into what it asks for.
//!
//! Clients and proxies write one package in many ways: `@s%2fn`, `@s%2Fn`, `@s/n`,
//! `%40s/n`, with doubled or trailing slashes. All of them must come out as one name,
//! else caches hold the same package several times. Percent escapes are decoded exactly
//! once; what still looks encoded afterwards is refused by the name.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::name::{NameError, PackageName};

#[cfg(test)]
mod tests;

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackagePath {
    /// All versions of a package.
    Packument(PackageName),
    /// One version, by version, dist-tag or range.
    Manifest {
        /// The package.
        name: PackageName,
        /// Version, tag or range as written, decoded.
        spec: String,
    },
    /// A tarball.
    Tarball {
        /// The package.
        name: PackageName,
        /// The file name, without any scope before it, decoded.
        file: String,
    },
    /// `/:fullname/sync/log/:taskId`, the sync log of older clients.
    SyncLog {
        /// The package.
        name: PackageName,
        /// Id of the task as written, decoded.
        task: String,
    },
    /// Nothing of ours: 404.
    Other,
}

impl PackagePath {
    /// Reads a raw path: percent-encoded, without query, with or without leading slash.
    ///
    /// Forms of tarballs: `/n/-/file`, `/@s/n/-/file`, `/@s/n/-/@s/file`,
    /// `/@s/n/-/s/file` and the same with `download` in place of `-`.
    ///
    /// # Errors
    /// [`NameError`] when the package part is no package name.
    pub fn parse(raw_path: &str) -> Result<Self, NameError> {
        let segments = raw_path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(decode)
            .collect::<Result<Vec<_>, _>>()?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        match segments.as_slice() {
            [] => Ok(Self::Other),
            // `-` is a package too, but its manifests are hidden behind the API's own prefix
            ["-"] => Ok(Self::Packument(PackageName::parse("-")?)),
            ["-", "-", file] if file.ends_with(".tgz") => {
                tarball(PackageName::parse("-")?, None, file)
            }
            ["-", ..] => Ok(Self::Other),
            [scope, bare, rest @ ..] if scope.starts_with('@') && !scope.contains('/') => {
                of_package(PackageName::parse(&format!("{scope}/{bare}"))?, rest)
            }
            [name, rest @ ..] => of_package(PackageName::parse(name)?, rest),
        }
    }
}

fn of_package(name: PackageName, rest: &[&str]) -> Result<PackagePath, NameError> {
    match rest {
        [] => Ok(PackagePath::Packument(name)),
        ["-"] => Ok(PackagePath::Other),
        ["-" | "download", file] => match file.rsplit_once('/') {
            // `@s%2fn-1.0.0.tgz` as one segment
            Some((scope, file)) => tarball(name, Some(scope), file),
            None => tarball(name, None, file),
        },
        ["-" | "download", scope, file] => tarball(name, Some(scope), file),
        ["sync", "log", task] => Ok(PackagePath::SyncLog { name, task: (*task).to_owned() }),
        [spec] => Ok(PackagePath::Manifest { name, spec: (*spec).to_owned() }),
        _ => Ok(PackagePath::Other),
    }
}

/// A scope before the file must be the package's own, with or without its `@`.
fn tarball(name: PackageName, scope: Option<&str>, file: &str) -> Result<PackagePath, NameError> {
    if let Some(scope) = scope {
        let own = name.scope().and_then(|own| own.strip_prefix('@'));
        if own != Some(scope.strip_prefix('@').unwrap_or(scope)) {
            return Ok(PackagePath::Other);
        }
    }
    let is_file_name = !file.bytes().all(|byte| byte == b'.')
        && !file.chars().any(|c| c.is_control() || matches!(c, '/' | '\\'));
    if !is_file_name {
        return Err(NameError::File { name, file: file.to_owned() });
    }
    Ok(PackagePath::Tarball { name, file: file.to_owned() })
}

/// Decodes one segment once; malformed escapes are refused instead of passed on.
fn decode(segment: &str) -> Result<Cow<'_, str>, NameError> {
    let refused = || NameError::Encoding { text: segment.to_owned() };
    let mut rest = segment;
    while let Some((_, after)) = rest.split_once('%') {
        let escape = after.as_bytes().get(..2).ok_or_else(refused)?;
        if !escape.iter().all(u8::is_ascii_hexdigit) {
            return Err(refused());
        }
        rest = after;
    }
    percent_decode_str(segment).decode_utf8().map_err(|_| refused())
}
