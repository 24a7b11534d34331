//! What calibration data decide beyond ranges: how weights are rounded, and which channels hand their range to the weights.

use std::fmt::Write;

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, text};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Goal, PruneOptions};
use onnxpress::quantize::{self, QuantOptions, QuantPlan, Switch};

use crate::quantize::{load, open, sqnr, statistics, tract};

fn chosen(model: &Model, options: &QuantOptions, calibrator: &str, data: &Dataset) -> QuantPlan {
    let statistics = statistics(model, options, calibrator, data);
    quantize::choose(model, options, &statistics, (data, tract()), &Silent).unwrap().0
}

fn pressed(model: &Model, plan: &QuantPlan) -> Model {
    let mut model = model.clone();
    quantize::apply(&mut model, plan).unwrap();
    model
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
        let pressed = pressed(&model, &plan);
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

/// x ─► LayerNormalization, one channel of which is `outlier` times the others, ─► MatMul; and x, which reads it too.
fn with_outlier(outlier: f32) -> Model {
    const N: usize = 32;
    let list = |values: &mut dyn Iterator<Item = f32>| {
        values.fold(String::new(), |mut text, v| {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{v}");
            text
        })
    };
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
        (done, sqnr(&model, &pressed(&float, &plan), &data))
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
