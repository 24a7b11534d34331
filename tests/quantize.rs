//! Quantization in numbers: how near each form stays to the float model, and what must never happen to a weight.

use std::collections::BTreeMap;

use onnxpress::calibrate::{self, Ranges, Statistics};
use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{self, DType, Model, Tensor};
use onnxpress::onnx;
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Goal, PruneOptions};
use onnxpress::quantize::{self, ALGORITHMS, Activations, Format, Granularity, QParams, QType, QuantOptions, Weights};
use onnxpress::runtime::Shaped;
use proptest::prelude::*;

use crate::common::{applied, first_output, fixture, tract};

pub fn load(name: &str) -> Model {
    let mut model = onnx::load(&fixture(&format!("{name}.onnx"))).unwrap();
    let _ = simplify(&mut model, &SimplifyOptions::default()).unwrap();
    model
}

pub fn open(model: &Model, file: &str, limit: usize) -> Dataset {
    let options =
        DataOptions { batch_size: 25, limit: Some(limit), ..DataOptions::new(fixture(file).to_string_lossy()) };
    Dataset::open(&options, &InputSpec::of(model)).unwrap()
}

pub fn statistics(model: &Model, options: &QuantOptions, calibrator: &str, dataset: &Dataset) -> Statistics {
    let values = quantize::values_to_observe(model, options);
    calibrate::collect(model, dataset, tract(), calibrate::parse(calibrator).unwrap(), &values, &Silent).unwrap()
}

/// In dB, over the first output.
pub fn sqnr(float: &Model, other: &Model, dataset: &Dataset) -> f64 {
    let (a, b) = (Shaped::new(tract(), float, &[]), Shaped::new(tract(), other, &[]));
    let (mut signal, mut noise) = (0.0, 0.0);
    for index in 0..dataset.batch_count() {
        let inputs = dataset.batch(index).unwrap().inputs;
        let (a, b) = (a.run(&inputs).unwrap(), b.run(&inputs).unwrap());
        for (a, b) in a[0].1.to_f32().unwrap().iter().zip(b[0].1.to_f32().unwrap().iter()) {
            signal += f64::from(a * a);
            noise += f64::from((a - b) * (a - b));
        }
    }
    10.0 * (signal / noise).log10()
}

fn quantized(model: &Model, ranges: Option<&Ranges>, options: &QuantOptions) -> Model {
    let plan = quantize::plan(model, ranges, options).unwrap();
    assert!(plan.quantized() > 0, "{plan}");
    applied(model, &plan)
}

/// The least SQNR of digits and of majority in each form; types and granularities that say less get 5 dB less.
const FLOORS: [(Format, f64, f64); 5] = [
    (Format::Qdq, 31.0, 35.0),
    (Format::Qoperator, 30.0, 34.0),
    (Format::Integer, 32.0, 35.0),
    (Format::Dynamic, 34.0, 36.0),
    (Format::WeightOnly, 38.0, 38.0),
];

#[test]
fn every_form_stays_near_the_float_model() {
    let mut low = Vec::new();
    for (model_name, column) in [("digits", 0), ("majority", 1)] {
        let model = load(model_name);
        let calibration = open(&model, &format!("{model_name}_calib.npz"), 100);
        let eval = open(&model, &format!("{model_name}_eval.npz"), 50);
        let base = QuantOptions { min_bytes: 0, ..QuantOptions::for_target("onnxruntime").unwrap() };
        let ranges = statistics(&model, &base, "mse", &calibration).ranges();
        for (format, digits, majority) in FLOORS {
            for (activations, symmetric) in
                [(Activations::U8, false), (Activations::U8, true), (Activations::S8, false)]
            {
                // The dynamic form finds u8, and its zero point, at every call.
                if format == Format::Dynamic && (activations, symmetric) != (Activations::U8, false) {
                    continue;
                }
                for (weights, granularity) in [(Weights::S8, Granularity::Channel), (Weights::U8, Granularity::Tensor)]
                {
                    let mut options = QuantOptions { format, activations, weights, granularity, ..base.clone() };
                    options.symmetric_activations = symmetric;
                    let db = sqnr(&model, &quantized(&model, Some(&ranges), &options), &eval);
                    let plain = !symmetric && granularity == Granularity::Channel;
                    let floor = [digits, majority][column] - if plain { 0.0 } else { 5.0 };
                    let case =
                        format!("{model_name} {format} {activations} {symmetric} {weights} {granularity}: {db:.1} dB");
                    println!("{case}");
                    if db.is_nan() || db < floor {
                        low.push(format!("{case}, at least {floor} wanted"));
                    }
                }
            }
        }
    }
    assert!(low.is_empty(), "{}", low.join("\n"));
}

#[test]
fn measuring_gives_no_worse_plan_and_the_same_one_again() {
    let model = load("digits");
    let calibration = open(&model, "digits_calib.npz", 200);
    let eval = open(&model, "digits_eval.npz", 200);
    let options = QuantOptions::for_target("onnxruntime").unwrap();
    let plain = statistics(&model, &options, "mse", &calibration).ranges();
    let plain = sqnr(&model, &quantized(&model, Some(&plain), &options), &eval);
    let choose = || {
        let statistics = statistics(&model, &options, "search", &calibration);
        quantize::choose(&model, &options, &statistics, (&calibration, tract()), &Silent).unwrap().0
    };
    let plan = choose();
    assert!(plan.notes.iter().any(|n| n.contains("dB")), "{:?}", plan.notes);
    assert_eq!(format!("{plan:?}"), format!("{:?}", choose()));
    let mut measured = model.clone();
    quantize::apply(&mut measured, &plan).unwrap();
    let measured = sqnr(&model, &measured, &eval);
    println!("least squared error {plain:.2} dB, measured {measured:.2} dB");
    assert!(measured > plain - 0.5, "{measured} {plain}");
}

#[test]
fn types_that_no_runtime_has_together_are_not_written() {
    let model = load("digits");
    let options = QuantOptions {
        format: Format::Qoperator,
        activations: Activations::S8,
        weights: Weights::U8,
        ..QuantOptions::for_target("onnxruntime").unwrap()
    };
    let plan = quantize::plan(&model, None, &options).unwrap();
    assert_eq!(plan.options.weights, Weights::S8);
    assert!(plan.notes[0].contains("the weights are s8"), "{:?}", plan.notes);
}

/// Tensors of 8-bit initializers by name.
fn integers(model: &Model) -> BTreeMap<String, Tensor> {
    let graphs = model.graphs_under(model.main());
    let all = graphs.iter().flat_map(|g| model.graph(*g).initializers());
    let small = all.filter_map(|v| Some((model.name(*v).to_owned(), model.constant(*v)?.clone())));
    small.filter(|(_, t)| matches!(t.dtype(), DType::I8 | DType::U8) && t.len() > 1).collect()
}

fn parse(graph: &str) -> Model {
    ir::text::parse(&format!("<ir_version: 8, opset_import: [\"\" : 17]>\n{graph}")).unwrap()
}

fn weights_only() -> QuantOptions {
    let base = QuantOptions::for_target("onnxruntime").unwrap();
    QuantOptions { format: Format::WeightOnly, min_bytes: 0, ..base }
}

#[test]
fn a_weight_that_two_nodes_read_is_stored_once() {
    let model = parse(
        "g (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1,2,3,4}>
         { a = MatMul (x, w)  b = Relu (a)  y = MatMul (b, w) }",
    );
    let found = integers(&quantized(&model, None, &weights_only()));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["w_quantized", "w_zero_point"]);
}

#[test]
fn weights_inside_branches_are_quantized_too() {
    let mut model = onnx::load(&fixture("control_flow.onnx")).unwrap();
    let _ = simplify(&mut model, &SimplifyOptions::default()).unwrap();
    // Beside its integers: runtimes look for them in the same graph.
    let beside = |m: &Model| {
        let all = m.all_nodes().into_iter().filter(|n| m.node(*n).is("DequantizeLinear") || m.node(*n).is("Cast"));
        let home = |n: &ir::NodeId| m.value(m.node(*n).input(0).unwrap()).origin();
        all.filter(|n| home(n) == ir::Origin::Initializer(m.node(*n).graph())).count()
    };
    for format in [Format::WeightOnly, Format::Dynamic] {
        let pressed = quantized(&model, None, &QuantOptions { format, ..weights_only() });
        let changed = match format {
            Format::WeightOnly => beside(&pressed),
            _ => pressed.all_nodes().into_iter().filter(|n| pressed.node(*n).is("MatMulInteger")).count(),
        };
        assert!(changed >= 2, "{format}: {changed}");
    }
}

#[test]
fn a_quantized_model_is_left_as_it_is() {
    let model = load("digits");
    let calibration = open(&model, "digits_calib.npz", 50);
    let options = QuantOptions::for_target("onnxruntime").unwrap();
    let ranges = statistics(&model, &options, "min-max", &calibration).ranges();
    for format in [Format::Qdq, Format::Qoperator, Format::Integer, Format::WeightOnly] {
        let options = QuantOptions { format, ..options.clone() };
        let once = quantized(&model, Some(&ranges), &options);
        let plan = quantize::plan(&once, Some(&ranges), &options).unwrap();
        let mut twice = once.clone();
        quantize::apply(&mut twice, &plan).unwrap();
        assert_eq!(plan.quantized(), 0);
        assert_eq!(plan.notes, ["the model is quantized already: left as it is"]);
        assert_eq!(onnx::to_bytes(&twice).unwrap(), onnx::to_bytes(&once).unwrap(), "{format}");
    }
}

/// Bytes that are no weight say nothing of the weights.
#[test]
fn a_table_of_bytes_does_not_make_a_model_quantized() {
    let bytes = (0..600).map(|i| (i % 251).to_string()).collect::<Vec<_>>().join(",");
    let weight = (0..64).map(|i| format!("{}", (i * 37 % 64) as f32 / 32.0 - 1.0)).collect::<Vec<_>>().join(",");
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[600,8] x) => (float[600,8] y)
         <uint8[600,1] mask = {{{bytes}}}, float[8,8] w = {{{weight}}}>
         {{ m = Cast <to = 1> (mask)  h = Mul (x, m)  y = MatMul (h, w) }}"
    );
    let model = ir::text::parse(&source).unwrap();
    let options = QuantOptions { format: Format::Dynamic, ..QuantOptions::for_target("onnxruntime").unwrap() };
    assert_eq!(quantize::plan(&model, None, &options).unwrap().quantized(), 1);
}

#[test]
fn zeros_of_a_pruned_model_stay_zero() {
    let mut model = load("digits");
    let plan = prune::decide(&model, &PruneOptions::new(Goal::Sparsity(0.6)), None, &Silent).unwrap();
    prune::apply(&mut model, &plan).unwrap();
    let floats: BTreeMap<String, Tensor> = {
        let all = model.graph(model.main()).initializers().iter();
        all.filter_map(|v| Some((model.name(*v).to_owned(), model.constant(*v)?.clone()))).collect()
    };
    for weights in [Weights::S8, Weights::U8] {
        let pressed = quantized(&model, None, &QuantOptions { weights, ..weights_only() });
        let middle = if weights == Weights::S8 { 0 } else { 128 };
        let mut zeros = 0;
        for (name, q) in integers(&pressed) {
            let Some(float) = name.strip_suffix("_quantized").and_then(|n| floats.get(n)) else { continue };
            for (w, q) in float.to_f32().unwrap().iter().zip(q.to_i64().unwrap()).filter(|(w, _)| **w == 0.0) {
                assert_eq!(q, middle, "{name}: {w}");
                zeros += 1;
            }
        }
        assert!(zeros > 1000, "{zeros}");
    }
}

#[test]
fn a_bias_never_overflows() {
    // Channel 0 has weights so small that its bias would need 10^12 units.
    let model = parse(
        "g (float[1,1,2,2] x) => (float[1,2,2,2] y) <float[2,1,1,1] w = {1e-10, 1}, float[2] b = {7, -7}>
         { y = Conv (x, w, b) }",
    );
    let mut ranges = Ranges::default();
    ranges.ranges.insert("x".into(), calibrate::Range::new(0.0, 1.0));
    ranges.ranges.insert("y".into(), calibrate::Range::new(-7.0, 8.0));
    for format in [Format::Qdq, Format::Qoperator] {
        let options = QuantOptions { format, ..QuantOptions::for_target("onnxruntime").unwrap() };
        let plan = quantize::plan(&model, Some(&ranges), &options).unwrap();
        assert!(plan.to_string().contains("(1 scales enlarged for the bias)"), "{plan}");
        let mut pressed = model.clone();
        quantize::apply(&mut pressed, &plan).unwrap();
        let x = ("x".to_owned(), Tensor::from_vec([1, 1, 2, 2], vec![0.0f32, 0.25, 0.5, 1.0]));
        let y = first_output(tract(), &pressed, &[x]);
        for (y, wanted) in y.iter().zip([7.0, 7.0, 7.0, 7.0, -7.0, -6.75, -6.5, -6.0]) {
            assert!((y - wanted).abs() < 0.05, "{format}: {y}, not {wanted}");
        }
    }
}

#[test]
fn a_clamp_that_the_levels_imply_goes_in_the_qoperator_form() {
    let model = load("digits");
    let calibration = open(&model, "digits_calib.npz", 50);
    let options = QuantOptions { format: Format::Qoperator, ..QuantOptions::for_target("onnxruntime").unwrap() };
    let ranges = statistics(&model, &options, "min-max", &calibration).ranges();
    let count = |m: &Model, op: &str| m.all_nodes().into_iter().filter(|n| m.node(*n).is(op)).count();
    let pressed = quantized(&model, Some(&ranges), &options);
    assert!(count(&model, "Relu") + count(&model, "Clip") >= 6);
    // The Relu behind the addition of two branches has no convolution to go into.
    assert!(count(&pressed, "Relu") + count(&pressed, "Clip") <= 1);
}

/// y = a·b where both are inputs: left alone until it is named, then near the float product in each form.
#[test]
fn a_product_of_two_activations_is_quantized_where_the_user_names_it() {
    let model = parse("g (float[2,5,8] a, float[2,8,6] b) => (float[2,5,6] y) { y = MatMul (a, b) }");
    let mut ranges = Ranges::default();
    for (value, range) in [("a", (-1.0, 1.0)), ("b", (0.0, 2.0)), ("y", (-16.0, 16.0))] {
        ranges.ranges.insert(value.into(), calibrate::Range::new(range.0, range.1));
    }
    let values = |n: usize, low: f32, high: f32| -> Vec<f32> {
        (0..n).map(|i| low + (high - low) * ((i * 37 % 101) as f32 / 100.0)).collect()
    };
    let inputs = [
        ("a".to_owned(), Tensor::from_vec([2, 5, 8], values(80, -1.0, 1.0))),
        ("b".to_owned(), Tensor::from_vec([2, 8, 6], values(96, 0.0, 2.0))),
    ];
    let run = |m: &Model| first_output(tract(), m, &inputs);
    let float = run(&model);
    // Half a step of each operand, each of eight times, and of the product where it has steps.
    let operands = 8.0 * (0.5 * 2.0 / 255.0 * 2.0 + 0.5 * 2.0 / 255.0 * 1.0);
    for (format, bound) in [
        (Format::Qdq, operands),
        (Format::Qoperator, operands + 0.5 * 32.0 / 255.0),
        (Format::Integer, operands),
        (Format::Dynamic, operands),
    ] {
        let base = QuantOptions { format, ..QuantOptions::for_target("onnxruntime").unwrap() };
        let plan = quantize::plan(&model, Some(&ranges), &base).unwrap();
        assert_eq!(plan.quantized(), 0, "{plan}");
        let options = QuantOptions { op_types: vec!["MatMul".into()], ..base };
        let pressed = quantized(&model, Some(&ranges), &options);
        let worst = float.iter().zip(run(&pressed)).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        println!("{format}: off by {worst} of at most {bound}");
        assert!(worst > 0.0 && worst <= bound as f32, "{format}: {worst}, at most {bound}");
    }
}

/// A stack of matrices has one scale: no integer product takes one per column of each.
#[test]
fn a_stack_of_matrices_has_one_scale() {
    let numbers: Vec<String> = (0..24).map(|i| format!("{}", (i * 7 % 24) as f32 / 12.0 - 1.0)).collect();
    let model = parse(&format!(
        "g (float[2,3,4] x) => (float[2,3,3] y) <float[2,4,3] w = {{{}}}> {{ y = MatMul (x, w) }}",
        numbers.join(",")
    ));
    let mut ranges = Ranges::default();
    ranges.ranges.insert("x".into(), calibrate::Range::new(-1.0, 1.0));
    ranges.ranges.insert("y".into(), calibrate::Range::new(-4.0, 4.0));
    let x: Vec<f32> = (0..24).map(|i| (i * 5 % 24) as f32 / 12.0 - 1.0).collect();
    let inputs = [("x".to_owned(), Tensor::from_vec([2, 3, 4], x))];
    let run = |m: &Model| first_output(tract(), m, &inputs);
    let float = run(&model);
    for format in [Format::Qdq, Format::Qoperator, Format::Integer, Format::Dynamic] {
        let options = QuantOptions { format, ..QuantOptions::for_target("onnxruntime").unwrap() };
        let plan = quantize::plan(&model, Some(&ranges), &options).unwrap();
        assert!(plan.to_string().contains("W s8 per-tensor"), "{plan}");
        let worst = float.iter().zip(run(&quantized(&model, Some(&ranges), &options))).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0f32, f32::max);
        assert!(worst < 0.06, "{format}: {worst}");
    }
}

#[test]
fn a_weight_that_is_no_number_stays_and_the_plan_says_so() {
    let mut model = parse("g (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1,2,3,4}> { y = MatMul (x, w) }");
    let w = model.graph(model.main()).initializers()[0];
    ir::GraphEdit::new(&mut model).set_initializer(w, Tensor::from_vec([2, 2], vec![1.0f32, f32::NAN, 0.0, 2.0]));
    let plan = quantize::plan(&model, None, &weights_only()).unwrap();
    assert_eq!(plan.quantized(), 0);
    assert!(plan.to_string().contains("float: its weight holds NaN or infinity"), "{plan}");
}

#[test]
fn names_that_fit_nothing_are_told() {
    let model = load("digits");
    let options = |op: &str, include: &str| QuantOptions {
        op_types: vec![op.into()],
        include: vec![include.into()],
        ..weights_only()
    };
    let error = quantize::plan(&model, None, &options("conv", "stem")).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error.to_string().starts_with("--op-types: there is no operator \"conv\"; those with weights are Conv,"),
        "{error}"
    );
    let plan = quantize::plan(&model, None, &options("ConvTranspose", "no/such/node")).unwrap();
    assert_eq!(
        plan.notes,
        ["--include no/such/node matches no node", "--op-types ConvTranspose: the model has no such node"]
    );
}

fn channel() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop_oneof![4 => -1.0f32..1.0, 1 => Just(0.0f32)], 2..200)
}

proptest! {
    #[test]
    fn rounding_a_weight_errs_by_half_a_step_or_keeps_the_sum(w in channel(), kernel in 1usize..10, signed: bool) {
        let dtype = if signed { QType::S8 } else { QType::U8 };
        let largest = w.iter().fold(0f32, |m, v| m.max(v.abs()));
        prop_assume!(largest > 1e-3);
        let params = QParams { dtype, scale: largest / 127.0, zero_point: dtype.middle() };
        for algorithm in ALGORITHMS {
            let q = (algorithm.round)(&w, &params, kernel);
            let mut sum = 0.0;
            for (w, q) in w.iter().zip(&q) {
                prop_assert!((dtype.min()..=dtype.max()).contains(q));
                prop_assert!(*w != 0.0 || *q == params.zero_point, "a zero became {}", q);
                let error = f64::from(params.dequantize(*q)) / f64::from(params.scale) - f64::from(*w) / f64::from(params.scale);
                let most = if algorithm.name == "round-to-nearest" { 0.501 } else { 1.001 };
                prop_assert!(error.abs() <= most, "{} off by {} steps", w, error);
                sum += error;
            }
            if algorithm.name == "sum-preserving" {
                prop_assert!(sum.abs() <= 0.502, "the sum is off by {} steps", sum);
            }
        }
    }
}
