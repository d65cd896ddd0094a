//! What runs on the machine of whoever installs a version.

use crate::json;

/// The scripts that package managers run when they install a dependency.
const ON_INSTALL: [&str; 3] = ["preinstall", "install", "postinstall"];

/// The three places where a document says so.
#[derive(Default)]
pub(super) struct Scripts {
    /// `scripts` has one of [`ON_INSTALL`].
    pub(super) written: bool,
    /// `hasInstallScript`, as abbreviated documents have it.
    pub(super) announced: bool,
    /// `gypfile`: there is a file by which npm builds native code when no script says how.
    pub(super) builds: bool,
}

impl Scripts {
    pub(super) fn any(&self) -> bool {
        self.written || self.announced || self.builds
    }
}

/// Whether one of the scripts of a manifest runs on install; an empty one does not.
pub(super) fn run_on_install(scripts: &str) -> bool {
    let mut found = false;
    // the only error is a value that is no object: no scripts then
    let _ = json::each_member(scripts, |key, value| {
        if ON_INSTALL.contains(&&*key) {
            found |= json::string(value).is_some_and(|script| !script.trim().is_empty());
        }
    });
    found
}
