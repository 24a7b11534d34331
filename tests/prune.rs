//! Pruning in numbers: which weights go, what becomes of the others, and how much of the outputs stays.

mod halves;
mod kept;
mod shared;
mod shortcut;
mod still;

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{GraphEdit, Model, Tensor, text};
use onnxpress::onnx;
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, Pattern, PruneOptions, Scope};
use onnxpress::quantize::{self, QuantOptions};
use onnxpress::runtime::Shaped;

use crate::common;
use crate::common::{arg_max, tract};
use crate::quantize::{load, open, sqnr, statistics};

fn named(goal: Goal, criterion: &str, algorithm: &str, scope: Scope) -> PruneOptions {
    let (criterion, algorithm) = (Some(criterion.into()), Some(algorithm.into()));
    PruneOptions { criterion, algorithm, scope: Some(scope), ..PruneOptions::new(goal) }
}

/// The model pruned by data.
fn pruned(model: &Model, options: &PruneOptions, dataset: Option<&Dataset>) -> (Model, prune::PruneReport) {
    let data = dataset.map(|dataset| Data { dataset, runtime: tract() });
    let plan = prune::decide(model, options, data, &Silent).unwrap();
    let mut pruned = model.clone();
    let report = prune::apply(&mut pruned, &plan).unwrap();
    (pruned, report)
}

fn zeros(t: &Tensor) -> Vec<bool> {
    t.to_f32().unwrap().iter().map(|w| *w == 0.0).collect()
}

/// Kernels and matrices of the main graph, by name.
fn weights(model: &Model) -> Vec<(String, Tensor)> {
    let all = model.graph(model.main()).initializers().iter();
    let named = all.filter_map(|v| Some((model.name(*v).to_owned(), model.constant(*v)?.clone())));
    named.filter(|(_, t)| t.rank() > 1 && t.to_f32().is_some()).collect()
}

#[test]
fn weights_solved_anew_keep_the_outputs_where_a_mask_does_not() {
    let model = load("digits");
    let (calibration, eval) = (open(&model, "digits_calib.npz", 200), open(&model, "digits_eval.npz", 200));
    let db = |algorithm: &str, data: Option<&Dataset>| {
        let options = named(Goal::Sparsity(0.7), "magnitude", algorithm, Scope::Global);
        let (pruned, report) = pruned(&model, &options, data);
        assert!((report.zeros as f64 / report.weights as f64 - 0.7).abs() < 0.001, "{algorithm}: {report}");
        sqnr(&model, &pruned, &eval)
    };
    let plain = db("mask", None);
    let shifted = db("mask", Some(&calibration));
    let solved = db("least-squares", Some(&calibration));
    let swept = db("sparse-gpt", Some(&calibration));
    let split = db("admm", Some(&calibration));
    println!(
        "mask {plain:.2} dB, biases {shifted:.2}, least squares {solved:.2}, sparse-gpt {swept:.2}, admm {split:.2}"
    );
    assert!(shifted > plain && solved > shifted + 3.0 && swept > shifted + 3.0 && split > solved.max(swept));
}

#[test]
fn what_is_left_open_is_chosen_by_data_and_named() {
    let model = load("digits");
    let calibration = open(&model, "digits_calib.npz", 150);
    let plan =
        |data: Option<Data>| prune::decide(&model, &PruneOptions::new(Goal::Sparsity(0.8)), data, &Silent).unwrap();
    let note = "on batches that were held back";
    let chosen = plan(Some(Data { dataset: &calibration, runtime: tract() }));
    assert!(chosen.notes.iter().any(|n| n.starts_with("criterion ") && n.ends_with(note)), "{:?}", chosen.notes);
    assert!(plan(None).notes.is_empty());
    let pattern = Pattern::Of { keep: 2, of: 4 };
    let halved = PruneOptions { pattern, ..PruneOptions::new(Goal::Sparsity(0.5)) };
    let data = Data { dataset: &calibration, runtime: tract() };
    let notes = prune::decide(&model, &halved, Some(data), &Silent).unwrap().notes;
    let only = "criterion magnitude, algorithm admm, scope layer: no other way would choose otherwise";
    assert!(notes.iter().any(|n| n == only), "{notes:?}");
}

#[test]
fn patterns_hold_after_solving_and_after_quantizing() {
    let model = load("digits");
    let calibration = open(&model, "digits_calib.npz", 150);
    let options = PruneOptions { pattern: Pattern::Of { keep: 2, of: 4 }, ..PruneOptions::new(Goal::Sparsity(0.5)) };
    let (halved, report) = pruned(&model, &options, Some(&calibration));
    assert!(report.tensors > 3, "{report}");
    let is_2_of_4 = |t: &Tensor, zeros: &[bool]| {
        let (channels, kernel) = (t.shape()[1], t.shape()[2..].iter().product::<usize>());
        let group = |i: usize| (i / kernel / channels, i % kernel, i / kernel % channels / 4);
        let mut count = std::collections::BTreeMap::new();
        (0..zeros.len()).for_each(|i| *count.entry(group(i)).or_insert(0) += usize::from(zeros[i]));
        count.values().all(|zeros| *zeros >= 2)
    };
    let convolutions: Vec<(String, Tensor)> =
        weights(&halved).into_iter().filter(|(_, t)| t.rank() == 4 && t.shape()[1].is_multiple_of(4)).collect();
    assert!(convolutions.len() > 2, "{}", convolutions.len());
    for (name, t) in &convolutions {
        assert!(is_2_of_4(t, &zeros(t)), "{name}");
    }
    for algorithm in ["round-to-nearest", "gptq"] {
        let options = QuantOptions { algorithm: algorithm.into(), ..QuantOptions::for_target("onnxruntime").unwrap() };
        let statistics = statistics(&halved, &options, "mse", &calibration);
        let plan = quantize::choose(&halved, &options, &statistics, (&calibration, tract()), &Silent).unwrap().0;
        let mut pressed = halved.clone();
        quantize::apply(&mut pressed, &plan).unwrap();
        let mut seen = 0;
        for v in pressed.graph(pressed.main()).initializers() {
            let name = pressed.name(*v).strip_suffix("_quantized").unwrap_or_default();
            let Some((_, float)) = convolutions.iter().find(|(n, _)| n == name) else { continue };
            let integers = pressed.constant(*v).unwrap().to_i64().unwrap();
            assert!(zeros(float).iter().zip(&integers).all(|(zero, q)| !zero || *q == 0), "{algorithm}: {name}");
            seen += 1;
        }
        assert!(seen > 2, "{algorithm}: {seen}");
    }
}

#[test]
fn shares_by_sensitivity_and_a_compressed_size_are_met() {
    let model = load("digits");
    let calibration = open(&model, "digits_calib.npz", 100);
    let auto = named(Goal::Sparsity(0.75), "magnitude", "least-squares", Scope::Auto);
    let (_, report) = pruned(&model, &auto, Some(&calibration));
    assert!((report.zeros as f64 / report.weights as f64 - 0.75).abs() < 0.01, "{report}");
    let packed = |model: &Model| {
        let all = model.tensors().map(|t| onnxpress::files::compressed_size(&t.bytes()[..]).unwrap());
        all.sum::<u64>() as f64
    };
    let (half, _) = pruned(&model, &PruneOptions::new(Goal::Size(0.5)), None);
    let share = packed(&half) / packed(&model);
    assert!((share - 0.5).abs() < 0.01, "{share}");
    // Weights that were halves compress well, what least squares makes of them does not: that is weighed, too.
    let mut halves = model.clone();
    let mut edit = GraphEdit::new(&mut halves);
    for id in edit.all_nodes() {
        for v in edit.node(id).inputs().to_vec().into_iter().flatten() {
            let Some(t) = edit.constant(v).filter(|t| t.rank() > 1) else { continue };
            let Some(floats) = t.as_slice::<f32>() else { continue };
            let short = floats.iter().map(|w| half::f16::from_f32(*w).to_f32()).collect();
            let short = Tensor::from_vec(t.shape(), short);
            edit.set_constant(v, short);
        }
    }
    let options = named(Goal::Size(0.6), "magnitude", "least-squares", Scope::Global);
    let (solved, report) = pruned(&halves, &options, Some(&calibration));
    let share = packed(&solved) / packed(&halves);
    assert!(share < 0.61 && report.notes.iter().all(|n| !n.contains("asked for")), "{share} {report:?}");
}

#[test]
fn blocks_go_whole() {
    let model = load("digits");
    let options = PruneOptions { pattern: "block:4x1".parse().unwrap(), ..PruneOptions::new(Goal::Sparsity(0.5)) };
    let calibration = open(&model, "digits_calib.npz", 100);
    for data in [None, Some(&calibration)] {
        let (blocks, report) = pruned(&model, &options, data);
        assert!(report.zeros * 5 > report.weights * 2, "{report}");
        for (name, t) in weights(&blocks).iter().filter(|(_, t)| t.rank() == 4 && t.shape()[0].is_multiple_of(4)) {
            let (zeros, row) = (zeros(t), t.len() / t.shape()[0]);
            let whole = |i: usize| {
                let first = i / row / 4 * 4 * row + i % row;
                (0..4).all(|r| zeros[first + r * row] == zeros[first])
            };
            assert!((0..zeros.len()).all(whole), "{name}");
        }
    }
}

#[test]
fn sensitivity_falls_with_the_zeros() {
    let model = load("digits");
    let dataset = open(&model, "digits_calib.npz", 100);
    let options = PruneOptions::new(Goal::Sparsity(0.5));
    let found = prune::sensitivity(&model, &options, Data { dataset: &dataset, runtime: tract() }, &Silent).unwrap();
    assert!(found.layers.len() > 3);
    for layer in &found.layers {
        assert!(
            layer.levels.windows(2).all(|l| l[0].sqnr_db > l[1].sqnr_db - 1.0),
            "{}: {:?}",
            layer.node,
            layer.levels
        );
    }
}

/// The CIFAR-10 network whose weights are real, at 90 % zeros: a global magnitude mask leaves 11.5 % right.
#[test]
fn a_real_network_keeps_its_accuracy_at_ninety_percent_zeros() {
    let Some(path) = common::shared("models/cifar10_resnet.onnx") else { return };
    let model = onnx::load(&path).unwrap();
    let open = |file: &str, limit: usize| {
        let spec = common::root().join("../shared/data/cifar10").join(file);
        let options = DataOptions { batch_size: 20, limit: Some(limit), ..DataOptions::new(spec.to_string_lossy()) };
        Dataset::open(&options, &InputSpec::of(&model)).unwrap()
    };
    let options = named(Goal::Sparsity(0.9), "hessian", "admm", Scope::Auto);
    let (pruned, _) = pruned(&model, &options, Some(&open("train2k.npz", 600)));
    let eval = open("eval.npz", 500);
    let session = Shaped::new(tract(), &pruned, &[]);
    let mut right = 0;
    for i in 0..eval.batch_count() {
        let batch = eval.batch(i).unwrap();
        let made = session.run(&batch.inputs).unwrap();
        let logits = made[0].1.to_f32().unwrap();
        let best = |row: &[f32]| arg_max(row) as i64;
        right += logits.chunks(10).zip(batch.labels.unwrap()).filter(|(row, label)| best(row) == *label).count();
    }
    println!("{right} of {} right", eval.len());
    assert!(right > 400, "{right} of {}", eval.len());
}

/// x ─► MatMul ─► y: 16 inputs, 8 outputs, weights `w` row by row.
fn product(w: &[f32]) -> Model {
    let w = w.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    text::parse(&format!(
        "<ir_version: 8, opset_import: [\"\" : 17]>
         g (float[N,16] x) => (float[N,8] y) <float[16,8] w = {{{w}}}> {{ y = MatMul (x, w) }}"
    ))
    .unwrap()
}

#[test]
fn all_algorithms_agree_where_they_must() {
    let w: Vec<f32> = (0..128).map(|i| ((i * 37 + 11) % 128) as f32 / 64.0 - 0.995).collect();
    let folder = tempfile::tempdir().unwrap();
    let rows = |name: &str, x: Vec<f32>| {
        let path = folder.path().join(name);
        let x = ndarray::Array2::from_shape_vec((x.len() / 16, 16), x).unwrap();
        ndarray_npy::write_npy(&path, &x).unwrap();
        path
    };
    let all = |model: &Model, x: &std::path::Path| {
        let data = Dataset::open(&DataOptions::new(x.to_string_lossy()), &InputSpec::of(model)).unwrap();
        ["least-squares", "sparse-gpt", "admm"].map(|algorithm| {
            let options = named(Goal::Sparsity(0.5), "hessian", algorithm, Scope::Layer);
            let pruned = pruned(model, &options, Some(&data)).0;
            weights(&pruned)[0].1.to_f32().unwrap().into_owned()
        })
    };
    // Inputs that have nothing in common: no weight makes up for another, and w²·Σx² says in both which half goes.
    let model = product(&w);
    let apart = (0..16 * 1024).map(|i| if i / 16 % 16 == i % 16 { 1.0 + (i % 16) as f32 / 8.0 } else { 0.0 });
    let [solved, others @ ..] = all(&model, &rows("apart.npy", apart.collect()));
    assert_eq!(solved.iter().filter(|w| **w == 0.0).count(), 64);
    for other in others {
        for ((a, b), w) in solved.iter().zip(&other).zip(&w) {
            assert_eq!(*a == 0.0, *b == 0.0);
            assert!((a - b).abs() < 1e-6 && (*a == 0.0 || (a - w).abs() < 1e-4), "{a} {b} {w}");
        }
    }
    // Inputs of which each is also a part of the next, and half of the weights gone before: the same half, and nothing to make up for.
    let halved: Vec<f32> = w.iter().enumerate().map(|(i, w)| if i * 5 % 8 < 4 { *w } else { 0.0 }).collect();
    let mixed = (0..16 * 64).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect::<Vec<f32>>();
    let mixed = mixed.iter().enumerate().map(|(i, x)| x + if i % 16 > 0 { mixed[i - 1] } else { 0.0 });
    let [solved, others @ ..] = all(&product(&halved), &rows("mixed.npy", mixed.collect()));
    for other in others {
        for ((a, b), w) in solved.iter().zip(&other).zip(&halved) {
            assert!((a - b).abs() < 1e-6 && (a - w).abs() < 1e-3 && (*w == 0.0) == (*a == 0.0), "{a} {b} {w}");
        }
    }
}
