//! Weights of recurrent layers as integers: how near the outputs stay, in which form, in the runtimes that are present.

use std::time::Duration;

use onnxpress::Result;
use onnxpress::ir::{DType, Model, Tensor, text};
use onnxpress::progress::Silent;
use onnxpress::quantize::{self, Activations, Decision, Format, QuantOptions, QuantPlan, Weights};
use onnxpress::runtime::{LoadOptions, Runtime, Session, Shaped};

use crate::common::{self, Waits, near, numbers, runtimes, tract};

/// Runs a model without Cast in so long, and as long again for each Cast that it does not fold at load.
struct Runs {
    folds: bool,
}

impl Runtime for Runs {
    fn name(&self) -> &'static str {
        "onnxruntime"
    }

    fn load(&self, model: &Model, _: &LoadOptions) -> Result<Box<dyn Session>> {
        let casts = model.all_nodes().iter().filter(|n| model.node(**n).is("Cast")).count();
        Ok(Box::new(Waits(Duration::from_micros(500) * if self.folds { 1 } else { 1 + casts as u32 })))
    }
}

const INPUT: usize = 24;

/// Numbers of a tensor in the text form.
fn list(values: Vec<f32>) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A layer of two directions with different weights, and what is fed to it.
fn layer(op: &str, gates: usize, hidden: usize) -> (Model, Vec<(String, Tensor)>) {
    let rows = gates * hidden;
    let (w, r) = (list(numbers(2 * rows * INPUT, 0.4, 1)), list(numbers(2 * rows * hidden, 0.2, 2)));
    let b = list(numbers(4 * rows, 0.1, 3));
    let source = format!(
        r#"<ir_version: 8, opset_import: ["" : 17]> g (float[7, 1, {INPUT}] x) => (float[7, 2, 1, {hidden}] y)
        <float[2, {rows}, {INPUT}] w = {{ {w} }}, float[2, {rows}, {hidden}] r = {{ {r} }}, float[2, {}] b = {{ {b} }}>
        {{ y = {op} <hidden_size = {hidden}, direction = "bidirectional"> (x, w, r, b) }}"#,
        2 * rows
    );
    let x = Tensor::from_vec([7, 1, INPUT], numbers(7 * INPUT, 1.0, 4));
    (text::parse(&source).unwrap(), vec![("x".into(), x)])
}

fn options(target: &str, activations: Activations) -> QuantOptions {
    QuantOptions { activations, min_bytes: 0, format: Format::Dynamic, ..QuantOptions::for_target(target).unwrap() }
}

fn applied(model: &Model, options: &QuantOptions) -> (Model, QuantPlan) {
    let plan = quantize::plan(model, None, options).unwrap();
    (common::applied(model, &plan), plan)
}

#[test]
fn weights_alone_have_a_scale_for_each_row_of_each_gate_and_direction() {
    for (op, gates) in [("LSTM", 4), ("GRU", 3), ("RNN", 1)] {
        let (model, inputs) = layer(op, gates, 16);
        for target in ["onnxruntime", "tract"] {
            for (weights, floor) in [(Weights::S8, 38.0), (Weights::U8, 38.0), (Weights::S4, 15.0), (Weights::U4, 15.0)]
            {
                let options = QuantOptions { weights, ..options(target, Activations::None) };
                let (pressed, plan) = applied(&model, &options);
                let Decision::Recurrent { weights: planned, dynamic: false } = &plan.nodes[0].decision else {
                    panic!("{plan}")
                };
                assert!(planned.iter().all(|w| w.channels == 2 * gates * 16), "{plan}");
                let kept = pressed.tensors().filter(|t| t.dtype() == DType::F32 && t.len() > 4 * gates * 16).count();
                assert_eq!(kept, 0, "{op} {target} {weights}");
                for runtime in runtimes() {
                    let narrow = pressed.tensors().any(|t| t.dtype().bits() == 4);
                    // tract reads no 4 bits, and is not asked to.
                    if narrow && runtime.name() == "tract" {
                        continue;
                    }
                    let db = near(runtime, &model, &pressed, &inputs);
                    println!("{op} for {target}, {weights}, in {}: {db:.1} dB", runtime.name());
                    assert!(db > floor, "{op} {target} {weights}: {db}");
                }
            }
        }
    }
}

/// Float8 has one scale for each row, or the smaller rows would drown.
#[test]
fn weights_are_stored_as_short_floats() {
    for (op, gates) in [("LSTM", 4), ("GRU", 3), ("RNN", 1)] {
        let (model, inputs) = layer(op, gates, 16);
        let floats = 2 * gates * 16 * (INPUT + 16);
        for (weights, bits, floor) in [
            (Weights::F16, 16, 60.0),
            (Weights::BF16, 16, 45.0),
            (Weights::F8E4M3, 8, 25.0),
            (Weights::F8E5M2, 8, 18.0),
        ] {
            let options = QuantOptions { weights, ..options("onnxruntime", Activations::None) };
            let (pressed, plan) = applied(&model, &options);
            let Decision::Shorten { bytes, .. } = plan.nodes[0].decision else { panic!("{plan}") };
            assert_eq!(bytes as usize, floats * bits / 8, "{plan}");
            let short: usize = pressed.tensors().filter(|t| t.dtype().bits() == bits).map(Tensor::byte_len).sum();
            assert_eq!(short, floats * bits / 8, "{op} {weights}");
            for runtime in runtimes() {
                let db = near(runtime, &model, &pressed, &inputs);
                println!("{op}, {weights}, in {}: {db:.1} dB", runtime.name());
                assert!(db > floor, "{op} {weights} {}: {db}", runtime.name());
            }
        }
    }
}

#[test]
fn a_large_lstm_is_computed_in_integers_where_the_target_gains() {
    let (model, inputs) = layer("LSTM", 4, 128);
    let (pressed, plan) = applied(&model, &options("onnxruntime", Activations::U8));
    assert!(matches!(plan.nodes[0].decision, Decision::Recurrent { dynamic: true, .. }), "{plan}");
    let node = pressed.node(pressed.all_nodes()[0]);
    assert_eq!(
        (node.op_type.as_str(), node.domain(), node.inputs().len()),
        ("DynamicQuantizeLSTM", "com.microsoft", 12)
    );
    let shape = |i: usize| pressed.constant(node.input(i).unwrap()).unwrap().shape().to_vec();
    assert_eq!([shape(1), shape(2), shape(8)], [vec![2, INPUT, 512], vec![2, 128, 512], vec![2]]);
    for runtime in runtimes() {
        let db = near(runtime, &model, &pressed, &inputs);
        println!("DynamicQuantizeLSTM in {}: {db:.1} dB", runtime.name());
        assert!(db > 38.0, "{}: {db}", runtime.name());
    }
    // What stands in for it elsewhere has the same weights.
    let db = near(tract(), &model, &quantize::stand_in(&model, &plan).unwrap(), &inputs);
    println!("its stand-in: {db:.1} dB");
    assert!(db > 40.0, "{db}");
}

/// A layer that came quantized: in tract, spelled out, it gives what ONNX Runtime's operator gives.
#[test]
fn dynamic_quantize_lstm_is_the_same_in_every_runtime() {
    const HIDDEN: usize = 16;
    let levels = |count, seed| list(numbers(count, 120.0, seed).iter().map(|v| (v + 128.0).round()).collect());
    let gates = 4 * HIDDEN;
    let mut compared = 0;
    for (direction, count) in [("forward", 1), ("reverse", 1), ("bidirectional", 2)] {
        for (bias, state, columns) in [("b", "h, c", false), ("", ", ", false), ("b", ", c", true)] {
            let scales = if columns { vec![count, gates] } else { vec![count] };
            let (shape, each) = (format!("{scales:?}"), scales.iter().product::<usize>());
            let scale = |seed| list(numbers(each, 0.001, seed).iter().map(|v| v + 0.003).collect());
            let zero = list(vec![128.0; each]);
            let source = format!(
                r#"<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
                g (float[7, 2, {INPUT}] x, float[{count}, 2, {HIDDEN}] h, float[{count}, 2, {HIDDEN}] c)
                    => (float[7, {count}, 2, {HIDDEN}] y, float[{count}, 2, {HIDDEN}] last, float[{count}, 2, {HIDDEN}] cell)
                <uint8[{count}, {INPUT}, {gates}] w = {{ {} }}, uint8[{count}, {HIDDEN}, {gates}] r = {{ {} }},
                 float[{count}, {}] b = {{ {} }}, float{shape} sw = {{ {} }}, uint8{shape} zw = {{ {zero} }},
                 float{shape} sr = {{ {} }}, uint8{shape} zr = {{ {zero} }}>
                {{ y, last, cell = com.microsoft.DynamicQuantizeLSTM <hidden_size = {HIDDEN}, direction = "{direction}">
                   (x, w, r, {bias}, , {state}, , sw, zw, sr, zr) }}"#,
                levels(count * INPUT * gates, 1),
                levels(count * HIDDEN * gates, 2),
                2 * gates,
                list(numbers(count * 2 * gates, 0.1, 3)),
                scale(4),
                scale(5),
            );
            let model = text::parse(&source).unwrap();
            let state = |seed| Tensor::from_vec([count, 2, HIDDEN], numbers(count * 2 * HIDDEN, 0.5, seed));
            let x = Tensor::from_vec([7, 2, INPUT], numbers(7 * 2 * INPUT, 1.0, 6));
            let inputs = [("x".to_string(), x), ("h".to_string(), state(7)), ("c".to_string(), state(8))];
            let made = runtimes().into_iter().map(|r| Shaped::new(r, &model, &[]).run(&inputs).unwrap());
            let made: Vec<_> = made.collect();
            assert!(made[0].iter().all(|(_, t)| t.to_f32().unwrap().iter().any(|v| v.abs() > 0.05)));
            let [ours, theirs] = &made[..] else { continue };
            for ((name, a), (_, b)) in ours.iter().zip(theirs) {
                let (a, b) = (a.to_f32().unwrap(), b.to_f32().unwrap());
                let worst = a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                println!("{direction}, {bias}, {columns}: {name} differs by {worst:.1e}");
                // A rounding that falls otherwise is a 255th of h.
                assert!(worst < 4e-3, "{direction} {bias} {columns}: {name} {worst}");
                compared += 1;
            }
        }
    }
    assert!(compared == 0 || compared == 27, "{compared}");
}

#[test]
fn small_states_other_gates_and_other_targets_keep_their_operator() {
    for (op, gates, hidden, target) in
        [("LSTM", 4, 64, "onnxruntime"), ("GRU", 3, 128, "onnxruntime"), ("LSTM", 4, 128, "tract")]
    {
        let (model, _) = layer(op, gates, hidden);
        let plan = quantize::plan(&model, None, &options(target, Activations::U8)).unwrap();
        match (&plan.nodes[0].decision, target) {
            (Decision::Recurrent { dynamic: false, .. }, "onnxruntime") => {}
            (Decision::Keep { reason }, "tract") => {
                assert_eq!(reason, "tract gains nothing from recurrent weights of 8 bits");
            }
            _ => panic!("{plan}"),
        }
    }
}

#[test]
fn integers_that_are_only_stored_go_back_to_float_where_they_cost_time() {
    let (model, inputs) = layer("GRU", 3, 16);
    let options = QuantOptions { min_bytes: 0, ..QuantOptions::for_target("onnxruntime").unwrap() };
    let plan = quantize::plan(&model, None, &options).unwrap();
    for folds in [true, false] {
        let found = quantize::measure(&model, &plan, &inputs, &Runs { folds }, &Silent).unwrap();
        let plan = found.plan(&model, &plan).unwrap();
        println!("{plan}{}", found.notes.join("; "));
        assert_eq!(plan.quantized(), usize::from(folds), "{plan}");
        if let Decision::Keep { reason } = &plan.nodes[0].decision {
            assert!(reason.starts_with("with the weights of 1 GRU as integers the model runs at 0."), "{reason}");
        }
    }
}
