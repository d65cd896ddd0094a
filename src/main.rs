//! The `espejo` binary.

/// Gives memory back sooner and fragments less than the system's allocator under many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    espejo::cli::main()
}
