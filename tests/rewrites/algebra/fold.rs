//! An affine operator beside a linear one.

use proptest::prelude::*;

use super::{positive, weight};
use crate::rewrites::{leaves_alone, rewrites};

/// A linear operator over 4 channels in and out, the dims of its input, those of its output and of a constant per channel.
const LINEAR: &[(&str, &str, &str, &[usize])] = &[
    ("Conv", "N,4,L", "N,4,M", &[4, 1]),
    ("Conv <group = 2, pads = [1,1], strides = [2]>", "N,4,9", "N,4,M", &[4, 1]),
    ("Conv <group = 4, dilations = [2], auto_pad = \"SAME_UPPER\">", "N,4,9", "N,4,M", &[1, 4, 1]),
    ("ConvTranspose <pads = [1,1], strides = [2], output_padding = [1]>", "N,4,5", "N,4,M", &[4, 1]),
    ("ConvTranspose <group = 2>", "2,4,5", "2,4,M", &[4, 1]),
    ("Gemm", "N,4", "N,4", &[4]),
    ("Gemm <transB = 1, alpha = 0.5, beta = 2.0>", "N,4", "N,4", &[1, 4]),
    ("MatMul", "N,L,4", "N,L,4", &[4]),
    ("MatMul", "4", "4", &[4]),
];

struct Case {
    text: String,
    x: &'static str,
    y: &'static str,
    weights: Vec<String>,
    per_channel: &'static [usize],
}

fn case(which: usize, bias: bool, x: &str, y: &str) -> Case {
    let (op, from, to, per_channel) = LINEAR[which];
    let groups = if op.contains("group = 2") {
        2
    } else if op.contains("group = 4") {
        4
    } else {
        1
    };
    let shape = if op.starts_with("Conv") { vec![4, 4 / groups, 3] } else { vec![4, 4] };
    let bias = if bias && !op.starts_with("MatMul") { ", b" } else { "" };
    let weights = vec![
        weight("w", &shape, 1),
        weight("b", &[4], 2),
        weight("c", per_channel, 3),
        weight("s", &[1], 4),
        weight("g", &[4], 5),
        weight("o", &[4], 6),
        weight("mean", &[4], 7),
        positive("var", &[4], 8),
    ];
    Case { text: format!("{y} = {op} ({x}, w{bias})"), x: from, y: to, weights, per_channel }
}

fn model(case: &Case, nodes: &str, outputs: &str) -> String {
    format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[{}] x) => (float[{}] y{outputs}) <{}> {{ {nodes} }}",
        case.x,
        case.y,
        case.weights.join(", ")
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_scale_goes_into_the_weight_before_it(which in 0..LINEAR.len(), op in 0..6usize, bias: bool) {
        let case = case(which, bias, "x", "h");
        let op = ["Mul (h, c)", "Mul (c, h)", "Div (h, c)", "Mul (h, s)", "Div (h, s)", "Neg (h)"][op];
        rewrites("fold-scale", &model(&case, &format!("{} y = {op}", case.text), ""))?;
    }

    #[test]
    fn a_shift_goes_into_the_bias_before_it(which in 0..7usize, op in 0..5usize, bias: bool) {
        // tract 0.23.9 takes c − Conv(x) for c + Conv(x).
        prop_assume!(op < 3 || which >= 3);
        let case = case(which, bias, "x", "h");
        let op = ["Add (h, c)", "Add (s, h)", "Sub (h, c)", "Sub (c, h)", "Sub (s, h)"][op];
        rewrites("fold-bias", &model(&case, &format!("{} y = {op}", case.text), ""))?;
    }

    #[test]
    fn batch_normalization_goes_into_the_weight_before_it(which in 0..7usize, bias: bool, epsilon in 1e-5f32..0.1) {
        let case = case(which, bias, "x", "h");
        let norm = format!("y = BatchNormalization <epsilon = {epsilon}> (h, g, o, mean, var)");
        rewrites("fold-batch-norm", &model(&case, &format!("{} {norm}", case.text), ""))?;
    }

    #[test]
    fn an_affine_goes_into_the_weight_after_it(which in 0..LINEAR.len(), op in 0..8usize, bias: bool) {
        let case = case(which, bias, "h", "y");
        let op = [
            "Mul (x, c)", "Mul (s, x)", "Div (x, c)", "Neg (x)", "Add (x, c)", "Sub (s, x)", "Sub (x, c)", "BatchNormalization (x, g, o, mean, var)",
        ][op];
        let shifts = ["Add", "Sub", "Batch"].iter().any(|o| op.starts_with(o));
        // Padding is not shifted, the border of a transposed convolution sees part of the kernel, MatMul has no bias.
        let takes = !shifts || [0, 5, 6].contains(&which);
        prop_assume!(!op.starts_with("Batch") || case.x.contains(','));
        let source = model(&case, &format!("h = {op} {}", case.text), "");
        if takes { rewrites("fold-input-affine", &source)? } else { leaves_alone("fold-input-affine", &source)? }
    }

    #[test]
    fn a_scale_goes_past_a_shift_into_the_weight(which in prop::sample::select(vec![1usize, 2, 3, 4, 7, 8]), uniform: bool, bias: bool) {
        let case = case(which, bias, "a", "y");
        let (s, t) = if uniform { ("s", "c") } else { ("c", "c") };
        rewrites("fold-scale-before-shift", &model(&case, &format!("m = Mul (x, {s}) a = Add ({t}, m) {}", case.text), ""))?;
    }

    #[test]
    fn factors_of_gemm_go_into_its_operands(alpha in 0.1f32..3.0, beta in 0.1f32..3.0, trans: bool, c in 0..4usize) {
        let shape: &[usize] = [&[3][..], &[1, 3], &[1], &[]][c];
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,4] x) => (float[N,3] y) <{}, {}> {{ y = Gemm <alpha = {alpha}, beta = {beta}, transB = {}> (x, w, b) }}",
            weight("w", if trans { &[3, 4] } else { &[4, 3] }, 1), weight("b", shape, 2), i32::from(trans),
        );
        // A bias of rank 2 is known by its columns too.
        rewrites("fold-gemm-factors", &source)?;
    }

    #[test]
    fn steps_of_one_kind_join(first in 0..5usize, second in 0..5usize, shapes in 0..3usize, product: bool, swapped: bool) {
        let (a, b) = [("a", "b"), ("s", "b"), ("a", "s")][shapes];
        let ops = if product { ["Mul", "Mul", "Div", "Div", "Mul"] } else { ["Add", "Add", "Sub", "Sub", "Add"] };
        let step = |y: &str, x: &str, c: &str, op: &str| {
            // Only the first two commute.
            if swapped && (op == "Mul" || op == "Add") { format!("{y} = {op} ({c}, {x})") } else { format!("{y} = {op} ({x}, {c})") }
        };
        rewrites("merge-constants", &format!(
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,3] x) => (float[N,3] y) <{}, {}, {}> {{ {} {} }}",
            weight("a", &[3], 1), weight("b", &[3], 2), weight("s", &[], 3), step("m", "x", a, ops[first]), step("y", "m", b, ops[second]),
        ))?;
    }

    #[test]
    fn zeros_are_not_added(swapped: bool, shape in prop::sample::select(vec!["", "[1]", "[3]", "[1,3]"]), off: bool) {
        let count = if shape.contains('3') { 3 } else { 1 };
        let zeros = [vec!["0"; count - 1], vec![if off { "0.001" } else { "0" }]].concat().join(",");
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,3] x) => (float[N,3] y) <float{shape} z = {{{zeros}}}> {{ h = Abs (x) a = Add ({}) y = Sqrt (a) }}",
            if swapped { "z, h" } else { "h, z" },
        );
        if off { leaves_alone("drop-zero-sums", &source)? } else { rewrites("drop-zero-sums", &source)? }
    }

    #[test]
    fn what_others_read_is_not_changed(which in 0..LINEAR.len(), pass in 0..3usize, captured: bool) {
        let (name, op) = [("fold-scale", "Mul (h, c)"), ("fold-bias", "Add (h, c)"), ("fold-batch-norm", "BatchNormalization (h, g, o, mean, var)")][pass];
        prop_assume!(which < 7);
        let case = case(which, true, "x", "h");
        let (more, outputs) = if captured {
            ("t = Constant <value = bool {1}> () z = If (t) <then_branch = t () => (float u) { u = ReduceMax <keepdims = 0> (h) }, \
              else_branch = e () => (float v) { v = ReduceMin <keepdims = 0> (h) }>", ", float z")
        } else {
            ("z = Abs (h)", ", float[] z")
        };
        let outputs = if captured { outputs.to_string() } else { outputs.replace("[]", &format!("[{}]", case.y)) };
        leaves_alone(name, &model(&case, &format!("{} {more} y = {op}", case.text), &outputs))?;
        // Per row is not per channel.
        prop_assert!(case.per_channel.contains(&4));
    }
}
