//! `fault.c`, compiled once, and the variables that tell it what to do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::Espejo;

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// The process dies before it.
    Kill,
    /// Half of a write happens, then the process dies.
    Torn,
    /// It fails once for want of space.
    Full,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Torn => "torn",
            Self::Full => "full",
        }
    }
}

/// The compiled library; the C compiler is the one every build of the workspace needs.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/recovery/fault.c");
        let library =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fault-{}.so", std::process::id()));
        let built = Command::new("cc")
            .args(["-O1", "-Wall", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(&source)
            .arg("-ldl")
            .status()
            .expect("a C compiler");
        assert!(built.success(), "fault.c does not compile");
        library
    })
}

/// The program with the library loaded: operations below its data folder are counted in `count`.
pub fn watched(data: &Path, count: &Path) -> Espejo {
    std::fs::write(count, 0u64.to_ne_bytes()).expect("a file");
    Espejo::new(data)
        .env("LD_PRELOAD", library().display())
        .env("FAULT_FOLDER", data.display())
        .env("FAULT_COUNT", count.display())
}

/// The same, and the `at`-th operation meets `action`.
pub fn faulty(data: &Path, count: &Path, action: Action, at: u64) -> Espejo {
    watched(data, count).env("FAULT_ACTION", action.as_str()).env("FAULT_AT", at)
}

/// How many operations were counted.
pub fn counted(count: &Path) -> u64 {
    let bytes = std::fs::read(count).expect("a file");
    u64::from_ne_bytes(bytes[..8].try_into().expect("eight bytes"))
}
