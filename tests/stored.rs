//! What weights become in the file: what the standard allows, once, and standing for the numbers that they were.

use std::collections::BTreeMap;

use onnxpress::calibrate::{Range, Ranges};
use onnxpress::ir::{self, Model};
use onnxpress::quantize::{self, Activations, Format, Granularity, QuantOptions, QuantPlan, Weights};

use crate::common::{self, alone};
use crate::numerics::compare;

/// `count` weights between `low` and `high`, as text.
fn weights(count: usize, low: f32, high: f32) -> String {
    let at = |i: usize| low + (high - low) * ((i * 7919 + 13) % 101) as f32 / 100.0;
    (0..count).map(|i| at(i).to_string()).collect::<Vec<_>>().join(",")
}

fn parse(opset: usize, graph: &str) -> Model {
    ir::text::parse(&format!("<ir_version: 8, opset_import: [\"\" : {opset}]>\n{graph}")).unwrap()
}

fn applied(model: &Model, ranges: Option<&Ranges>, options: &QuantOptions) -> (Model, QuantPlan) {
    let plan = quantize::plan(model, ranges, options).unwrap();
    (common::applied(model, &plan), plan)
}

fn count(model: &Model, op_type: &str) -> usize {
    model.all_nodes().into_iter().filter(|n| model.node(*n).op_type == op_type).count()
}

/// Of every value that the form asks for, −32 … 32.
fn wide(model: &Model, options: &QuantOptions) -> Ranges {
    let values = quantize::values_to_observe(model, options);
    Ranges { ranges: values.into_iter().map(|v| (v, Range::new(-32.0, 32.0))).collect(), ..Ranges::default() }
}

#[test]
fn unsigned_weights_that_are_all_positive_keep_zero_at_level_zero() {
    let w = weights(128, 0.0, 1.0);
    let text = format!("g (float[1,32] x) => (float[1,4] y) <float[32,4] w = {{{w}}}> {{ y = MatMul (x, w) }}");
    let model = parse(17, &text);
    for (types, tolerance) in [(Weights::U4, 0.1), (Weights::U2, 0.5)] {
        let (pressed, plan) = applied(&model, None, &alone("tract", types, Granularity::Block(32)));
        assert_eq!(count(&pressed, "MatMulNBits"), 1, "{plan}");
        compare(&model, &pressed, tolerance).unwrap();
    }
}

#[test]
fn a_gemm_has_no_blocks_where_only_a_product_has() {
    let w = weights(128, -1.0, 1.0);
    let text = format!("g (float[1,32] x) => (float[1,4] y) <float[32,4] w = {{{w}}}> {{ y = Gemm (x, w) }}");
    let (pressed, plan) = applied(&parse(13, &text), None, &alone("tract", Weights::S4, Granularity::Block(32)));
    assert!(!plan.to_string().contains("block:32"), "{plan}");
    assert_eq!((count(&pressed, "Gemm"), pressed.onnx_opset()), (1, 13));
    compare(&parse(13, &text), &pressed, 0.2).unwrap();
}

#[test]
fn a_weight_that_two_kinds_of_nodes_read_is_stored_as_each_reads_it() {
    let w = weights(128 * 128, -1.0, 1.0);
    let nodes = ["a = MatMul (x, w)", "y = Gemm <transB = 1> (a, w)"];
    let swapped = ["a = Gemm <transB = 1> (x, w)", "y = MatMul (a, w)"];
    for nodes in [nodes, swapped] {
        let text =
            format!("g (float[1,128] x) => (float[1,128] y) <float[128,128] w = {{{w}}}> {{ {} }}", nodes.join("  "));
        let model = parse(21, &text);
        // tract reads no int4: what is written is looked at, not run.
        let (pressed, plan) = applied(&model, None, &alone("onnxruntime", Weights::S4, Granularity::Block(128)));
        assert!(plan.to_string().contains("block:128") && plan.to_string().contains("per-channel"), "{plan}");
        for id in pressed.all_nodes().into_iter().filter(|n| pressed.node(*n).is("DequantizeLinear")) {
            let rank = pressed.constant_input(id, 1).unwrap().rank();
            let blocks = pressed.node(id).int_or("block_size", 0) > 0;
            assert_eq!(rank, if blocks { 2 } else { 1 }, "scales of rank {rank}");
        }
    }
}

#[test]
fn a_weight_with_a_bias_that_several_convolutions_read_is_stored_once() {
    let (w, b) = (weights(4 * 4 * 9, -1.0, 1.0), weights(4, -1.0, 1.0));
    let text = format!(
        "g (float[1,4,8,8] p, float[1,4,4,4] q) => (float[1,4,6,6] y, float[1,4,2,2] z)
         <float[4,4,3,3] w = {{{w}}}, float[4] b = {{{b}}}> {{ y = Conv (p, w, b)  z = Conv (q, w, b) }}"
    );
    let model = parse(17, &text);
    for format in [Format::Qdq, Format::Qoperator, Format::Integer] {
        let options = QuantOptions { format, ..QuantOptions::for_target("onnxruntime").unwrap() };
        let mut ranges = wide(&model, &options);
        ranges.ranges.insert("q".into(), Range::new(-4.0, 4.0));
        let options = QuantOptions { op_types: vec!["Conv".into()], ..options };
        let mut pressed = model.clone();
        let plan = quantize::plan(&model, Some(&ranges), &options).unwrap();
        let report = quantize::apply(&mut pressed, &plan).unwrap();
        let main = pressed.graph(pressed.main()).initializers();
        let large = main.iter().filter(|v| pressed.constant(**v).is_some_and(|t| t.rank() == 4 && t.len() > 4)).count();
        assert_eq!((report.nodes, report.weights, large), (2, 1, 1), "{format}: {plan}");
        compare(&model, &pressed, 0.05).unwrap();
    }
}

#[test]
fn a_bias_that_integers_cannot_hold_leaves_its_node_in_float() {
    let w = weights(32, -1.0, 1.0);
    let of = |shape: &str, bias: &str| {
        let text = format!(
            "g (float[4,8] x) => (float[4,4] y) <float[8,4] w = {{{w}}}, float{shape} b = {{{bias}}}> {{ y = Gemm (x, w, b) }}"
        );
        let model = parse(17, &text);
        let options = QuantOptions::for_target("onnxruntime").unwrap();
        quantize::plan(&model, Some(&wide(&model, &options)), &options).unwrap().to_string()
    };
    assert!(of("[4]", "1,2,3,4").starts_with("quantize"));
    assert!(of("[4,1]", "1,2,3,4").contains("its bias has shape [4, 1]"), "a bias of rows");
    assert!(of("[4]", "1,2,3,inf").contains("its bias holds NaN or infinity"));
}

#[test]
fn only_an_integer_bias_is_said_to_be_one() {
    let w = weights(8 * 128, -1.0, 1.0);
    let text = format!(
        "g (float[4,128] x) => (float[4,8] y) <float[128,8] w = {{{w}}}, float[8] b = {{1,2,3,4,5,6,7,8}}> {{ y = Gemm (x, w, b) }}"
    );
    let model = parse(17, &text);
    let said: BTreeMap<&str, bool> = [Format::Qdq, Format::Qoperator, Format::Integer]
        .map(|format| {
            let options = QuantOptions { format, ..QuantOptions::for_target("onnxruntime").unwrap() };
            let plan = quantize::plan(&model, Some(&wide(&model, &options)), &options).unwrap().to_string();
            (format.name(), plan.contains("bias i32"))
        })
        .into();
    assert_eq!(said, [("integer", false), ("qdq", true), ("qoperator", false)].into());
}

#[test]
fn float16_keeps_away_from_operators_that_never_take_it() {
    let model = parse(
        17,
        "g (float[4] x, float n) => (float[m] r, float[4] c)
         <float zero = {0}, float one = {1}> { r = Range (zero, n, one)  c = Celu (x) }",
    );
    let options = QuantOptions { activations: Activations::F16, ..QuantOptions::for_target("onnxruntime").unwrap() };
    let plan = quantize::plan(&model, Some(&wide(&model, &options)), &options).unwrap();
    let kept: Vec<&str> = plan.kept().map(|(_, why)| why).collect();
    assert_eq!(kept, ["Range takes no float16 in this opset", "Celu takes no float16 in this opset"]);
}

#[test]
fn short_floats_refuse_weights_of_no_shape_that_they_could_have() {
    let w = weights(2048, -1.0, 1.0);
    let text = format!("g (float[1,1] x) => (float[2048] y) <float[2048] w = {{{w}}}> {{ y = Gemm (x, w) }}");
    let model = parse(17, &text);
    for types in [Weights::F8E4M3, Weights::F16] {
        let plan = quantize::plan(&model, None, &alone("onnxruntime", types, Granularity::Channel)).unwrap();
        assert!(plan.to_string().contains("its weight has shape [2048]"), "{plan}");
    }
}

#[test]
fn a_weight_that_floats_read_too_is_not_stored_twice() {
    let w = weights(64 * 64, -1.0, 1.0);
    let text = |last: &str| {
        format!("g (float[1,64] x) => (float[1,64] y) <float[64,64] w = {{{w}}}> {{ a = MatMul (x, w) [last] {last} }}")
    };
    let options = alone("onnxruntime", Weights::S8, Granularity::Channel);
    let plan = |last: &str| quantize::plan(&parse(17, &text(last)), None, &options).unwrap();
    let summed = plan("s = ReduceSum (w) y = Mul (a, s)");
    assert_eq!(summed.quantized(), 0);
    assert!(summed.to_string().contains("\"last\" (ReduceSum) reads its weight, too"), "{summed}");
    assert_eq!(plan("y = Gemm (a, w)").quantized(), 2);
}

#[test]
fn what_integers_cannot_be_computed_for_has_integers_stored() {
    let w = weights(128, -1.0, 1.0);
    let inputs = ["float[1,32] x", "float[1,32] x, float[4] b", "float[32,1] x"];
    let nodes = ["y = Gemm <alpha = 0.5> (x, w)", "y = Gemm (x, w, b)", "y = Gemm <transA = 1> (x, w)"];
    let whys = ["it scales its product or its bias", "its bias is computed at run time", "it transposes its input"];
    for ((inputs, node), why) in inputs.into_iter().zip(nodes).zip(whys) {
        let model = parse(17, &format!("g ({inputs}) => (float[1,4] y) <float[32,4] w = {{{w}}}> {{ {node} }}"));
        for target in ["onnxruntime", "tract"] {
            let (pressed, plan) = applied(&model, None, &alone(target, Weights::S8, Granularity::Channel));
            assert_eq!(plan.quantized(), 1, "{plan}");
            compare(&model, &pressed, 0.05).unwrap();
        }
        let qdq = QuantOptions::for_target("onnxruntime").unwrap();
        let (_, plan) = applied(&model, Some(&wide(&model, &qdq)), &qdq);
        assert!(plan.quantized() == 0 && plan.to_string().contains(why), "{plan}");
    }
}

#[test]
fn positions_that_become_angles_stay_float() {
    let model = parse(
        17,
        &format!(
            "g (float[1,9,1] p, float[1,9,64] x) => (float[1,9,64] y)
             <float[1,32] f = {{{}}}, float[64,64] w = {{{}}}>
             {{ [rotary] a = MatMul (p, f) e = Concat <axis = 2> (a, a) c = Cos (e) s = Sin (e)
                [other] m = MatMul (x, w) u = Mul (m, c) y = Add (u, s) }}",
            weights(32, 0.001, 1.0),
            weights(64 * 64, -1.0, 1.0)
        ),
    );
    for format in [Format::Qdq, Format::Dynamic, Format::WeightOnly] {
        let options = QuantOptions { format, min_bytes: 0, ..QuantOptions::for_target("onnxruntime").unwrap() };
        let (_, plan) = applied(&model, Some(&wide(&model, &options)), &options);
        assert_eq!(plan.quantized(), 1, "{plan}");
        let kept: Vec<(&str, &str)> = plan.kept().map(|(node, why)| (node.node.as_str(), why)).collect();
        let why = "its results are angles (Sin, Cos), which a step of few bits turns too far";
        assert!(kept.contains(&("rotary", why)), "{plan}");
    }
    let options = onnxpress::prune::PruneOptions::new(onnxpress::prune::Goal::Sparsity(0.5));
    let plan = onnxpress::prune::decide(&model, &options, None, &onnxpress::progress::Silent).unwrap();
    let kept: Vec<Option<&str>> = plan.tensors.iter().map(|t| t.kept.as_deref()).collect();
    assert_eq!(kept, [Some("its products are angles (Sin, Cos)"), None]);
}
