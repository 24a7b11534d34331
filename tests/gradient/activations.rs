//! Activation functions.

use proptest::prelude::*;

use super::{Fill, check, one};

/// All with standard operators of opset 17, and their attributes.
const ALL: [&str; 19] = [
    "Relu",
    "LeakyRelu",
    "LeakyRelu<alpha = 0.3>",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Softsign",
    "HardSigmoid",
    "HardSigmoid<alpha = 0.4, beta = 0.3>",
    "HardSwish",
    "Elu",
    "Elu<alpha = 0.7>",
    "Selu",
    "Celu",
    "ThresholdedRelu<alpha = 0.5>",
    "Softmax",
    "Softmax<axis = 0>",
    "LogSoftmax",
    "LogSoftmax<axis = 1>",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn of_every_kind(kind in 0usize..ALL.len(), n in 1usize..5, seed: u64) {
        check(&one(&format!("float[2,{n},3] x"), "float[] y", &format!("y = {}(x)", ALL[kind])), Fill::Apart, seed)?;
    }

    #[test]
    fn with_a_slope(slope in 0usize..3, seed: u64) {
        let slope = ["1", "3,1", "2,3,4"][slope];
        check(&one(&format!("float[2,3,4] x, float[{slope}] s"), "float[] y", "y = PRelu(x, s)"), Fill::Apart, seed)?;
    }

    #[test]
    fn cut_at_bounds(low in -6i32..0, high in 1i32..8, seed: u64) {
        // Off the grid on which the inputs lie.
        let (low, high) = (f64::from(low) * 0.05, f64::from(high) * 0.05);
        let body = format!("l = Constant<value = float {{{low}}}>() h = Constant<value = float {{{high}}}>() y = Clip(x, l, h)");
        check(&one("float[2,8] x", "float[] y", &body), Fill::Apart, seed)?;
    }
}

#[test]
fn of_later_opsets() {
    for (opset, op) in [(20, "Gelu"), (20, "Gelu<approximate = \"tanh\">"), (18, "Mish"), (24, "Swish")] {
        let source = format!(
            "<ir_version: 10, opset_import: [\"\" : {opset}]> g (float[3,5] x) => (float[3,5] y) {{ y = {op}(x) }}"
        );
        let done = check(&source, Fill::Smooth, 3);
        // Not every runtime knows them yet.
        let skipped = done.as_ref().err().is_some_and(|e| e.to_string().contains("no runtime runs it"));
        if skipped {
            println!("{op} of opset {opset} is not checked: no runtime runs it");
        }
        assert!(done.is_ok() || skipped, "{done:?}");
    }
}
