//! The program dies, the disk is full, bytes rot: nothing acknowledged is lost, nothing wrong served.
//!
//! The real program runs as a child with `fault.c` loaded in front of libc, so that a run can be
//! ended, or its disk be full, at exactly the n-th operation that changes a file. SQLite and local
//! segments only: where the order on disk is ours to keep.

mod damage;
mod disk_full;
mod fault;
mod kill;
mod publish;

use crate::harness::Package;

/// Packages of several shapes: scoped, many versions, above the size that gets a file of its own.
fn packages() -> Vec<Package> {
    let mut packages = Vec::new();
    for n in 0..6 {
        let name = if n % 2 == 0 { format!("@kill/p{n}") } else { format!("p{n}") };
        let mut package = Package::new(&name);
        for version in 0..=n {
            package = package
                .version_with(&format!("1.{version}.0"), |made| made.size(500 + 9_000 * version));
        }
        packages.push(package);
    }
    packages.push(Package::new("large").version_with("1.0.0", |version| version.size(1_300_000)));
    packages
}

fn names(packages: &[Package]) -> Vec<&str> {
    packages.iter().map(|package| package.name.as_str()).collect()
}

/// Whether these tests are left out: with PostgreSQL the order of rows is not ours.
pub fn left_out() -> bool {
    let postgres = std::env::var_os("TEST_DATABASE_URL").is_some_and(|url| !url.is_empty());
    if postgres {
        eprintln!("left out: recovery runs on SQLite and local segments only");
    }
    postgres
}
