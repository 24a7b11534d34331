//! What calibration data decide beyond ranges: how weights are rounded, and which channels hand their range to the weights.

use std::fmt::Write;

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, text};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Goal, PruneOptions};
use onnxpress::quantize::{self, QuantOptions, QuantPlan, Switch};

use crate::common::{applied, tract};
use crate::quantize::{load, open, sqnr, statistics};

fn chosen(model: &Model, options: &QuantOptions, calibrator: &str, data: &Dataset) -> QuantPlan {
    let statistics = statistics(model, options, calibrator, data);
    quantize::choose(model, options, &statistics, (data, tract()), &Silent).unwrap().0
}

#[test]
fn weights_rounded_by_data_keep_their_zeros_and_the_outputs() {
    let mut model = load("digits");
    let half = prune::decide(&model, &PruneOptions::new(Goal::Sparsity(0.5)), None, &Silent).unwrap();
    let _ = prune::apply(&mut model, &half).unwrap();
    let calibration = open(&model, "digits_calib.npz", 200);
    let eval = open(&model, "digits_eval.npz", 200);
    let options = QuantOptions::for_target("onnxruntime").unwrap();
    let db = |algorithm: &str| {
        let options = QuantOptions { algorithm: algorithm.into(), ..options.clone() };
        let plan = chosen(&model, &options, "mse", &calibration);
        assert_eq!(algorithm == "gptq", plan.notes.iter().any(|n| n.ends_with("weights rounded by GPTQ")));
        let pressed = applied(&model, &plan);
        let zeros = |m: &Model, suffix: &str| {
            let all = m.tensors().filter(|t| t.rank() > 1 && t.name.as_ref().is_none_or(|n| n.ends_with(suffix)));
            all.map(|t| t.to_f64().unwrap().iter().filter(|v| **v == 0.0).count()).sum::<usize>()
        };
        assert!(zeros(&pressed, "_quantized") >= zeros(&model, ""), "zeros became something");
        sqnr(&model, &pressed, &eval)
    };
    let (nearest, gptq) = (db("round-to-nearest"), db("gptq"));
    println!("round-to-nearest {nearest:.2} dB, gptq {gptq:.2} dB");
    assert!(gptq > nearest, "{gptq} {nearest}");
}

/// Numbers of a tensor in the text form.
fn list(values: &mut dyn Iterator<Item = f32>) -> String {
    values.fold(String::new(), |mut text, v| {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{v}");
        text
    })
}

/// x ─► LayerNormalization, one channel of which is `outlier` times the others, ─► MatMul; and x, which reads it too.
fn with_outlier(outlier: f32) -> Model {
    const N: usize = 32;
    let gamma = list(&mut (0..N).map(|i| if i == 5 { outlier } else { 1.0 }));
    let weight = list(&mut (0..N * N).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0));
    text::parse(&format!(
        "<ir_version: 8, opset_import: [\"\" : 17]>
         g (float[B,4,{N}] x) => (float[B,4,{N}] y, float[B,4,{N}] z)
         <float[{N}] gamma = {{{gamma}}}, float[{N},{N}] w = {{{weight}}}>
         {{ n = LayerNormalization <axis = -1> (x, gamma)  y = MatMul (n, w)  z = Relu (n) }}"
    ))
    .unwrap()
}

#[test]
fn an_outlying_channel_hands_its_range_to_the_weights() {
    let model = with_outlier(60.0);
    let data = Dataset::open(&DataOptions::new("random:64"), &InputSpec::of(&model)).unwrap();
    let run = |smooth: Switch| {
        let options = QuantOptions { smooth, min_bytes: 0, ..QuantOptions::for_target("onnxruntime").unwrap() };
        let mut float = model.clone();
        let done = quantize::smooth(&mut float, &options, (&data, tract()), &Silent).unwrap();
        // In float it computes the same.
        assert!(sqnr(&model, &float, &data) > 100.0);
        let plan = chosen(&float, &options, "min-max", &data);
        (done, sqnr(&model, &applied(&float, &plan), &data))
    };
    let (none, without) = run(Switch::Off);
    let (done, with) = run(Switch::Auto);
    println!("{without:.1} dB, smoothed {with:.1} dB: {}", done[0]);
    assert!(none.is_empty());
    assert_eq!((done.len(), done[0].value.as_str(), done[0].products), (1, "n", 1));
    assert!(done[0].gain_db > 3.0 && with > without + 3.0, "{with} {without}");
}

#[test]
fn channels_alike_are_left_alone() {
    let model = with_outlier(1.0);
    let data = Dataset::open(&DataOptions::new("random:64"), &InputSpec::of(&model)).unwrap();
    let options = QuantOptions { min_bytes: 0, ..QuantOptions::for_target("onnxruntime").unwrap() };
    assert!(quantize::smooth(&mut model.clone(), &options, (&data, tract()), &Silent).unwrap().is_empty());
}

#[test]
fn an_activation_without_rows_tells_nothing_and_breaks_nothing() {
    let weight = list(&mut (0..32 * 32).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0));
    let model = text::parse(&format!(
        "<ir_version: 8, opset_import: [\"\" : 17]>
         g (float[B,32] x) => (float[C,32] y)
         <float[32,32] w = {{{weight}}}, int64[1] none = {{0}}> {{ e = Slice (x, none, none)  y = MatMul (e, w) }}"
    ))
    .unwrap();
    let data = Dataset::open(&DataOptions::new("random:8"), &InputSpec::of(&model)).unwrap();
    let options = QuantOptions { smooth: Switch::On, min_bytes: 0, ..QuantOptions::for_target("onnxruntime").unwrap() };
    assert!(quantize::smooth(&mut model.clone(), &options, (&data, tract()), &Silent).unwrap().is_empty());
    let plan = chosen(&model, &options, "search", &data);
    assert_eq!(plan.quantized(), 0, "no range was observed: {plan}");
}

/// Four products, the first of numbers from e⁻¹² to e¹² whose logarithms the others read: no 256 levels tell its small ones apart.
fn with_logarithm() -> Model {
    const N: usize = 16;
    let diagonal = list(&mut (0..N * N).map(|i| if i % (N + 1) == 0 { 1.0 } else { 0.0 }));
    let weight = |salt: usize| list(&mut (0..N * N).map(|i| ((i * 7919 + salt) % 1009) as f32 / 2018.0 - 0.25));
    let (w, v, u) = (weight(1), weight(40), weight(700));
    text::parse(&format!(
        "<ir_version: 8, opset_import: [\"\" : 17]>
         g (float[B,{N}] x) => (float[B,{N}] y)
         <float twelve = {{12}}, float little = {{0.000001}}, float[{N},{N}] d = {{{diagonal}}},
          float[{N},{N}] w = {{{w}}}, float[{N},{N}] v = {{{v}}}, float[{N},{N}] u = {{{u}}}>
         {{ s = Mul (x, twelve)  e = Exp (s)  [spectrum] p = MatMul (e, d)  a = Abs (p)  q = Add (a, little)  l = Log (q)
            [first] f = MatMul (l, w)  r = Relu (f)  [second] g1 = MatMul (r, v)  h = Relu (g1)  [third] y = MatMul (h, u) }}"
    ))
    .unwrap()
}

#[test]
fn a_node_that_makes_most_of_the_error_stays_in_float() {
    let model = with_logarithm();
    let data = |seed: u64| {
        let options = DataOptions { seed, ..DataOptions::new("random:96") };
        Dataset::open(&DataOptions { batch_size: 8, ..options }, &InputSpec::of(&model)).unwrap()
    };
    let (calibration, eval) = (data(1), data(2));
    let run = |include: &[&str]| {
        let include = include.iter().map(ToString::to_string).collect();
        let options = QuantOptions { include, min_bytes: 0, ..QuantOptions::for_target("onnxruntime").unwrap() };
        let plan = chosen(&model, &options, "search", &calibration);
        let db = sqnr(&model, &applied(&model, &plan), &eval);
        println!("{db:.1} dB\n{plan}");
        (plan, db)
    };
    let (plan, db) = run(&[]);
    let kept: Vec<_> = plan.kept().map(|(node, reason)| (node.node.as_str(), reason)).collect();
    let [("spectrum", reason)] = kept[..] else { panic!("{plan}") };
    assert!(reason.starts_with("it makes most of the error"), "{reason}");
    assert!(db > 25.0, "{db}");
    // Who names it gets it.
    let (plan, collapsed) = run(&["."]);
    assert!(plan.kept().count() == 0 && collapsed < 15.0, "{collapsed}\n{plan}");
}
