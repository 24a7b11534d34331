//! A channel that is zero by now tells nothing of the weights that read it, and keeps no others from being solved.

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, text};
use onnxpress::prune::{Goal, Scope};

use super::{named, pruned};
use crate::common::numbers;
use crate::quantize::sqnr;

/// Eight channels, the fourth of which never gets through its Relu, then a depthwise convolution.
fn model() -> Model {
    let list = |count: usize, seed: u64| {
        numbers(count, 0.5, seed).iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    text::parse(&format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,4,8,8] x) => (float[N,6,8,8] y)
         <float[8,4,1,1] w0 = {{{}}}, float[8] b0 = {{0.1,0,0.2,-100,0,0.1,0,0}}, float[8,1,3,3] w1 = {{{}}}, float[8] b1 = {{{}}},
          float[6,8,1,1] w2 = {{{}}}, float[6] b2 = {{{}}}>
         {{ a = Conv (x, w0, b0) r = Relu (a) [by_channel] d = Conv <group = 8, pads = [1,1,1,1]> (r, w1, b1)
            s = Relu (d) y = Conv (s, w2, b2) }}",
        list(32, 1),
        list(72, 2),
        list(8, 3),
        list(48, 4),
        list(6, 5)
    ))
    .unwrap()
}

#[test]
fn the_channels_beside_it_are_solved() {
    let model = model();
    let dataset =
        Dataset::open(&DataOptions { batch_size: 8, ..DataOptions::new("random:64") }, &InputSpec::of(&model)).unwrap();
    let db = |algorithm: &str| {
        let mut options = named(Goal::Sparsity(0.4), "magnitude", algorithm, Scope::Layer);
        options.exclude = vec!["^a$".into()];
        let (small, report) = pruned(&model, &options, Some(&dataset));
        let solved = report.notes.iter().any(|n| n.starts_with("weights of 2 of 3 tensors solved anew"));
        assert!(solved || algorithm == "mask", "{:?}", report.notes);
        sqnr(&model, &small, &dataset)
    };
    let [masked, solved, split] = ["mask", "least-squares", "admm"].map(db);
    println!("mask {masked:.1} dB, least squares {solved:.1}, admm {split:.1}");
    assert!(solved > masked && split > masked + 5.0, "{masked:.2} {solved:.2} {split:.2}");
}
