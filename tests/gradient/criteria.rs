//! Criteria of gradients on a model whose gradients are known, and training after pruning.

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::gradient::{CollectOptions, Moment, collect};
use onnxpress::ir::{Model, text};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, PruneOptions, Threshold};
use onnxpress::recover::{RecoverOptions, recover};

use super::noise;
use crate::common::{self, constant, tract};

const SAMPLES: usize = 12;
const FEATURES: usize = 6;
const CLASSES: usize = 4;

/// logits = x·W, samples and their labels as a dataset, and dL/dW of the mean cross-entropy: xᵀ·(softmax(logits) − onehot)/N.
fn softmax_regression(folder: &std::path::Path) -> (Model, Dataset, Vec<f64>) {
    let mut seed = 3;
    let mut draw = |count: usize| (0..count).map(|_| (noise(&mut seed) * 2.0 - 1.0) as f32).collect::<Vec<_>>();
    let (x, w) = (draw(SAMPLES * FEATURES), draw(FEATURES * CLASSES));
    let labels: Vec<i64> = (0..SAMPLES).map(|i| (i * 7 % CLASSES) as i64).collect();
    let numbers = w.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,{FEATURES}] x) => (float[N,{CLASSES}] y) \
         <float[{FEATURES},{CLASSES}] w = {{{numbers}}}> {{ y = MatMul(x, w) }}"
    );
    let model = text::parse(&source).unwrap();
    let path = folder.join("data.npz");
    let mut npz = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("x", &ndarray::Array2::from_shape_vec((SAMPLES, FEATURES), x.clone()).unwrap()).unwrap();
    npz.add_array("labels", &ndarray::Array1::from(labels.clone())).unwrap();
    npz.finish().unwrap();
    let options = DataOptions { batch_size: 5, ..DataOptions::new(path.to_string_lossy()) };
    let dataset = Dataset::open(&options, &InputSpec::of(&model)).unwrap();
    let mut gradient = vec![0f64; FEATURES * CLASSES];
    for (x, label) in x.chunks(FEATURES).zip(&labels) {
        let logit = |c: usize| (0..FEATURES).map(|f| f64::from(x[f]) * f64::from(w[f * CLASSES + c])).sum::<f64>();
        let total: f64 = (0..CLASSES).map(|c| logit(c).exp()).sum();
        for c in 0..CLASSES {
            let error = logit(c).exp() / total - f64::from(u8::from(c as i64 == *label));
            (0..FEATURES).for_each(|f| gradient[f * CLASSES + c] += error * f64::from(x[f]) / SAMPLES as f64);
        }
    }
    (model, dataset, gradient)
}

#[test]
fn gradient_prunes_what_its_definition_says_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (model, dataset, gradient) = softmax_regression(folder.path());
    let mean = gradient.iter().map(|g| g.abs()).sum::<f64>() / gradient.len() as f64;
    for threshold in [Threshold { at: 0.05, times_mean: false }, Threshold { at: 0.8, times_mean: true }] {
        let bound = if threshold.times_mean { threshold.at * mean } else { threshold.at };
        // No gradient lies so near the bound that rounding decides.
        assert!(gradient.iter().all(|g| (g.abs() - bound).abs() > 1e-6));
        let expected: Vec<bool> = gradient.iter().map(|g| g.abs() < bound).collect();
        let count = expected.iter().filter(|m| **m).count();
        assert!(count > 2 && count < 20, "{count}");
        for algorithm in [None, Some("mask"), Some("least-squares")] {
            let options = PruneOptions {
                criterion: Some("gradient".into()),
                algorithm: algorithm.map(Into::into),
                ..PruneOptions::new(Goal::Threshold(threshold))
            };
            let data = Data { dataset: &dataset, runtime: tract() };
            let mut pruned = model.clone();
            let plan = prune::decide(&model, &options, Some(data), &Silent).unwrap();
            let _ = prune::apply(&mut pruned, &plan).unwrap();
            let found: Vec<bool> = constant(&pruned, "w").iter().map(|w| *w == 0.0).collect();
            assert_eq!(found, expected, "{algorithm:?}");
        }
    }
}

#[test]
fn squares_are_of_single_samples() {
    let folder = tempfile::tempdir().unwrap();
    let (model, dataset, gradient) = softmax_regression(folder.path());
    let options = CollectOptions { moments: vec![Moment::Sum, Moment::Square], labels: true, seed: 0 };
    let found = collect(&model, &dataset, tract(), &["w".into()], &options, &Silent).unwrap();
    assert_eq!((found.samples, found.together), (SAMPLES, 1));
    let sums = found.of("w", Moment::Sum).unwrap();
    for (sum, g) in sums.iter().zip(&gradient) {
        assert!((f64::from(*sum) / SAMPLES as f64 - g).abs() < 1e-6, "{sum} {g}");
    }
    // Were they of batches, one sum of squares would be below the square of the sum over its share.
    let squares = found.of("w", Moment::Square).unwrap();
    let least: f64 = gradient.iter().map(|g| (g * SAMPLES as f64).powi(2) / SAMPLES as f64).sum();
    assert!(squares.iter().map(|s| f64::from(*s)).sum::<f64>() > 3.0 * least);
}

#[test]
fn drawn_targets_are_the_same_for_the_same_seed() {
    let model = onnxpress::onnx::load(&common::fixture("digits.onnx")).unwrap();
    let options =
        DataOptions { limit: Some(12), ..DataOptions::new(common::fixture("digits_calib.npz").to_string_lossy()) };
    let dataset = Dataset::open(&options, &InputSpec::of(&model)).unwrap();
    let sums = |seed| {
        let options = CollectOptions { moments: vec![Moment::Square], labels: false, seed };
        let found = collect(&model, &dataset, tract(), &["stem.conv.weight".into()], &options, &Silent).unwrap();
        assert!(!found.labelled);
        found.of("stem.conv.weight", Moment::Square).unwrap().to_vec()
    };
    let first = sums(1);
    assert_eq!(first, sums(1));
    assert_ne!(first, sums(2));
    assert!(first.iter().all(|v| *v > 0.0));
}

#[test]
fn recovery_comes_nearer_and_keeps_zeros() {
    let model = onnxpress::onnx::load(&common::fixture("digits.onnx")).unwrap();
    let data = DataOptions::new(common::fixture("digits_calib.npz").to_string_lossy());
    let dataset = Dataset::open(&data, &InputSpec::of(&model)).unwrap();
    let half = PruneOptions { algorithm: Some("mask".into()), ..PruneOptions::new(Goal::Sparsity(0.8)) };
    let plan = prune::decide(&model, &half, None, &Silent).unwrap();
    let mut pruned = model.clone();
    let _ = prune::apply(&mut pruned, &plan).unwrap();
    let before = constant(&pruned, "stem.conv.weight");
    let options = RecoverOptions { batch: 16, ..RecoverOptions::new(40) };
    let report = recover(&model, &mut pruned, &dataset, &options, &Silent).unwrap();
    println!("{report}");
    assert!(report.after < 0.5 * report.before, "{report}");
    let after = constant(&pruned, "stem.conv.weight");
    assert!(before.iter().zip(&after).all(|(a, b)| (*a == 0.0) == (*b == 0.0)));
    assert_ne!(before, after);
}
