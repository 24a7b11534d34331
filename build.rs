//! Compiles `proto/onnx.proto` without protoc; `bytes` fields stay slices of the buffer they are decoded from.
//! Tells the program the version of tract, which tract itself does not.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/onnx.proto");
    let descriptors = protox::compile(["proto/onnx.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed=Cargo.lock");
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let package = lock.split("[[package]]").find(|p| p.contains("name = \"tract-onnx\""));
    // A dependency has no lock of its own: then the least version that it asks for.
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap_or_default();
    let locked = package.and_then(|p| p.split("version = \"").nth(1)?.split('"').next());
    let version = locked.or_else(|| manifest.split("\ntract-onnx = \"").nth(1)?.split('"').next());
    println!("cargo::rustc-env=TRACT_VERSION={}", version.unwrap_or_default());
    Ok(())
}
