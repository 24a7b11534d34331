//! Affine operators that move.

use proptest::prelude::*;

use super::{numbers, positive, weight};
use crate::rewrites::{leaves_alone, rewrites};

fn model(inputs: &str, outputs: &str, weights: &[String], nodes: &str) -> String {
    format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g ({inputs}) => ({outputs}) <{}> {{ {nodes} }}",
        weights.join(", ")
    )
}

/// Steps between h and m that a positive scale passes, of shapes [N,4,6,6] ─► [N,4,P,Q], and whether a shift does too.
const STEPS: &[(&str, bool)] = &[
    ("m = Relu (h)", false),
    ("m = LeakyRelu <alpha = 0.1> (h)", false),
    ("m = PRelu (h, slope)", false),
    ("m = Abs (h)", false),
    ("m = MaxPool <kernel_shape = [3,3], pads = [1,1,1,1], strides = [2,2]> (h)", true),
    ("m = GlobalMaxPool (h)", true),
    ("m = GlobalAveragePool (h)", true),
    ("m = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (h)", true),
    ("m = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1> (h)", false),
    ("u = Unsqueeze (h, two) v = Squeeze (u, two) m = MaxPool <kernel_shape = [2,2]> (v)", true),
    ("u = Transpose <perm = [2,3,1,0]> (h) v = Relu (u) m = Transpose <perm = [3,2,0,1]> (v)", false),
    ("u = Reshape (h, halves) v = Relu (u) m = Reshape (v, whole)", false),
    ("m = Slice (h, one, three, two)", true),
    ("m = Resize <mode = \"linear\", coordinate_transformation_mode = \"half_pixel\"> (h, , twice)", true),
    ("u = Relu (h) v = MaxPool <kernel_shape = [2,2]> (u) m = LeakyRelu <alpha = 0.5> (v)", false),
    ("u = Pad (h, pads) m = Relu (u)", false),
    ("u = Pad <mode = \"reflect\"> (h, pads) m = MaxPool <kernel_shape = [2,2]> (u)", true),
];

/// What the affine is, by a number or per channel; the last two are shifts.
const AFFINES: &[&str] = &[
    "Mul (_, s)",
    "Mul (s, _)",
    "Div (_, c)",
    "Mul (_, c)",
    "BatchNormalization <epsilon = 0.001> (_, c1, z, z, c1)",
    "Add (_, c)",
    "Sub (_, s)",
];

fn affine(which: usize, x: &str, y: &str) -> String {
    format!("{y} = {}", AFFINES[which].replace('_', x))
}

fn weights() -> Vec<String> {
    vec![
        weight("w", &[4, 4, 1, 1], 1),
        weight("b", &[4], 2),
        weight("k", &[3, 4, 3, 3], 3),
        weight("kb", &[3], 4),
        positive("s", &[], 5),
        positive("c", &[4, 1, 1], 6),
        positive("c1", &[4], 7),
        "float[4] z = {0,0,0,0}".into(),
        weight("slope", &[4, 1, 1], 8),
        "int64[1] two = {2}, int64[1] one = {1}, int64[1] three = {3}, int64[2] parts = {1,3}".into(),
        "int64[8] pads = {0,0,1,0,0,0,0,2}, int64[4] halves = {-1,2,12,6}, int64[4] whole = {-1,4,6,6}, float[4] twice = {1,1,2,2}".into(),
    ]
}

/// Whether this affine passes this step.
fn passes(step: usize, which: usize) -> bool {
    let (text, shifts) = STEPS[step];
    let by_number = AFFINES[which].contains("s)") || AFFINES[which].contains("(s");
    // Two channels in one row of the halves have no axis there.
    let has_axis = !text.contains("halves");
    (which < 5 || shifts) && (by_number || has_axis)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn back_into_a_convolution(step in 0..STEPS.len(), which in 0..AFFINES.len(), bias: bool) {
        let source = model("float[N,4,6,6] x", "float[N,4,P,Q] y", &weights(), &format!(
            "h = Conv (x, w{}) {} {} y = Sigmoid (a)", if bias { ", b" } else { "" }, STEPS[step].0, affine(which, "m", "a"),
        ));
        if passes(step, which) { rewrites("move-affine", &source)? } else { leaves_alone("move-affine", &source)? }
    }

    #[test]
    fn ahead_into_all_readers(step in 0..STEPS.len(), which in 0..AFFINES.len(), more in 0..3usize) {
        let (second, outputs) = match more {
            0 => ("", ""),
            1 => ("r = Conv (a, k, kb)", ", float[N,3,P2,Q2] r"),
            _ => ("f = Flatten (a) r = Gemm <transB = 1> (f, flat)", ", float[N,5] r"),
        };
        let mut weights = weights();
        weights.push(weight("flat", &[5, 144], 9));
        // A reader that pads takes no shift.
        let source = model("float[N,4,6,6] x", &format!("float[N,3,P,Q] y{outputs}"), &weights, &format!(
            "{} {} {second} y = Conv (m, last, kb)", affine(which, "x", "a"), STEPS[step].0.replace("(h", "(a"),
        )).replace("> {", &format!(", {}> {{", weight("last", &[3, 4, 1, 1], 10)));
        if passes(step, which) { rewrites("move-affine", &source)? } else { leaves_alone("move-affine", &source)? }
    }

    #[test]
    fn attention_scale_goes_into_a_projection(
        on in 0..3usize, div: bool, bias: bool, heads in 1usize..3, length in prop::sample::select(vec!["L", "5"]),
    ) {
        let width = 4 * heads;
        let project = |n: &str| match bias {
            true => format!("{n}p = MatMul (x, w{n}) {n}b = Add ({n}p, b{n}) {n}r = Reshape ({n}b, split)"),
            false => format!("{n}p = MatMul (x, w{n}) {n}r = Reshape ({n}p, split)"),
        };
        let scale = |x: &str| format!("scaled = {} ({x}, s)", if div { "Div" } else { "Mul" });
        let scores = match on {
            0 => format!("{} scores = MatMul (scaled, k)", scale("q")),
            1 => format!("{} scores = MatMul (q, scaled)", scale("k")),
            _ => format!("scores = MatMul (q, k) {}", scale("scores")),
        };
        rewrites("move-affine", &model(
            &format!("float[N,{length},3] x, float[{length}] mask"), &format!("float[N,{heads},{length},{length}] y"),
            &[
                weight("wq", &[3, width], 1), weight("wk", &[3, width], 2), weight("bq", &[width], 3), weight("bk", &[width], 4),
                positive("s", &[], 5), format!("int64[4] split = {{0,0,{heads},4}}"),
            ],
            &format!(
                "{} {} q = Transpose <perm = [0,2,1,3]> (qr) k = Transpose <perm = [0,2,3,1]> (kr) {scores} \
                 masked = Add ({}, mask) y = Softmax <axis = -1> (masked)",
                project("q"), project("k"), if on == 2 { "scaled" } else { "scores" },
            ),
        ))?;
    }

    #[test]
    fn a_factor_of_one_part_leaves_the_others(part in 0..3usize, form in 0..3usize) {
        let (take, shape) = match form {
            0 => ("q, k, v = Split <axis = 2> (j)", "0,0,6"),
            1 => ("q = Slice (j, i0, i2, a2) k = Slice (j, i2, i4, a2) v = Slice (j, i4, i6, a2)", "0,0,6"),
            _ => ("j3 = Reshape (j, three) q = Gather <axis = 2> (j3, g0) k = Gather <axis = 2> (j3, g1) v = Gather <axis = 2> (j3, g2)", "0,0,3,2"),
        };
        let name = ["q", "k", "v"][part];
        let last = ["q", "k", "v"].map(|n| if n == name { "scaled" } else { n });
        let source = model("float[N,L,5] x", "float[N,L,2] y", &[
            weight("w", &[5, 6], 1), weight("b", &[6], 2), "float s = {0.125}, int64[1] a2 = {2}".into(),
            "int64[1] i0 = {0}, int64[1] i2 = {2}, int64[1] i4 = {4}, int64[1] i6 = {6}".into(),
            format!("int64[{}] three = {{{shape}}}, int64 g0 = {{0}}, int64 g1 = {{1}}, int64 g2 = {{-1}}", shape.split(',').count()),
        ], &format!(
            "p = MatMul (x, w) j = Add (p, b) {take} scaled = Mul ({name}, s) e = Softmax ({}) f = Softmax ({}) d = Softmax ({}) \
             ef = Add (e, f) y = Add (ef, d)", last[0], last[1], last[2],
        ));
        rewrites("move-affine", &source)?;
    }

    #[test]
    fn joins_and_parts_share_it_out(form in 0..4usize, which in 0..5usize) {
        let nodes = match form {
            // Each input of Concat takes its channels; one input of Concat passes on its own.
            0 => format!("h = Conv (x, w2, b2) i = Conv (x, w2b) j = Concat <axis = 1> (h, i) m = Relu (j) {} y = Sigmoid (a)", affine(which, "m", "a")),
            1 => format!("{} m = Relu (a) j = Concat <axis = 1> (z, m, z) y = Conv (j, w8)", affine(which, "x", "a")),
            // Both parts are read by what takes it; or only one is scaled, and what makes the other keeps its numbers.
            2 => format!("{} p, q = Split <axis = 1> (a, parts) r = Relu (p) i = Conv (r, w22) j = Conv (q, w22) y = Add (i, j)", affine(which, "x", "a")),
            _ => "h = Conv (x, w, b) m = MaxPool <kernel_shape = [2,2]> (h) p, q = Split <axis = 1> (m, parts) e = Exp (p) f = Mul (q, s) y = Add (e, f)".into(),
        };
        rewrites("move-affine", &model("float[N,4,6,6] x, float[N,2,6,6] z", "float[N,C,P,Q] y", &[
            weights(), vec![
                weight("w2", &[2, 4, 1, 1], 11), weight("w2b", &[2, 4, 1, 1], 12), weight("b2", &[2], 13), weight("w8", &[3, 8, 1, 1], 14),
                weight("w22", &[2, 2, 1, 1], 15),
            ],
        ].concat(), &nodes).replace("parts = {1,3}", "parts = {2,2}").replace("float[4] z =", "float[4] zeros =").replace("z, z, c1)", "zeros, zeros, c1)"))?;
    }

    #[test]
    fn normalizations_take_what_follows(norm in 0..4usize, which in 0..3usize, bias: bool, step: bool) {
        let (norm, shape, per_channel) = match norm {
            0 => (format!("h = LayerNormalization (x, g{})", if bias { ", b" } else { "" }), "N,L,4", "c"),
            1 => ("h = InstanceNormalization (x, g, b)".into(), "N,4,7", "c1"),
            2 => ("h = BatchNormalization (x, g, b, z, v)".into(), "N,4,7", "c1"),
            _ => (format!("h = LayerNormalization <axis = 2> (x, g{})", if bias { ", b" } else { "" }), "N,L,4", "c"),
        };
        let op = ["Mul (m, _)", "Add (m, _)", "Sub (_, m)"][which].replace('_', per_channel);
        let step = if step { "u = Unsqueeze (h, one) m = Squeeze (u, one)" } else { "n = Neg (h) m = Neg (n)" };
        let source = model(&format!("float[{shape}] x"), &format!("float[{shape}] y"), &[
            weight("g", &[4], 1), weight("b", &[4], 2), weight("z", &[4], 3), positive("v", &[4], 4),
            weight("c", &[4], 5), weight("c1", &[4, 1], 6), "int64[1] one = {1}".into(),
        ], &format!("{norm} {step} y = {op}"));
        rewrites("move-affine", &source)?;
    }

    #[test]
    fn a_normalization_takes_what_comes_before_it(which in 0..AFFINES.len(), step: bool) {
        let step = if step { "m = MaxPool <kernel_shape = [2,2]> (a)" } else { "m = Transpose <perm = [0,1,3,2]> (a)" };
        let mut weights = weights();
        weights.extend([weight("g", &[4], 20), weight("o", &[4], 21), weight("mu", &[4], 22), positive("v", &[4], 23)]);
        rewrites("move-affine", &model("float[N,4,6,6] x", "float[N,4,P,Q] y", &weights, &format!(
            "{} {step} n = BatchNormalization (m, g, o, mu, v) y = Sigmoid (n)", affine(which, "x", "a"),
        )))?;
    }

    #[test]
    fn what_is_done_to_all_parts_is_done_once_to_the_whole(
        op in prop::sample::select(vec!["Mul (_, c)", "Add (c, _)", "Sub (_, c)", "Sub (c, _)", "Div (_, c)"]), axis in 1..4usize, of in 0..3usize, same: bool,
    ) {
        let shape: &[usize] = [&[][..], &[6, 1], &[1, 6]][of];
        // Equal along the joined axis, or not at all the same.
        let even = shape.iter().rev().nth(3 - axis).is_none_or(|d| *d == 1);
        let sums = |x: &str, y: &str, c: &str| format!("{y} = {}", op.replace('_', x).replace('c', c));
        let nodes = format!("{} {} y = Concat <axis = {axis}> (m, n)", sums("x", "m", "c"), sums("z", "n", if same { "c" } else { "d" }));
        let source = model("float[N,4,6,6] x, float[N,4,6,6] z", "float[N,A,B,C] y", &[positive("c", shape, 1), positive("d", shape, 2)], &nodes);
        if even && same { rewrites("join-affines", &source)? } else { leaves_alone("join-affines", &source)? }
    }

    #[test]
    fn between_convolutions_it_is_a_normalization(which in 0..AFFINES.len(), act in 0..3usize, between: bool, pool: bool) {
        let act = ["m = HardSwish (h)", "m = Relu (h)", "m = Identity (h)"][act];
        let affine = affine(which, if act.contains("Identity") { "h" } else { "m" }, "a");
        let end = match (between, pool) {
            (true, true) => "y = GlobalAveragePool (a)",
            (true, false) => "y = Conv <pads = [1,1,1,1]> (a, k, kb)",
            _ => "y = Sigmoid (a)",
        };
        let source = model("float[N,4,6,6] x", "float[N,C,P,Q] y", &weights(), &format!("h = Conv (x, w, b) {act} {affine} {end}"));
        // That one is it already.
        let says = between && !AFFINES[which].starts_with("Batch");
        if says { rewrites("affine-as-batch-norm", &source)? } else { leaves_alone("affine-as-batch-norm", &source)? }
    }

    #[test]
    fn a_gate_lets_the_factor_of_what_it_weighs_pass(shift: bool, channels: bool) {
        let s = if channels { positive("s", &[4, 1, 1], 1) } else { positive("s", &[1], 1) };
        let add = if shift { "h = Add (m, t)" } else { "h = Mul (m, t)" };
        let source = model("float[N,4,6,6] x", "float[N,3,4,4] y", &[
            s, positive("t", &[1], 2), weight("w", &[4, 4, 1, 1], 3), weight("b", &[4], 4), weight("k", &[3, 4, 3, 3], 5),
        ], &format!("m = Mul (x, s) {add} p = GlobalAveragePool (h) c = Conv (p, w, b) g = Sigmoid (c) e = Mul (h, g) y = Conv (e, k)"));
        rewrites("move-affine", &source)?;
    }

    #[test]
    fn near_misses_stay(which in 0..14usize) {
        let (nodes, outputs) = [
            // A negative factor and a shift do not pass Relu; what others read and outputs are not changed.
            ("h = Conv (x, w) m = Relu (h) y = Mul (m, minus)", ""),
            ("h = Conv (x, w) m = Relu (h) y = Add (m, c)", ""),
            ("h = Conv (x, w) m = Relu (h) y = Mul (m, c) z = Sigmoid (h)", ", float[N,4,6,6] z"),
            ("h = Conv (x, w) m = Relu (h) y = Mul (m, c)", ", float[N,4,6,6] h"),
            ("h = Conv (x, w) m = Relu (h) y = Mul (m, c)", ", float[N,4,6,6] m"),
            ("h = Conv (x, w) m = Relu (h) y = Mul (m, zero)", ""),
            ("h = Conv (x, w) m = Relu (h) y = Mul (m, tiny)", ""),
            // One of two readers takes no factor, or no shift.
            ("a = Mul (x, c) m = Relu (a) h = Conv (m, w) e = Exp (a) y = Add (h, e)", ""),
            ("a = Add (x, c) h = Conv (a, w) e = Conv <pads = [1,1,1,1]> (a, k) y = Add (h, e)", ""),
            // A constant that broadens.
            ("h = Conv (x, w) m = Relu (h) y = Mul (m, broad)", ""),
            // Zeros of the padding are not shifted, other fillings not scaled.
            ("h = Conv (x, w) m = Pad (h, none) a = Add (m, c) y = Relu (a)", ""),
            ("h = Conv (x, w) m = Pad (h, none, half) a = Mul (m, c) y = Relu (a)", ""),
            // Along another axis than the channels.
            ("h = Conv (x, w) m = Relu (h) y = Mul (m, columns)", ""),
            ("h = Conv (x, w) m = Relu (h) t = Constant <value = bool {1}> () i = If (t) <then_branch = t () => (float[N,4,6,6] u) { u = Neg (m) }, \
              else_branch = e () => (float[N,4,6,6] v) { v = Abs (h) }> y = Mul (m, c) z = Abs (i)", ", float[N,4,6,6] z"),
        ][which];
        let y = if which == 9 { "float[2,N,4,6,6] y" } else { "float[N,4,6,6] y" };
        leaves_alone("move-affine", &model("float[N,4,6,6] x", &format!("{y}{outputs}"), &[
            weight("w", &[4, 4, 1, 1], 1), weight("k", &[4, 4, 3, 3], 2), positive("c", &[4, 1, 1], 3), positive("columns", &[6], 4),
            positive("broad", &[2, 1, 1, 1, 1], 5), "int64[8] none = {0,0,0,0,0,0,0,0}, float half = {0.5}".into(), "float minus = {-0.5}, float zero = {0}, float tiny = {1e-30}".into(),
        ], nodes))?;
    }

    #[test]
    fn a_gelu_keeps_its_half_and_its_bias(form in 0..3usize, tanh: bool, pass in prop::sample::select(vec!["move-affine", "fold-input-affine"])) {
        let gate = if tanh {
            "c = Mul (x, x) d = Mul (c, x) e = Mul (d, cubic) f = Add (x, e) h = Mul (f, pi) t = Tanh (h) g = Add (t, one)"
        } else {
            "h = Div (x, root) t = Erf (h) g = Add (one, t)"
        };
        let product = match form {
            0 => "p = Mul (x, g) m = Mul (p, half)",
            1 => "p = Mul (g, half) m = Mul (x, p)",
            _ => "p = Mul (x, half) m = Mul (p, g)",
        };
        leaves_alone(pass, &model("float[N,4,1] z", "float[N,4] y", &[
            "float cubic = {0.044715}, float pi = {0.7978846}, float one = {1}, float half = {0.5}, float root = {1.4142135}, int64[1] last = {2}".into(),
            weight("b", &[4], 1), weight("w", &[4, 4], 2), weight("v", &[4, 4, 1], 3),
        ], &format!("k = Conv (z, v) l = Squeeze (k, last) x = Add (l, b) {gate} {product} y = MatMul (m, w)")))?;
    }

    #[test]
    fn a_shift_before_a_product_goes_on_to_the_sum_after_it(batch: bool, scaled: bool, seed in 0u64..99) {
        let dims = if batch { "N,L," } else { "N," };
        let nodes = if scaled { "m = Mul (x, s) a = Add (m, t)" } else { "a = Add (x, t)" };
        rewrites("move-affine", &model(&format!("float[{dims}3] x"), &format!("float[{dims}2] y"), &[
            format!("float[3] t = {{{}}}", numbers(3, seed)), positive("s", &[], 1), weight("w", &[3, 2], 2), weight("b", &[2], 3),
        ], &format!("{nodes} p = MatMul (a, w) y = Add (p, b)")))?;
    }
}
