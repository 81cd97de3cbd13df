//! The program: reads its arguments and does what they say.

use std::process::ExitCode;

/// Threads that allocate all day without the system's allocator growing and shrinking its arenas.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sentral::shell::cli::run()
}
