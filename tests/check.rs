//! A rewrite that went wrong is seen, in a runtime that does not do the same to the original.

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, text};
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::runtime;
use onnxpress::validate::check::{Checked, ROUNDING, check};

fn model(factor: f32) -> Model {
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]>
         g (float[N,2,4,4] x) => (float[N,2,4,4] y) <float[2,2,1,1] w = {{1,2,3,4}}, float s = {{{factor}}}>
         {{ c = Conv (x, w) y = Mul (c, s) }}"
    );
    text::parse(&source).unwrap()
}

fn checked(a: &Model, b: &Model) -> Checked {
    let data = Dataset::open(&DataOptions::new("random:3"), &InputSpec::of(a)).unwrap();
    check(a, b, &data, 3, runtime::find("tract").unwrap()).unwrap()
}

#[test]
fn rounding_passes_and_a_wrong_factor_does_not() {
    let original = model(0.3);
    let mut folded = original.clone();
    assert_eq!(simplify(&mut folded, &SimplifyOptions::default()).unwrap().nodes_after, 1);
    let seen = checked(&original, &folded);
    let (output, off) = seen.worst().unwrap();
    assert_eq!((output.as_str(), seen.inputs), ("y", 3));
    // Both ways of rounding are seen, and are small.
    assert!(*off > 0.0 && *off < 1e-6, "{off}");
    let wrong = checked(&original, &model(0.301)).worst().unwrap().1;
    assert!((wrong - 0.001 / 0.3).abs() < 1e-4 && wrong > ROUNDING, "{wrong}");
}
