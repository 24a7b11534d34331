//! The CIFAR-10 network trained after pruning, from its own outputs on unlabelled images: what it answers then.

use onnxpress::onnx;
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::pipeline;
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, Pattern, PruneOptions, Scope};
use onnxpress::runtime;

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
    let (criterion, algorithm) = (Some("hessian".into()), Some("least-squares".into()));
    PruneOptions { criterion, algorithm, scope: Some(Scope::Global), ..PruneOptions::new(Goal::Sparsity(share)) }
}

fn channels(left: f64) -> PruneOptions {
    PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Macs(left)) }
}

#[test]
#[ignore = "trains for minutes"]
fn many_zeros_are_recovered_from() {
    for (share, least) in [(0.9, 0.83), (0.95, 0.765)] {
        let Some(right) = recovered(zeros(share), 600) else { return };
        assert!(right >= least, "{right} of {share}");
    }
}

#[test]
#[ignore = "trains for minutes"]
fn channels_that_went_are_recovered_from() {
    for (left, least) in [(0.52, 0.84), (0.27, 0.80)] {
        let Some(right) = recovered(channels(left), 600) else { return };
        assert!(right >= least, "{right} at {left}");
    }
}
