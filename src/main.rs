use std::process::ExitCode;

/// Tensors of all sizes come and go on several threads; the system's allocator keeps the holes that they leave.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    onnxpress::cli::run(std::env::args_os())
}
