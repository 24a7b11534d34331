//! What is fuzzed. `tests/corpus.rs` runs the same on a stable toolchain, over the corpus and damaged copies of it.
#![allow(dead_code, reason = "each fuzz binary uses one of them")]

use bytes::Bytes;
use onnxpress::ir::text;
use onnxpress::onnx::{load_bytes, to_bytes};
use onnxpress::passes::{SimplifyOptions, simplify};

/// decode → load → verify → emit → load, and again after simplify: what loads once is well-formed ever after.
pub fn model(bytes: &[u8]) {
    let Ok(mut model) = load_bytes(Bytes::copy_from_slice(bytes), None) else { return };
    again(&model);
    if simplify(&mut model, &SimplifyOptions::default()).is_ok() {
        again(&model);
    }
}

fn again(model: &onnxpress::ir::Model) {
    let bytes = to_bytes(model).expect("what was loaded fits one message");
    let read = load_bytes(bytes.into(), None).expect("what was written loads");
    assert_eq!(read.all_nodes().len(), model.all_nodes().len());
}

/// The text syntax: no text makes the parser panic, and what it reads is a model like any other.
pub fn text(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    if let Ok(model) = text::parse(source)
        && let Ok(bytes) = to_bytes(&model)
    {
        // A file may not say all that a text may (no opset, for one), but it is refused without a panic.
        let _ = load_bytes(bytes.into(), None);
    }
}
