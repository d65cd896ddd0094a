//! The command line as a script sees it: exit codes, JSON, the words of the first run.

mod block;
mod first_run;
mod refusals;
mod results;
mod ways;

use crate::harness::{Espejo, FakeUpstream, Package};

/// An upstream with two packages, and the program over an empty data folder.
fn setting() -> (FakeUpstream, tempfile::TempDir, Espejo) {
    let upstream = FakeUpstream::start();
    upstream.publish(&Package::new("lamp").version("1.0.0").version("1.1.0"));
    upstream.publish(&Package::new("@garden/ui").version("2.0.0"));
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(&folder.path().join("espejo-data"));
    (upstream, folder, espejo)
}
