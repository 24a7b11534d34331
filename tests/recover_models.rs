//! The CIFAR-10 network trained after pruning and under quantization, from its own outputs on unlabelled images: what it answers then.

use onnxpress::calibrate;
use onnxpress::ir::Model;
use onnxpress::onnx;
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::pipeline::{self, RangeSource};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, Pattern, PruneOptions, Scope};
use onnxpress::quantize::{self, QuantOptions, QuantPlan, Weights};
use onnxpress::recover::{RecoverOptions, Teacher};
use onnxpress::runtime;
use onnxpress::target;

use crate::channel_models::accuracy;
use crate::common::{dataset, shared};

/// Right answers before and after `steps` of training, of 2,000.
fn recovered(options: PruneOptions, steps: usize) -> Option<f64> {
    let paths = ["models/cifar10_resnet.onnx", "data/cifar10/train2k.npz", "data/cifar10/eval.npz"].map(shared);
    let [Some(path), Some(images), Some(eval)] = paths else { return None };
    let mut model = pipeline::load(&path).unwrap();
    simplify(&mut model, &SimplifyOptions::default()).unwrap();
    let images = dataset(&images, &model, 1).unwrap();
    let runtime = runtime::closest_to("onnxruntime");
    let recover = Some(format!("steps={steps}").parse().unwrap());
    let options = PruneOptions { recover, ..options };
    let (_, report) = prune::prune(&mut model, &options, Some(Data { dataset: &images, runtime }), &Silent).unwrap();
    // What is written is what is measured.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.onnx");
    onnx::emit(&model, &file).unwrap();
    let right = accuracy(&onnx::load(&file).unwrap(), runtime, &eval, 2000);
    println!("{report}: {right:.4} right");
    Some(right)
}

fn zeros(share: f64) -> PruneOptions {
    let (criterion, algorithm) = (Some("hessian".into()), Some("admm".into()));
    PruneOptions { criterion, algorithm, scope: Some(Scope::Auto), ..PruneOptions::new(Goal::Sparsity(share)) }
}

fn channels(left: f64) -> PruneOptions {
    PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Macs(left)) }
}

#[test]
#[ignore = "minutes, real models: cargo test --release -- --ignored"]
fn many_zeros_are_recovered_from() {
    for (share, least) in [(0.9, 0.835), (0.95, 0.80)] {
        let Some(right) = recovered(zeros(share), 600) else { return };
        assert!(right >= least, "{right} of {share}");
    }
}

#[test]
#[ignore = "minutes, real models: cargo test --release -- --ignored"]
fn channels_that_went_are_recovered_from() {
    for (left, least) in [(0.52, 0.84), (0.27, 0.80)] {
        let Some(right) = recovered(channels(left), 600) else { return };
        assert!(right >= least, "{right} at {left}");
    }
}

#[test]
#[ignore = "minutes, real models: cargo test --release -- --ignored"]
fn weights_of_two_bits_are_recovered_from() {
    let paths = ["models/cifar10_resnet.onnx", "data/cifar10/train2k.npz", "data/cifar10/eval.npz"].map(shared);
    let [Some(path), Some(images), Some(eval)] = paths else { return };
    let preset = target::find("onnxruntime").unwrap();
    let (mut model, _) = pipeline::load_simplified(&path, &SimplifyOptions::before_quantization(preset)).unwrap();
    let images = dataset(&images, &model, 1).unwrap();
    let options = QuantOptions { weights: Weights::S2, ..QuantOptions::of(preset) };
    let calibrator = calibrate::parse(preset.calibrator).unwrap();
    let source = RangeSource::Data(&images, runtime::find("tract").unwrap(), calibrator);
    let mut plan = pipeline::decide(&mut model, &options, Some(source), &Silent).unwrap().plan;
    let runtime = runtime::closest_to("onnxruntime");
    let right = |model: &Model, plan: &QuantPlan| {
        let mut model = model.clone();
        quantize::apply(&mut model, plan).unwrap();
        accuracy(&model, runtime, &eval, 2000)
    };
    let before = right(&model, &plan);
    let float = model.clone();
    let teacher = Teacher { model: &float, inside: true };
    let report =
        quantize::recover(teacher, (&mut model, &mut plan), &images, &RecoverOptions::new(300), &Silent).unwrap();
    let after = right(&model, &plan);
    println!("{report}: {before:.4}, then {after:.4} right");
    assert!(report.after < 0.6 * report.before && after >= before + 0.008, "{before} {after} {report}");
}
