//! Linear operators side by side and in a row.

use onnxpress::onnx;
use onnxpress::passes::{SimplifyOptions, simplify};
use proptest::prelude::*;

use super::{positive, weight};
use crate::common::fixture;
use crate::numerics::compare;
use crate::rewrites::{leaves_alone, rewrites};

/// A term beside the largest convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Term {
    One,
    Row,
    Same,
    Itself,
    BatchNorm,
    Scaled,
    Pool,
}

/// The sum over 4 channels of a 3×3 convolution of x and the terms, in a tree of Add or one Sum.
fn sum(terms: &[Term], groups: usize, stride: usize, bias: bool, tree: bool, outputs: &str, more: &str) -> String {
    let mut weights = vec![weight("w", &[4, 4 / groups, 3, 3], 1), weight("b", &[4], 2), "float[1] s = {0.75}".into()];
    let mut nodes = vec![format!(
        "h = Conv <group = {groups}, pads = [1,1,1,1], strides = [{stride},{stride}]> (x, w{})",
        if bias { ", b" } else { "" }
    )];
    let mut values = vec!["h".to_string()];
    for (i, term) in terms.iter().enumerate() {
        let (name, seed) = (format!("t{i}"), 10 * i as u64 + 5);
        let window = format!("group = {groups}, strides = [{stride},{stride}]");
        let (kernel, pads) = match term {
            Term::One => ([1, 1], "0,0,0,0"),
            Term::Row => ([1, 3], "0,1,0,1"),
            _ => ([3, 3], "1,1,1,1"),
        };
        nodes.push(match term {
            Term::Itself => format!("{name} = Identity (x)"),
            Term::Scaled => format!("{name} = Mul (x, s)"),
            Term::Pool => format!(
                "{name} = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1], strides = [{stride},{stride}], count_include_pad = 1> (x)"
            ),
            Term::BatchNorm => {
                for (k, parameter) in ["g", "o", "m"].into_iter().enumerate() {
                    weights.push(weight(&format!("{parameter}{i}"), &[4], seed + k as u64));
                }
                weights.push(positive(&format!("v{i}"), &[4], seed + 3));
                format!("{name} = BatchNormalization (x, g{i}, o{i}, m{i}, v{i})")
            }
            Term::One | Term::Row | Term::Same => {
                weights.push(weight(&format!("w{i}"), &[4, 4 / groups, kernel[0], kernel[1]], seed));
                format!("{name} = Conv <{window}, pads = [{pads}]> (x, w{i}, b)")
            }
        });
        // x itself stands in the sum; the Identity is for its name.
        values.push(if *term == Term::Itself {
            nodes.pop();
            "x".into()
        } else {
            name
        });
    }
    let mut total = values[0].clone();
    if tree {
        for (i, value) in values[1..].iter().enumerate() {
            nodes.push(format!("a{i} = Add ({value}, {total})"));
            total = format!("a{i}");
        }
    } else {
        nodes.push(format!("a = Sum ({})", values.join(", ")));
        total = "a".into();
    }
    format!(
        "<ir_version: 8, opset_import: [\"\" : 17]>
         g (float[N,4,H,6] x) => (float[N,4,P,Q] y{outputs}) <{}> {{ {} {more} y = Relu ({total}) }}",
        weights.join(", "),
        nodes.join("\n"),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn terms_of_one_input_become_one_convolution(
        terms in prop::collection::vec(prop::sample::select(vec![
            Term::One, Term::Row, Term::Same, Term::Itself, Term::BatchNorm, Term::Scaled, Term::Pool,
        ]), 1..4),
        groups in prop::sample::select(vec![1usize, 2, 4]),
        bias: bool,
        tree: bool,
    ) {
        rewrites("merge-parallel", &sum(&terms, groups, 1, bias, tree, "", ""))?;
    }

    #[test]
    fn strides_merge_where_sizes_agree(
        terms in prop::collection::vec(prop::sample::select(vec![Term::One, Term::Row, Term::Same, Term::Pool]), 1..4),
        groups in prop::sample::select(vec![1usize, 2, 4]),
        tree: bool,
    ) {
        rewrites("merge-parallel", &sum(&terms, groups, 2, true, tree, "", ""))?;
    }

    #[test]
    fn a_term_that_others_read_stays(
        term in prop::sample::select(vec![Term::One, Term::Same, Term::BatchNorm, Term::Pool]),
        captured: bool,
        tree: bool,
    ) {
        let (outputs, more) = match captured {
            false => (", float[N,4,P,Q] t0", ""),
            true => (", float[N,4,P,Q] z", "c = Constant <value = bool {1}> ()
                z = If (c) <then_branch = t () => (float[N,4,P,Q] u) { u = Neg (t0) }, \
                            else_branch = e () => (float[N,4,P,Q] v) { v = Abs (h) }>"),
        };
        leaves_alone("merge-parallel", &sum(&[term], 1, 1, true, tree, outputs, more))?;
    }

    #[test]
    fn kernels_that_do_not_hold_each_other_stay(which in 0..7, bias: bool) {
        let (first, second) = match which {
            0 => ("w1, pads = [1,0,1,0], kernel_shape = [3,1]", "w2, pads = [0,1,0,1], kernel_shape = [1,3]"),
            // One to the side: other elements, of the same number.
            1 => ("w3, pads = [1,1,1,1]", "w3b, pads = [0,1,2,1]"),
            2 => ("w3, pads = [1,1,1,1]", "w3b, pads = [2,2,2,2], dilations = [2,2]"),
            3 => ("w3, pads = [1,1,1,1], strides = [2,2]", "w1x1, pads = [0,0,0,0], strides = [3,3]"),
            4 => ("wd, pads = [1,1,1,1], group = 4", "w1x1, pads = [0,0,0,0]"),
            5 => ("w3, auto_pad = \"SAME_UPPER\", strides = [2,2]", "w1x1, pads = [0,0,0,0], strides = [2,2]"),
            // Broadcast: sums of another size.
            _ => ("w3, pads = [1,1,1,1]", "w1x1, pads = [0,0,0,0], strides = [7,7]"),
        };
        let conv = |(name, text): (&str, &str)| {
            let (w, window) = text.split_once(", ").unwrap();
            format!("{name} = Conv <{window}> (x, {w}{})", if bias { ", b" } else { "" })
        };
        let weights = [
            weight("w1", &[4, 4, 3, 1], 1), weight("w2", &[4, 4, 1, 3], 2), weight("w3", &[4, 4, 3, 3], 3),
            weight("w3b", &[4, 4, 3, 3], 4), weight("w1x1", &[4, 4, 1, 1], 5), weight("wd", &[4, 1, 3, 3], 6), weight("b", &[4], 7),
        ];
        let size = if which == 3 { "1" } else { "6" };
        leaves_alone("merge-parallel", &format!(
            "<ir_version: 8, opset_import: [\"\" : 17]>
             g (float[N,4,{size},{size}] x) => (float[N,4,P,Q] y) <{}> {{ {} {} y = Add (a, c) }}",
            weights.join(", "), conv(("a", first)), conv(("c", second)),
        ))?;
    }

    #[test]
    fn products_of_one_matrix_become_one(
        first in 0..3, second in 0..3, dims in prop::sample::select(vec!["N,3", "N,L,3", "2,N,3"]), tree: bool, seed in 0u64..99,
    ) {
        // A Gemm reads matrices only.
        prop_assume!(dims == "N,3" || first == 0 && second == 0);
        let product = |name: &str, kind: i32| match kind {
            0 => format!("{name} = MatMul (x, w{name})"),
            1 => format!("{name} = Gemm <alpha = 0.5, beta = 2.0> (x, w{name}, b)"),
            _ => format!("{name} = Gemm <transB = 1> (x, t{name}, b)"),
        };
        let weights: Vec<String> = ["a", "c"].iter().enumerate().flat_map(|(i, n)| [
            weight(&format!("w{n}"), &[3, 5], seed + i as u64), weight(&format!("t{n}"), &[5, 3], seed + i as u64 + 2),
        ]).collect();
        let total = if tree { "s = Add (a, z) y = Add (c, s)" } else { "y = Sum (a, z, c)" };
        rewrites("merge-parallel", &format!(
            "<ir_version: 8, opset_import: [\"\" : 17]>
             g (float[{dims}] x, float[5] z) => (float[{}] y) <{}, {}> {{ {} {} {total} }}",
            dims.replace(",3", ",5"), weights.join(", "), weight("b", &[5], 9), product("a", first), product("c", second),
        ))?;
    }

    #[test]
    fn a_convolution_of_one_element_goes_into_its_neighbour(
        first_is_one: bool,
        groups in prop::sample::select(vec![(1usize, 1usize), (2, 2), (4, 4), (4, 2), (2, 4)]),
        strides in (1..3, 1..3),
        pad in 0..2,
        dilation in 1..3,
        bias in 0..4,
    ) {
        let (g1, g2) = groups;
        let (k1, k2) = if first_is_one { (1, 3) } else { (3, 1) };
        let (p1, p2) = if first_is_one { (0, if bias & 1 == 0 { pad } else { 0 }) } else { (pad, 0) };
        let s1 = if first_is_one { 1 } else { strides.0 };
        let (d1, d2) = if first_is_one { (1, dilation) } else { (dilation, 1) };
        let conv = |y: &str, x: &str, w: &str, g: usize, p: i32, s: i32, d: i32, biased: bool| format!(
            "{y} = Conv <group = {g}, pads = [{p},{p}], strides = [{s}], dilations = [{d}]> ({x}, {w}{})", if biased { ", b" } else { "" }
        );
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 17]>
             g (float[N,4,9] x) => (float[N,4,L] y) <{}, {}, {}> {{ {} {} }}",
            weight("v", &[4, 4 / g1, k1], 1), weight("w", &[4, 4 / g2, k2], 2), weight("b", &[4], 3),
            conv("m", "x", "v", g1, p1, s1, d1, bias & 1 != 0), conv("y", "m", "w", g2, p2, strides.1, d2, bias & 2 != 0),
        );
        // A kernel of several elements grows with the channels that it mixes.
        let grows = 4 * (4 / g1.min(g2)) * 3 > 16 / g1 * k1 + 16 / g2 * k2;
        if grows { leaves_alone("merge-linear", &source)? } else { rewrites("merge-linear", &source)? }
    }

    #[test]
    fn a_product_goes_into_the_next(first in 0..3, second in 0..3, batch: bool, alpha in 0.5f32..2.0) {
        prop_assume!(!batch || first == 0 && second == 0);
        let product = |y: &str, x: &str, n: &str, kind: i32| match kind {
            0 => format!("{y} = MatMul ({x}, w{n})"),
            1 => format!("{y} = Gemm <alpha = {alpha}, beta = 0.5> ({x}, w{n}, b{n})"),
            _ => format!("{y} = Gemm <transB = 1> ({x}, t{n}, b{n})"),
        };
        let dims = if batch { "N,L" } else { "N" };
        rewrites("merge-linear", &format!(
            "<ir_version: 8, opset_import: [\"\" : 17]>
             g (float[{dims},3] x) => (float[{dims},2] y) <{}, {}, {}, {}, {}, {}> {{ {} {} }}",
            weight("w1", &[3, 4], 1), weight("t1", &[4, 3], 2), weight("b1", &[4], 3),
            weight("w2", &[4, 2], 4), weight("t2", &[2, 4], 5), weight("b2", &[2], 6),
            product("m", "x", "1", first), product("y", "m", "2", second),
        ))?;
    }

    #[test]
    fn a_bias_does_not_reach_the_padding_and_a_bottleneck_stays(which in 0..4) {
        let nodes = match which {
            0 => "m = Conv (x, one, b) y = Conv <pads = [1,1]> (m, three)",
            1 => "m = Conv (x, one) y = Conv <auto_pad = \"SAME_UPPER\", pads = [0,0]> (m, three, b) z = Neg (m)",
            2 => "m = Conv (x, down) y = Conv (m, up)",
            _ => "m = Conv <pads = [1,1]> (x, three) y = Conv <pads = [1,1]> (m, one)",
        };
        let outputs = if which == 1 { ", float[N,4,L] z" } else { "" };
        leaves_alone("merge-linear", &format!(
            "<ir_version: 8, opset_import: [\"\" : 17]>
             g (float[N,4,9] x) => (float[N,4,M] y{outputs}) <{}, {}, {}, {}, {}> {{ {nodes} }}",
            weight("one", &[4, 4, 1], 1), weight("three", &[4, 4, 3], 2), weight("b", &[4], 3),
            weight("down", &[1, 4, 1], 4), weight("up", &[4, 1, 1], 5),
        ))?;
    }
}

#[test]
fn one_convolution_is_left_of_each_block() {
    let before = onnx::load(&fixture("rep_blocks.onnx")).unwrap();
    let mut after = before.clone();
    let report = simplify(&mut after, &SimplifyOptions::default()).unwrap();
    let count = |op_type: &str| after.all_nodes().into_iter().filter(|n| after.node(*n).is(op_type)).count();
    // Six blocks, each a convolution and Relu, then GlobalAveragePool, Flatten and Gemm.
    assert_eq!((report.nodes_before, count("Conv"), count("Relu")), (56, 6, 6));
    assert_eq!(report.nodes_after, 15, "{:?}", report.passes);
    compare(&before, &after, 1e-5).unwrap();
}
