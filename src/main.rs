use std::process::ExitCode;

fn main() -> ExitCode {
    onnxpress::cli::run(std::env::args_os())
}
