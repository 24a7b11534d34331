//! The fuzz targets on a stable toolchain: over their corpus, the fixtures, the golden cases, and damaged copies of each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use onnxpress::ir::text;
use onnxpress::onnx;

use crate::bad_input::Seed;
use crate::common::{files, fixture, root};

#[path = "../fuzz/targets.rs"]
mod targets;

fn golden() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root().join("tests/golden")).unwrap().map(|e| e.unwrap().path());
    folders.flat_map(|folder| files(&folder, Some("onnxtxt"))).collect()
}

/// Another version of `bytes`: bits flipped, a piece cut out, doubled, or overwritten.
fn damaged(bytes: &[u8], seed: &mut Seed) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=seed.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = seed.below(bytes.len());
        let end = (at + 1 + seed.below(16)).min(bytes.len());
        match seed.below(5) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.extend_from_within(at..end),
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][seed.below(5)],
            _ => bytes[at] ^= 1 << seed.below(8),
        }
    }
    bytes
}

/// Runs the target on the input; where it panics, the input is kept and the test fails.
fn survive(name: &str, target: fn(&[u8]), bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{name}"));
        std::fs::write(&path, bytes).unwrap();
        panic!("{name} panicked; the input is {}", path.display());
    }
}

fn replay(name: &str, target: fn(&[u8]), corpus: &[Vec<u8>], copies: usize) {
    let mut seed = Seed(0x2545_F491_4F6C_DD1D);
    for bytes in corpus {
        survive(name, target, bytes);
        for _ in 0..copies {
            survive(name, target, &damaged(bytes, &mut seed));
        }
    }
}

#[test]
fn damaged_models_never_panic() {
    let read = |p: PathBuf| std::fs::read(p).unwrap();
    let mut corpus: Vec<Vec<u8>> = files(&root().join("fuzz/corpus/model"), None).into_iter().map(read).collect();
    corpus.extend(["control_flow.onnx", "majority.onnx"].map(|name| read(fixture(name))));
    let models = golden().into_iter().map(|p| text::parse(&std::fs::read_to_string(p).unwrap()).unwrap());
    corpus.extend(models.map(|m| onnx::to_bytes(&m).unwrap()));
    assert!(corpus.len() > 10, "{} inputs", corpus.len());
    replay("model", targets::model, &corpus, 1000);
}

#[test]
fn damaged_texts_never_panic() {
    let sources = files(&root().join("fuzz/corpus/text"), None).into_iter().chain(golden());
    let corpus: Vec<Vec<u8>> = sources.map(|p| std::fs::read(p).unwrap()).collect();
    assert!(corpus.len() > 10, "{} inputs", corpus.len());
    replay("text", targets::text, &corpus, 1000);
}
