//! Nodes inside the branches of an If and the body of a Loop: observed, quantized there, and near the float model.

use std::collections::BTreeMap;

use onnxpress::calibrate::{Range, Ranges};
use onnxpress::ir::{self, Model, Tensor, text};
use onnxpress::onnx;
use onnxpress::quantize::{self, Decision, QuantOptions, QuantPlan};
use onnxpress::runtime::{Runtime, Shaped};
use onnxpress::validate::ran::ran;

use crate::common::{near, numbers, onnxruntime, runtimes, shared};

const SIZE: usize = 32;

/// A product before an If, products in both of its branches, one of which reads what lies outside, and a product in a Loop.
fn model() -> Model {
    let weight = |seed| {
        let values: Vec<String> = numbers(SIZE * SIZE, 0.3, seed).iter().map(ToString::to_string).collect();
        format!("float[{SIZE},{SIZE}] w{seed} = {{ {} }}", values.join(", "))
    };
    let weights: Vec<String> = (1..6).map(weight).collect();
    let source = format!(
        r#"<ir_version: 8, opset_import: ["" : 17]>
        g (float[4,{SIZE}] x, bool c, int64 n) => (float[4,{SIZE}] y)
        <{}, bool yes = {{1}}>
        {{
            [before] h = MatMul (x, w1)
            b = If (c) <
                then_branch = taken () => (float[4,{SIZE}] t) {{
                    [first] a = MatMul (h, w2)
                    r = Relu (a)
                    [second] t = MatMul (r, w3)
                }},
                else_branch = other () => (float[4,{SIZE}] e) {{
                    s = Sigmoid (h)
                    [never] e = MatMul (s, w4)
                }}
            >
            y = Loop (n, yes, b) <body = turn (int64 i, bool go, float[4,{SIZE}] p) => (bool on, float[4,{SIZE}] q) {{
                on = Identity (go)
                [turned] m = MatMul (p, w5)
                q = Tanh (m)
            }}>
        }}"#,
        weights.join(", ")
    );
    text::parse(&source).unwrap()
}

fn inputs(seed: u64) -> Vec<(String, Tensor)> {
    let x = Tensor::from_vec([4, SIZE], numbers(4 * SIZE, 1.0, seed));
    let c = Tensor::from_bytes(onnxpress::ir::DType::Bool, Vec::<usize>::new(), vec![1u8]).unwrap();
    vec![("x".into(), x), ("c".into(), c), ("n".into(), Tensor::scalar(3i64))]
}

/// Least and largest of each value in some runs; what no run gave is not among them.
fn ranges(model: &Model, options: &QuantOptions, runtime: &dyn Runtime) -> Ranges {
    let values = quantize::values_to_observe(model, options);
    let session = Shaped::new(runtime, model, &values);
    let mut seen: BTreeMap<String, (f32, f32)> = BTreeMap::new();
    for seed in 10..18 {
        for (name, t) in session.run(&inputs(seed)).unwrap() {
            for v in t.to_f32().filter(|_| values.contains(&name)).iter().flat_map(|t| t.iter()) {
                let range = seen.entry(name.clone()).or_insert((*v, *v));
                *range = (range.0.min(*v), range.1.max(*v));
            }
        }
    }
    let mut ranges = Ranges::default();
    ranges.ranges.extend(seen.into_iter().map(|(name, (low, high))| (name, Range::new(low, high))));
    ranges
}

fn decision<'a>(plan: &'a QuantPlan, node: &str) -> &'a Decision {
    &plan.nodes.iter().find(|n| n.node == node).unwrap().decision
}

#[test]
fn branches_and_loops_have_ranges_and_integers_of_their_own() {
    let model = model();
    let options = QuantOptions { min_bytes: 0, ..QuantOptions::for_target("onnxruntime").unwrap() };
    let Some(runtime) = onnxruntime() else {
        return println!("skipped: tract has no Loop, and ONNX Runtime is not there");
    };
    let ranges = ranges(&model, &options, runtime);
    println!("{:?}", ranges.ranges.keys().collect::<Vec<_>>());
    // The branch that is not taken gives nothing.
    assert!(ranges.get("r").is_some() && ranges.get("p").is_some() && ranges.get("s").is_none());
    let plan = quantize::plan(&model, Some(&ranges), &options).unwrap();
    for node in ["before", "first", "second", "turned"] {
        assert!(matches!(decision(&plan, node), Decision::Quantize { input: Some(_), .. }), "{plan}");
    }
    // Its weights alone: no range was seen.
    assert!(matches!(decision(&plan, "never"), Decision::Quantize { input: None, .. }), "{plan}");

    let mut pressed = model.clone();
    quantize::apply(&mut pressed, &plan).unwrap();
    ir::verify(&pressed).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pressed.onnx");
    onnx::emit(&pressed, &path).unwrap();
    let written = onnx::load(&path).unwrap();
    let inner = written.all_nodes().into_iter().map(|n| written.node(n)).filter(|n| n.graph() != written.main());
    assert_eq!(inner.filter(|n| n.is("QuantizeLinear")).count(), 3);
    let db = near(runtime, &model, &written, &inputs(90));
    println!("{db:.1} dB");
    assert!(db > 28.0, "{db}");
    let ran = ran(&written, &plan.in_integers(), &inputs(90), runtime).unwrap();
    assert_eq!((ran.planned, ran.integers), (4, 4), "{:?}", ran.others);
}

/// A frame of something like a voice: a few harmonics that come and go.
fn frame(t: usize, size: usize) -> Vec<f32> {
    let noise = numbers(size, 0.02, t as u64 + 1);
    let pitch = 110.0 + 40.0 * (t as f32 * 0.3).sin();
    let loudness = (t as f32 * 0.25).sin().max(0.0) * 0.3;
    let at =
        |i: usize| (1..5).map(|k| (i as f32 * pitch * k as f32 * 0.000_392_7 + t as f32).sin() / k as f32).sum::<f32>();
    (0..size).map(|i| at(i) * loudness + noise[i]).collect()
}

#[test]
fn silero_is_quantized_inside_its_branches() {
    let Some(path) = shared("models/silero_vad.onnx") else { return };
    let (model, _) = onnxpress::pipeline::load_simplified(&path, &Default::default()).unwrap();
    let inputs = |t: usize| {
        let x = Tensor::from_vec([1, 512], frame(t, 512));
        let state = Tensor::from_vec([2, 1, 128], numbers(256, 0.2, t as u64));
        vec![("input".to_string(), x), ("state".to_string(), state), ("sr".to_string(), Tensor::scalar(16000i64))]
    };
    let options = QuantOptions::for_target("onnxruntime").unwrap();
    let values = quantize::values_to_observe(&model, &options);
    for runtime in runtimes() {
        let session = Shaped::new(runtime, &model, &values);
        let mut ranges = Ranges::default();
        for t in 0..24 {
            for (name, v) in session.run(&inputs(t)).unwrap().into_iter().filter(|(name, _)| values.contains(name)) {
                let Some(v) = v.to_f32().filter(|v| !v.is_empty()) else { continue };
                let new = Range::new(
                    v.iter().copied().fold(f32::INFINITY, f32::min),
                    v.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                );
                let old = ranges.get(&name).unwrap_or(new);
                ranges.ranges.insert(name, Range::new(old.min.min(new.min), old.max.max(new.max)));
            }
        }
        let plan = quantize::plan(&model, Some(&ranges), &options).unwrap();
        let inner = plan.nodes.iter().filter(|n| n.op_type == "Conv");
        let (with, without): (Vec<_>, Vec<_>) =
            inner.partition(|n| matches!(n.decision, Decision::Quantize { input: Some(_), .. }));
        println!("{}: {} convolutions with ranges, {} without", runtime.name(), with.len(), without.len());
        // One branch for 16 kHz, of six convolutions, and one for 8 kHz, which is never taken.
        assert_eq!((with.len(), without.len()), (6, 6), "{plan}");
        let mut pressed = model.clone();
        quantize::apply(&mut pressed, &plan).unwrap();
        ir::verify(&pressed).unwrap();
        let db = near(runtime, &model, &pressed, &inputs(40));
        println!("silero in {}: {db:.1} dB", runtime.name());
        assert!(db > 15.0, "{db}");
    }
}
