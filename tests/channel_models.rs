//! Channels cut from a real model: what is left of its accuracy, and both runtimes run it.

use onnxpress::analysis::macs;
use onnxpress::ir::{Model, Tensor, verify};
use onnxpress::passes::{SimplifyOptions, simplify};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, Pattern, PruneOptions};
use onnxpress::runtime::timing::{LatencyOptions, interleaved, quantile, ratios};
use onnxpress::runtime::{self, LoadOptions, RUNTIMES, Shaped};
use onnxpress::{onnx, pipeline};

use crate::common::{arg_max, dataset, shared};

/// Share of right answers on the first `most` samples.
pub fn accuracy(model: &Model, runtime: &dyn runtime::Runtime, eval: &std::path::Path, most: usize) -> f64 {
    let data = dataset(eval, model, 50).unwrap();
    let session = Shaped::new(runtime, model, &[]).with_threads(2);
    let (mut right, mut all) = (0, 0);
    for index in 0..most / 50 {
        let batch = data.batch(index).unwrap();
        let scores = session.run(&batch.inputs).unwrap().remove(0).1;
        let classes = scores.shape()[1];
        for (row, label) in scores.to_f32().unwrap().chunks(classes).zip(batch.labels.unwrap()) {
            let best = arg_max(row);
            right += usize::from(best as i64 == label);
            all += 1;
        }
    }
    right as f64 / all as f64
}

/// The model with this share of its multiply-accumulates left.
fn pruned(model: &Model, calib: &std::path::Path, share: f64, compensate: bool) -> Model {
    let data = dataset(calib, model, 8).unwrap();
    let data = Data { dataset: &data, runtime: runtime::find("tract").unwrap() };
    let options = PruneOptions { pattern: Pattern::Channel, compensate, ..PruneOptions::new(Goal::Macs(share)) };
    let plan = prune::decide(model, &options, Some(data), &Silent).unwrap();
    let mut small = model.clone();
    prune::apply(&mut small, &plan).unwrap();
    small
}

#[test]
#[ignore = "minutes, real models: cargo test --release -- --ignored"]
fn a_resnet_loses_a_quarter_of_its_work_and_keeps_its_answers() {
    let paths = ["models/cifar10_resnet.onnx", "data/cifar10/calib.npz", "data/cifar10/eval.npz"].map(shared);
    let [Some(path), Some(calib), Some(eval)] = paths else { return };
    let mut model = pipeline::load(&path).unwrap();
    simplify(&mut model, &SimplifyOptions::default()).unwrap();
    let inputs = [("input".to_string(), vec![1, 3, 32, 32])];
    let small = pruned(&model, &calib, 0.75, true);
    verify(&small).unwrap();
    let left = macs(&small, &inputs).unwrap() as f64 / macs(&model, &inputs).unwrap() as f64;
    assert!((0.70..=0.75).contains(&left), "{left} of the multiply-accumulates are left");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.onnx");
    onnx::emit(&small, &file).unwrap();
    let small = onnx::load(&file).unwrap();
    for runtime in RUNTIMES.iter().filter(|r| r.present().is_ok()) {
        let (before, after) = (accuracy(&model, *runtime, &eval, 1000), accuracy(&small, *runtime, &eval, 1000));
        println!("{}: {before:.3} becomes {after:.3} at {left:.3} of the multiply-accumulates", runtime.name());
        assert!(after >= before - 0.02, "{}: {before} became {after}", runtime.name());
    }
}

#[test]
fn without_data_channels_go_by_their_weights() {
    let Some(path) = shared("models/cifar10_resnet.onnx") else { return };
    let mut model = pipeline::load(&path).unwrap();
    simplify(&mut model, &SimplifyOptions::default()).unwrap();
    let options = PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Macs(0.5)) };
    let plan = prune::decide(&model, &options, None, &Silent).unwrap();
    let channels = plan.channels.as_ref().unwrap();
    assert!(channels.macs.1 as f64 <= 0.5 * channels.macs.0 as f64 && channels.solved == 0);
    // Images and answers keep their sizes.
    let kept: Vec<&str> = channels.groups.iter().filter_map(|g| g.kept.as_deref()).collect();
    assert_eq!(kept, ["logits is an output of the model"]);
    let told = channels.macs.1;
    prune::apply(&mut model, &plan).unwrap();
    verify(&model).unwrap();
    assert_eq!(macs(&model, &[("input".into(), vec![1, 3, 32, 32])]), Some(told));
}

#[test]
#[ignore = "measures time, so nothing else may run: cargo test --release -- --ignored"]
fn a_share_of_the_latency_is_reached() {
    let (Some(path), Some(calib)) = (shared("models/cifar10_resnet.onnx"), shared("data/cifar10/calib.npz")) else {
        return;
    };
    let mut model = pipeline::load(&path).unwrap();
    simplify(&mut model, &SimplifyOptions::default()).unwrap();
    let data = dataset(&calib, &model, 8).unwrap();
    let tract = runtime::find("tract").unwrap();
    let options = PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Latency(0.7)) };
    let mut small = model.clone();
    let (plan, _) = prune::prune(&mut small, &options, Some(Data { dataset: &data, runtime: tract }), &Silent).unwrap();
    verify(&small).unwrap();
    let one = Tensor::from_vec([1, 3, 32, 32], vec![0.5f32; 3 * 32 * 32]);
    let inputs = [("input".to_string(), one)];
    let load = |m: &Model| tract.load(m, &LoadOptions::for_inputs(&inputs)).unwrap();
    let (before, after) = (load(&model), load(&small));
    let times = interleaved(&[(&*before, &inputs), (&*after, &inputs)], &LatencyOptions::default()).unwrap();
    let ratio = quantile(&ratios(&times[1], &times[0]), 0.5);
    let (all, left) = plan.channels.unwrap().macs;
    println!("{ratio:.2} of the latency at {:.2} of the multiply-accumulates", left as f64 / all as f64);
    assert!(ratio < 0.8, "{ratio}");
    // No more than that went.
    assert!(left as f64 > 0.3 * all as f64, "{left} of {all}");
}
