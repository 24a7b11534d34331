//! What looks like a pattern and is none: constants that broadcast, axes that move, channels that differ, chains without end.

use onnxpress::ir::{DType, GraphEdit, Model, NewNode, Place, TensorType, Type};
use onnxpress::passes::{SimplifyOptions, simplify};

use super::{positive, weight};
use crate::rewrites::leaves_alone;

fn stays(pass: &str, inputs: &str, weights: &[String], nodes: &str) {
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g ({inputs}) => (y) <{}> {{ {nodes} }}",
        weights.join(", ")
    );
    leaves_alone(pass, &source).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn an_affine_that_broadcasts_its_input_stays_before_a_weight() {
    let pass = "fold-input-affine";
    // A column becomes a matrix, a grey image one of three channels, a matrix a batch of them.
    let product = [weight("w", &[3, 2], 1), weight("c", &[3], 2)];
    stays(pass, "float[N,1] x", &product, "m = Mul (x, c) y = MatMul (m, w)");
    stays(pass, "float[N,K] x", &product, "m = Mul (x, c) y = MatMul (m, w)");
    let convolution = [weight("w", &[2, 3, 1, 1], 1), weight("c", &[3, 1, 1], 2)];
    stays(pass, "float[N,1,5,5] x", &convolution, "m = Div (x, c) y = Conv (m, w)");
    let batch = [weight("w", &[4, 2], 1), weight("c", &[1, 1, 4], 2), weight("s", &[1, 1, 1], 3)];
    stays(pass, "float[N,4] x", &batch, "m = Mul (x, c) y = MatMul (m, w)");
    stays(pass, "float[N,4] x", &batch, "m = Mul (x, s) y = MatMul (m, w)");
    let shifted = [weight("w", &[4, 2], 1), weight("t", &[4], 2), weight("s", &[1, 1, 1], 3)];
    stays("fold-scale-before-shift", "float[N,4] x", &shifted, "m = Mul (x, s) a = Add (m, t) y = MatMul (a, w)");
}

#[test]
fn a_factor_per_channel_does_not_pass_a_pad_that_shifts_the_channels() {
    let weights =
        [weight("w", &[4, 4, 1, 1], 1), positive("c", &[4, 1, 1], 2), "int64[8] pads = {0,1,0,0,0,-1,0,0}".into()];
    stays("move-affine", "float[N,4,6,6] x", &weights, "h = Conv (x, w) m = Pad (h, pads) y = Mul (m, c)");
}

#[test]
fn constants_that_broadcast_a_part_stay_before_a_concat() {
    let weights = [positive("c", &[3, 1, 1], 1)];
    let nodes = "l = Mul (a, c) r = Mul (b, c) y = Concat <axis = 3> (l, r)";
    stays("join-affines", "float[N,1,4,4] a, float[N,3,4,4] b", &weights, nodes);
    stays(
        "join-affines",
        "float[N,3,4,4] b, float[4] a",
        &weights,
        "l = Mul (b, c) r = Mul (a, c) y = Concat <axis = 0> (l, r)",
    );
}

#[test]
fn terms_of_other_channels_stay() {
    let weights = [weight("w", &[2, 2, 1], 1), weight("v", &[4, 2, 1], 2), weight("c", &[2, 1], 3)];
    let nodes = "a = Conv (x, w) b = Conv (x, v) d = Mul (b, c) y = Add (a, d)";
    stays("merge-parallel", "float[N,2,5] x", &weights, nodes);
}

#[test]
fn a_sum_without_end_is_gone_through() {
    for op in ["Add", "Mul"] {
        let mut model = Model::new(17);
        let mut edit = GraphEdit::new(&mut model);
        let main = edit.main();
        let value = |edit: &mut GraphEdit, name: &str| {
            let value = edit.new_value(name, Some(Type::tensor(&TensorType::new(DType::F32, [2i64]))));
            edit.add_graph_input(main, value);
            value
        };
        let (x, z) = (value(&mut edit, "x"), value(&mut edit, "z"));
        let one = edit.add_initializer(main, "one", onnxpress::ir::Tensor::scalar(1f32));
        let mut last = x;
        for i in 0..100_000 {
            let other = if op == "Add" { z } else { one };
            let step = NewNode::new(op).input(last).input(other).output(format!("v{i}"), None);
            let step = edit.insert(Place::End(main), step);
            last = edit.node(step).output(0).unwrap();
        }
        let w = edit.add_initializer(main, "w", onnxpress::ir::Tensor::from_vec([2, 2], vec![1f32; 4]));
        let product = edit.insert(Place::End(main), NewNode::new("MatMul").input(x).input(w).output("p", None));
        let product = edit.node(product).output(0).unwrap();
        let sum = edit.insert(Place::End(main), NewNode::new("Add").input(last).input(product).output("y", None));
        let y = edit.node(sum).output(0).unwrap();
        edit.add_graph_output(main, y);
        let only = SimplifyOptions { only: vec!["merge-parallel".into()], ..SimplifyOptions::default() };
        let report = simplify(&mut model, &only).unwrap();
        assert_eq!((report.nodes_before, report.nodes_after), (100_002, 100_002), "{op}");
    }
}
