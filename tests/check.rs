//! A rewrite that went wrong is seen, in a runtime that does not do the same to the original.

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, text};
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::runtime;
use onnxpress::validate::check::{Checked, ROUNDING, check};
use onnxpress::validate::everywhere::{Inputs, check_everywhere};
use onnxpress::validate::within::within;

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

#[test]
fn a_model_of_few_positions_is_checked_with_short_sequences() {
    let numbers: Vec<String> = (0..40 * 2).map(|i| format!("{}", i % 7)).collect();
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,S,2] x) => (float[N,S,2] y)
         <float[1,40,2] positions = {{{}}}, int64[1] one = {{1}}, int64[1] two = {{2}}, int64[1] zero = {{0}}>
         {{ sizes = Shape (x) s = Slice (sizes, one, two) p = Slice (positions, zero, s, one)
            i = Identity (x) y = Add (i, p) }}",
        numbers.join(",")
    );
    let original = text::parse(&source).unwrap();
    let mut model = original.clone();
    simplify(&mut model, &SimplifyOptions::default()).unwrap();
    // 128 steps that are made up by themselves are more than there are positions.
    let seen = check_everywhere(&Inputs::default(), &original, &model).unwrap();
    assert!(!seen.checked.is_empty() && seen.off().is_none(), "{seen}");
    let asked = Inputs { data: Some("random:1"), count: None };
    let seen = check_everywhere(&asked, &original, &model).unwrap();
    assert!(seen.checked.is_empty() && seen.unchecked[0].contains("128"), "{seen}");
}

#[test]
fn what_moves_the_outputs_is_left_out_alone() {
    let source = "<ir_version: 8, opset_import: [\"\" : 17]>
         g (float[N,2,4,4] x) => (float[N,2,4,4] y, float[N,2,4,4] z) <float[2,2,1,1] w = {1,2,3,4}, float s = {0.3}, float[2] b = {1,2}>
         { i = Identity (x) c = Conv (i, w) y = Mul (c, s) r = HardSwish (i) t = Relu (r) z = Relu (t) }";
    let original = text::parse(source).unwrap();
    let options = SimplifyOptions::default();
    let mut model = original.clone();
    let report = simplify(&mut model, &options).unwrap();
    let has = |m: &Model, op: &str| m.all_nodes().iter().any(|n| m.node(*n).op_type == op);
    assert!(!has(&model, "Mul") && !has(&model, "Identity"));
    // Where the factor has to stay outside of the weight, nothing else has to stay as it is.
    let found = within(&original, &options, &report, &mut |m| Ok(has(m, "Mul"))).unwrap().unwrap();
    // Where one pass is left out, another of its family does the same.
    assert_eq!(found.left_out, "affine");
    assert!(has(&found.model, "Mul") && !has(&found.model, "Identity") && found.report.nodes_after < 6);
    // What no pass brings about is not found.
    assert!(within(&original, &options, &report, &mut |m| Ok(has(m, "Identity"))).unwrap().is_none());
}
