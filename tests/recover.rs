//! Training what pruning left: nearer to the float model from wherever it begins, zeros and shapes kept, the same every time.

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, text};
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, Pattern, PruneOptions, PruneReport};

use crate::common::tract;
use crate::quantize::{load, open, sqnr};

/// The clean digits model, and what `options` make of it.
fn pruned(options: &PruneOptions) -> (Model, Model, PruneReport) {
    let mut model = load("digits");
    simplify(&mut model, &SimplifyOptions::default()).unwrap();
    let calibration = open(&model, "digits_calib.npz", 200);
    let mut small = model.clone();
    let data = Data { dataset: &calibration, runtime: tract() };
    let report = prune::prune(&mut small, options, Some(data), &Silent).unwrap().1;
    (model, small, report)
}

fn weights(model: &Model) -> Vec<Vec<f32>> {
    let all = model.graph(model.main()).initializers().iter();
    all.filter_map(|v| Some(model.constant(*v)?.as_slice::<f32>()?.into_owned())).collect()
}

fn recovering(options: PruneOptions, steps: usize) -> PruneOptions {
    PruneOptions { recover: Some(format!("steps={steps}").parse().unwrap()), ..options }
}

#[test]
fn what_was_solved_anew_comes_nearer_still() {
    let options = PruneOptions {
        criterion: Some("hessian".into()),
        algorithm: Some("least-squares".into()),
        ..PruneOptions::new(Goal::Sparsity(0.9))
    };
    let (model, solved, _) = pruned(&options);
    let (_, trained, report) = pruned(&recovering(options.clone(), 60));
    let (_, again, _) = pruned(&recovering(options, 60));
    let recovered = report.recovered.unwrap();
    let eval = open(&model, "digits_eval.npz", 200);
    let (before, after) = (sqnr(&model, &solved, &eval), sqnr(&model, &trained, &eval));
    println!("{before:.2} dB, after {after:.2}: {recovered}");
    assert!(after > before, "{before} {after}");
    assert!(recovered.best > 0 && recovered.after < recovered.before);
    assert_eq!(weights(&trained), weights(&again));
    let zero = |model: &Model| weights(model).concat().iter().filter(|w| **w == 0.0).count();
    assert!(zero(&trained).abs_diff(zero(&solved)) <= 40, "biases alone may leave zero");
}

#[test]
fn what_has_no_gradient_stays_and_the_others_are_trained() {
    let square = |salt: usize| {
        let number = |i: usize| format!("{:.3}", ((i * 7919 + salt) % 1009) as f32 / 504.5 - 1.0);
        (0..64).map(number).collect::<Vec<_>>().join(",")
    };
    let source = format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,8] x) => (float[N,8] y)
         <float[8,8] v = {{{}}}, float[8,8] w = {{{}}}> {{ a = MatMul (x, v) odd = Trilu (a) y = MatMul (odd, w) }}",
        square(1),
        square(500)
    );
    let model = text::parse(&source).unwrap();
    let options = DataOptions { batch_size: 8, ..DataOptions::new("random:96") };
    let dataset = Dataset::open(&options, &InputSpec::of(&model)).unwrap();
    let mut small = model.clone();
    let options = recovering(PruneOptions::new(Goal::Sparsity(0.5)), 20);
    let data = Data { dataset: &dataset, runtime: tract() };
    let recovered = prune::prune(&mut small, &options, Some(data), &Silent).unwrap().1.recovered.unwrap();
    assert_eq!(recovered.tensors, 1, "{recovered}");
    assert!(recovered.refused.iter().any(|why| why.starts_with("v is not trained")), "{:?}", recovered.refused);
    assert!(recovered.after <= recovered.before);
}

#[test]
fn channels_that_went_stay_away() {
    let options = PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Macs(0.5)) };
    let (model, cut, _) = pruned(&options);
    let (_, trained, report) = pruned(&recovering(options, 120));
    let shapes = |m: &Model| weights(m).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(shapes(&cut), shapes(&trained));
    let eval = open(&model, "digits_eval.npz", 200);
    let (before, after) = (sqnr(&model, &cut, &eval), sqnr(&model, &trained, &eval));
    println!("{before:.2} dB, after {after:.2}: {}", report.recovered.unwrap());
    assert!(after > before, "{before} {after}");
}
