use std::process::ExitCode;

/// Runtimes take and free tensors of all sizes on several threads; this allocator gives what is free back to the system.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    onnxpress::cli::run(std::env::args_os())
}
