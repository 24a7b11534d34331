//! Models in float16: decided in float32, written in float16.

use onnxpress::data::Dataset;
use onnxpress::ir::{DType, Model};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, Pattern, PruneOptions, PruneReport};
use onnxpress::quantize::{self, Activations, QuantOptions};

use crate::common::{applied, tract};
use crate::quantize::{load, open, sqnr, statistics};

/// The digits as a deployment in float16 has them.
fn digits() -> (Model, Model, Dataset) {
    let float = load("digits");
    let calibration = open(&float, "digits_calib.npz", 200);
    let options = QuantOptions { activations: Activations::F16, ..QuantOptions::for_target("onnxruntime").unwrap() };
    let ranges = statistics(&float, &options, "min-max", &calibration).ranges();
    let half = applied(&float, &quantize::plan(&float, Some(&ranges), &options).unwrap());
    assert!(all_half(&half));
    (float, half, calibration)
}

/// Whether no kernel or matrix is float32.
fn all_half(model: &Model) -> bool {
    let weights = model.graph(model.main()).initializers().iter().filter_map(|v| model.constant(*v));
    let types: Vec<DType> = weights.filter(|t| t.rank() > 1 && t.dtype().is_float()).map(|t| t.dtype()).collect();
    types.len() > 3 && types.iter().all(|t| *t == DType::F16)
}

fn pruned(model: &Model, options: &PruneOptions, dataset: &Dataset) -> (Model, PruneReport) {
    let mut pruned = model.clone();
    let data = Data { dataset, runtime: tract() };
    let (_, report) = prune::prune(&mut pruned, options, Some(data), &Silent).unwrap();
    (pruned, report)
}

#[test]
fn what_is_solved_keeps_the_outputs_as_in_float32() {
    let (float, half, calibration) = digits();
    let eval = open(&float, "digits_eval.npz", 200);
    let channels = PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Macs(0.7)) };
    for (name, options) in [("zeros", PruneOptions::new(Goal::Sparsity(0.7))), ("channels", channels)] {
        let [single, double] = [&half, &float].map(|m| pruned(m, &options, &calibration));
        let [own, wanted] = [(&half, &single), (&float, &double)].map(|(m, (p, _))| sqnr(m, p, &eval));
        println!("{name}: {own:.1} dB in float16, {wanted:.1} in float32");
        assert!(own > wanted - 1.0 && all_half(&single.0), "{name}: {own:.2} {wanted:.2}");
        assert!(single.1.notes.iter().chain(&double.1.notes).count() > 0);
        let size = |m: &Model| m.tensors().map(|t| t.bytes().len()).sum::<usize>();
        let ratio = size(&single.0) as f64 / size(&double.0) as f64;
        assert!((0.48..0.56).contains(&ratio), "{name}: {ratio}");
    }
}

#[test]
fn it_is_trained_in_float32() {
    let (_, half, calibration) = digits();
    let recover = Some("steps=40".parse().unwrap());
    let (trained, report) =
        pruned(&half, &PruneOptions { recover, ..PruneOptions::new(Goal::Sparsity(0.85)) }, &calibration);
    let recovered = report.recovered.unwrap();
    assert!(recovered.after < 0.95 * recovered.before && all_half(&trained), "{recovered}");
    assert!(report.notes.iter().any(|n| n == "decided in float32; what is written is float16, rounded once"));
    let weights = trained.graph(trained.main()).initializers().iter().filter_map(|v| trained.constant(*v));
    let zeros: usize =
        weights.filter(|t| t.rank() > 1).map(|t| t.to_f32().unwrap().iter().filter(|w| **w == 0.0).count()).sum();
    assert!(zeros >= report.zeros, "{zeros} {}", report.zeros);
}
