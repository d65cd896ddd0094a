//! Documents as clients get them, spliced together from slices of the upstream body.

use crate::name::{PackageName, escape_file};
use crate::packument::PackumentScan;

/// Which of the two documents a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackumentForm {
    /// Everything upstream has.
    Full,
    /// What installing needs.
    Abbreviated,
}

impl PackumentForm {
    /// `full` or `abbreviated`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Abbreviated => "abbreviated",
        }
    }

    /// The content type; pnpm takes anything but the vendor type for a full document.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Full => "application/json",
            Self::Abbreviated => "application/vnd.npm.install-v1+json",
        }
    }

    /// What an `Accept` header prefers.
    #[must_use]
    pub fn from_accept(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/vnd.npm.install-v1+json") => {
                Self::Abbreviated
            }
            _ => Self::Full,
        }
    }
}

/// What a document is rendered for.
#[derive(Clone, Copy)]
pub struct RenderOptions<'a> {
    /// The package, as it is asked for.
    pub name: &'a PackageName,
    /// Our public address without trailing slash; may hold a path prefix.
    pub base_url: &'a str,
    /// Versions that are left out (blocked, held).
    pub hidden: &'a dyn Fn(&str) -> bool,
}

/// Renders all visible versions.
#[must_use]
pub fn render_packument(
    scan: &PackumentScan<'_>,
    form: PackumentForm,
    options: &RenderOptions<'_>,
) -> Vec<u8> {
    let _ = (form, options);
    let mut out = vec![b'{'];
    for (index, (key, value)) in scan.members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        crate::json::write_string(&mut out, key);
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
    }
    out.push(b'}');
    out
}

/// Renders one version; `None` when it is absent or hidden.
#[must_use]
pub fn render_manifest(
    scan: &PackumentScan<'_>,
    version: &str,
    form: PackumentForm,
    options: &RenderOptions<'_>,
) -> Option<Vec<u8>> {
    let _ = form;
    let entry = scan.version(version).filter(|_| !(options.hidden)(version))?;
    Some(entry.raw.get().as_bytes().to_vec())
}

/// The file name we give a tarball: `<bare>-<version>.tgz`.
#[must_use]
pub fn canonical_tarball_file(name: &PackageName, version: &str) -> String {
    format!("{}-{version}.tgz", name.bare())
}

/// The version in a file name of canonical form.
#[must_use]
pub fn version_of_tarball_file<'f>(name: &PackageName, file: &'f str) -> Option<&'f str> {
    let version = file.strip_suffix(".tgz")?.strip_prefix(name.bare())?.strip_prefix('-')?;
    (!version.is_empty()).then_some(version)
}

/// The address of a tarball under our base.
pub(crate) fn tarball_url(options: &RenderOptions<'_>, version: &str) -> String {
    let file = canonical_tarball_file(options.name, version);
    format!("{}/{}/-/{}", options.base_url, options.name.path_in_documents(), escape_file(&file))
}
