//! What publishers send: `PUT /:name`, `/-rev/` and dist-tags (wire contract, 7.5 to 7.9).

mod body;
mod owners;
mod strict;
mod tags;
mod unpublish;
mod version;

pub use owners::put_revision;
pub use tags::{delete_tag, put_tag};
pub use unpublish::delete_revision;
pub use version::put_package;

use actix_web::HttpRequest;
use actix_web::http::header;
use actors::publishing::{Before, Edit, EditError};
use npm::{PackageName, PackagePath};
use store::Committed;

use crate::access::gate;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::User;
use crate::publishing::rights::Publisher;

/// What a path with `/-rev/` is about.
#[derive(Debug, PartialEq, Eq)]
pub enum Revised {
    /// The whole package.
    Package(PackageName),
    /// One of its tarballs.
    Tarball(PackageName, String),
}

/// Reads `/:name/-rev/:rev` and `/:name/-/:file/-rev/:rev`; the revision is not checked, because
/// every change is made of what is there.
#[must_use]
pub fn revised(path: &str) -> Option<Revised> {
    let (path, rev) = path.trim_end_matches('/').rsplit_once("/-rev/")?;
    if rev.is_empty() || rev.contains('/') {
        return None;
    }
    match PackagePath::parse(path).ok()? {
        PackagePath::Packument(name) => Some(Revised::Package(name)),
        PackagePath::Tarball { name, file } => Some(Revised::Tarball(name, file)),
        _ => None,
    }
}

/// The command of npm that sends a request: its header, else the first word that old clients have
/// in `Referer`.
fn command(request: &HttpRequest) -> &str {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let referer = || text(header::REFERER.as_str())?.split_whitespace().next();
    text("npm-command").or_else(referer).unwrap_or_default()
}

/// Who changes a package, with the addresses of all who are named by it or the request. Whoever may
/// not read it hears that and nothing else.
async fn publisher(
    app: &App,
    request: &HttpRequest,
    user: &User,
    name: &PackageName,
    named: &[String],
) -> Result<Publisher, ApiError> {
    gate::of_name(app, request, name).await?;
    let before = app.engine.before_edit(name).await?;
    let named: Vec<String> = before.maintainers.iter().chain(named).cloned().collect();
    Publisher::of(app, request, user, name, &named).await
}

/// Makes a change; who reads from now on sees it.
async fn edit(
    app: &App,
    name: &PackageName,
    decide: impl Fn(Before) -> Result<Option<Edit>, ApiError> + Send + 'static,
) -> Result<Option<Committed>, ApiError> {
    let edited = app.engine.edit_package(name, decide).await;
    app.packages.forget(name);
    edited.map_err(|error| match error {
        EditError::Refused(refused) => refused,
        EditError::Engine(error) => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_revision_is_about_a_package_or_a_tarball() {
        let name = |text: &str| PackageName::parse(text).unwrap();
        for (path, found) in [
            ("/lamp/-rev/1-a", Some(Revised::Package(name("lamp")))),
            ("/@s%2fn/-rev/1-a", Some(Revised::Package(name("@s/n")))),
            ("/@s/n/-rev/undefined/", Some(Revised::Package(name("@s/n")))),
            (
                "/@s/n/-/n-1.0.0.tgz/-rev/1-a",
                Some(Revised::Tarball(name("@s/n"), "n-1.0.0.tgz".to_owned())),
            ),
            ("/lamp/-rev/", None),
            ("/lamp/1.0.0", None),
            ("/lamp/1.0.0/-rev/1", None),
        ] {
            assert_eq!(revised(path), found, "{path}");
        }
    }
}
