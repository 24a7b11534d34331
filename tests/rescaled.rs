//! Factors of channels that are moved through a model: in float it computes the same, in integers more nearly the same.

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{GraphEdit, Model, text};
use onnxpress::progress::Silent;
use onnxpress::quantize::{self, Activations, Granularity, QuantOptions, QuantPlan, Switch, Weights};

use crate::common::tract;
use crate::numerics::compare;
use crate::quantize::{load, open, sqnr, statistics};

fn list(values: impl Iterator<Item = f32>) -> String {
    values.map(|v| v.to_string()).collect::<Vec<_>>().join(", ")
}

fn parsed(source: &str) -> Model {
    let mut model = text::parse(source).unwrap();
    let _ = onnxpress::analysis::infer(&mut GraphEdit::new(&mut model));
    model
}

/// Numbers in −1 … 1.
fn number(i: usize) -> f32 {
    ((i * 7919) % 10_007) as f32 / 5003.0 - 1.0
}

/// Two convolutions with a depthwise one and a residual sum between them; the channels of the first differ a hundredfold.
fn uneven() -> Model {
    let channel = |c: usize| 10f32.powi(c as i32 % 3 - 1);
    let first = list((0..8 * 2 * 9).map(|i| number(i) * channel(i / 18)));
    let bias = list((0..8).map(|c| 0.1 * channel(c)));
    let shortcut = list((0..8 * 2).map(|i| number(i + 50) * channel(i / 2)));
    let depthwise = list((0..8 * 9).map(|i| number(i + 100)));
    let last = list((0..4 * 8).map(|i| number(i + 300) / channel(i % 8)));
    parsed(&format!(
        r#"<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,6,6] x) => (float[1,4,6,6] y)
        <float[8,2,3,3] w = {{{first}}}, float[8] b = {{{bias}}}, float[8,2,1,1] u = {{{shortcut}}},
         float[8,1,3,3] d = {{{depthwise}}}, float[4,8,1,1] v = {{{last}}}>
        {{
            a = Conv <pads = [1,1,1,1]> (x, w, b)
            r = LeakyRelu <alpha = 0.1> (a)
            p = Conv <group = 8, pads = [1,1,1,1]> (r, d)
            s = Conv (x, u)
            t = Add (p, s)
            q = Relu (t)
            y = Conv (q, v)
        }}"#
    ))
}

#[test]
fn equalized_models_compute_the_same_and_lose_less_with_one_scale() {
    let model = uneven();
    let mut equalized = model.clone();
    let done = quantize::equalize(&mut equalized);
    println!("{done}");
    assert_eq!(done.values.iter().map(|(_, layers)| *layers).collect::<Vec<_>>(), [2, 3]);
    compare(&model, &equalized, 1e-5).unwrap();
    // What holds other numbers has another name; nodes are called as before.
    let made =
        |m: &Model| m.all_nodes().iter().map(|n| m.name(m.node(*n).output(0).unwrap()).to_string()).collect::<Vec<_>>();
    let labels = |m: &Model| m.all_nodes().iter().map(|n| m.node_label(*n).to_string()).collect::<Vec<_>>();
    assert_eq!(labels(&equalized), labels(&model));
    assert_eq!(made(&model).iter().filter(|v| made(&equalized).contains(v)).collect::<Vec<_>>(), ["y"]);
    let base = QuantOptions::for_target("onnxruntime").unwrap();
    let options =
        QuantOptions { activations: Activations::None, granularity: Granularity::Tensor, min_bytes: 0, ..base };
    let noise = |m: &Model| {
        let mut pressed = m.clone();
        quantize::apply(&mut pressed, &quantize::plan(m, None, &options).unwrap()).unwrap();
        let error = |tolerance: f64| compare(&model, &pressed, tolerance).is_ok();
        [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1].into_iter().find(|t| error(*t)).unwrap_or(1.0)
    };
    let (before, after) = (noise(&model), noise(&equalized));
    println!("one scale for a weight: within {before}, equalized within {after} of the largest output");
    assert!(after < 0.2 * before, "{before} {after}");
}

/// x ─► LayerNormalization ─► MatMul; with `read_twice` its output leaves, too.
fn normalized(read_twice: bool) -> Model {
    const N: usize = 64;
    let gamma = list((0..N).map(|i| if i % 16 == 5 { 20.0 } else { 0.5 }));
    let weight = list((0..N * N).map(number));
    let more = if read_twice { format!(", float[5,{N}] n") } else { String::new() };
    parsed(&format!(
        r#"<ir_version: 8, opset_import: ["" : 17]> g (float[5,{N}] x) => (float[5,{N}] y{more})
        <float[{N}] gamma = {{{gamma}}}, float[{N}] beta = {{{}}}, float[{N},{N}] w = {{{weight}}}>
        {{ n = LayerNormalization (x, gamma, beta) y = MatMul (n, w) }}"#,
        list((0..N).map(number))
    ))
}

fn awq(weights: Weights) -> QuantOptions {
    let base = QuantOptions::for_target("onnxruntime").unwrap();
    let granularity = Granularity::Block(32);
    QuantOptions { algorithm: "awq".into(), activations: Activations::None, granularity, min_bytes: 0, weights, ..base }
}

#[test]
fn factors_go_into_the_normalization_where_nothing_else_reads_it() {
    for read_twice in [false, true] {
        let model = normalized(read_twice);
        let data = Dataset::open(&DataOptions::new("random:20"), &InputSpec::of(&model)).unwrap();
        let mut scaled = model.clone();
        let done = quantize::scale(&mut scaled, &awq(Weights::S4), (&data, tract()), &Silent).unwrap();
        println!("{}", done[0]);
        assert_eq!(done[0].folded, !read_twice);
        let muls = scaled.all_nodes().into_iter().filter(|n| scaled.node(*n).is("Mul")).count();
        assert_eq!(muls, usize::from(read_twice));
        assert!(done[0].gain_db > 2.0, "{}", done[0]);
        compare(&model, &scaled, 1e-5).unwrap();
        let other = QuantOptions { algorithm: "hqq".into(), ..awq(Weights::S4) };
        assert!(quantize::scale(&mut scaled, &other, (&data, tract()), &Silent).unwrap().is_empty());
    }
}

#[test]
fn awq_is_nearer_than_what_knows_no_inputs() {
    let model = normalized(true);
    let data = Dataset::open(&DataOptions::new("random:30"), &InputSpec::of(&model)).unwrap();
    for weights in [Weights::U4, Weights::S4] {
        let db = |algorithm: &str| {
            let mut scaled = model.clone();
            let options = QuantOptions { algorithm: algorithm.into(), ..awq(weights) };
            quantize::scale(&mut scaled, &options, (&data, tract()), &Silent).unwrap();
            let plan: QuantPlan = quantize::weights_alone(&scaled, &options, (&data, tract()), &Silent).unwrap();
            let mut pressed = scaled.clone();
            quantize::apply(&mut pressed, &plan).unwrap();
            sqnr(&model, &pressed, &data)
        };
        let [nearest, hqq, awq] = ["round-to-nearest", "hqq", "awq"].map(db);
        println!("{weights} in blocks of 32: round-to-nearest {nearest:.1} dB, hqq {hqq:.1} dB, awq {awq:.1} dB");
        assert!(awq > nearest + 3.0 && awq > hqq + 3.0, "{awq} {nearest} {hqq}");
    }
}

#[test]
fn ranges_and_scales_by_the_error_of_outputs_lose_no_more_than_by_that_of_values() {
    let model = load("digits");
    let calibration = open(&model, "digits_calib.npz", 200);
    let eval = open(&model, "digits_eval.npz", 200);
    let granularity = Granularity::Tensor;
    // What is kept within 16 bits leaves little to choose.
    let reduce_range = Switch::Off;
    let algorithm = "round-to-nearest".into();
    let options = QuantOptions { granularity, algorithm, reduce_range, ..Default::default() };
    let plan = |calibrator: &str| {
        let statistics = statistics(&model, &options, calibrator, &calibration);
        quantize::choose(&model, &options, &statistics, (&calibration, tract()), &Silent).unwrap().0
    };
    let db = |plan: &QuantPlan| {
        let mut pressed = model.clone();
        quantize::apply(&mut pressed, plan).unwrap();
        sqnr(&model, &pressed, &eval)
    };
    let (values, outputs) = (plan("mse"), plan("output-mse"));
    println!("{}", outputs.notes.join("; "));
    assert!(outputs.notes.iter().any(|n| n.contains("scales of")), "{:?}", outputs.notes);
    let (values, outputs) = (db(&values), db(&outputs));
    println!("mse {values:.2} dB, output-mse {outputs:.2} dB");
    assert!(outputs >= values - 0.1, "{values} {outputs}");
}
