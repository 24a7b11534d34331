//! A weight that several nodes share is solved, scored and cut as one: a head at two scales, and layers that are used again on what they made.

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, text, verify};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, CHANNEL_CRITERIA, Data, Goal, Pattern, PruneOptions, Scope};

use super::{named, pruned};
use crate::common::{constant, decibels, first_output, numbers, runtimes, tract};
use crate::quantize::sqnr;

fn list(count: usize, seed: u64) -> String {
    numbers(count, 0.5, seed).iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Two convolutions over a map and over its half, whose lower scale comes one convolution later.
fn head() -> Model {
    text::parse(&format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,4,8,8] x) => (float[N,2,8,8] y, float[N,2,4,4] z)
         <float[8,4,3,3] w0 = {{{}}}, float[8,8,3,3] w1 = {{{}}}, float[8,8,3,3] w = {{{}}}, float[8] b = {{{}}}, float[2,8,1,1] u = {{{}}}> {{
         p = Conv <pads = [1,1,1,1]> (x, w0)  q = Conv <pads = [1,1,1,1], strides = [2,2]> (p, w1)
         [upper] a = Conv <pads = [1,1,1,1]> (p, w, b)  r = Relu (a)  [outer] y = Conv (r, u)
         [lower] c = Conv <pads = [1,1,1,1]> (q, w, b)  s = Relu (c)  z = Conv (s, u) }}",
        list(288, 1),
        list(576, 2),
        list(576, 3),
        list(8, 4),
        list(16, 5)
    ))
    .unwrap()
}

/// The same two layers over and over.
fn again() -> Model {
    let layer = |i: usize| {
        format!(
            "h{i} = MatMul (x{i}, w) c{i} = Add (h{i}, b) r{i} = Relu (c{i}) d{i} = MatMul (r{i}, u) x{} = Add (x{i}, d{i}) ",
            i + 1
        )
    };
    let layers: String = (0..3).map(layer).collect();
    text::parse(&format!(
        "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,12] x0) => (float[N,12] y)
         <float[12,24] w = {{{}}}, float[24] b = {{{}}}, float[24,12] u = {{{}}}, float[12,12] e = {{{}}}> {{ {layers} y = MatMul (x3, e) }}",
        list(288, 1),
        list(24, 2),
        list(288, 3),
        list(144, 4)
    ))
    .unwrap()
}

fn random(model: &Model, seed: u64) -> Dataset {
    let options = DataOptions { batch_size: 8, seed, ..DataOptions::new("random:96") };
    Dataset::open(&options, &InputSpec::of(model)).unwrap()
}

#[test]
fn what_stays_of_a_shared_weight_is_solved_on_all_that_it_reads() {
    // Layers without a bias get one, those that share a weight the same.
    for (name, model, tensors, constants) in [("head", head(), 4, 8), ("again", again(), 3, 4)] {
        let (dataset, other) = (random(&model, 1), random(&model, 2));
        let db = |algorithm: &str| {
            let options = named(Goal::Sparsity(0.4), "magnitude", algorithm, Scope::Layer);
            let (small, report) = pruned(&model, &options, Some(&dataset));
            let told = format!("weights of {tensors} of {tensors} tensors solved anew");
            assert!(algorithm == "mask" || report.notes.iter().any(|n| n.starts_with(&told)), "{:?}", report.notes);
            assert_eq!(small.graph(small.main()).initializers().len(), constants, "{name}");
            assert_ne!(constant(&small, "b"), constant(&model, "b"));
            sqnr(&model, &small, &other)
        };
        let [masked, solved, split] = ["mask", "least-squares", "admm"].map(db);
        println!("{name}: mask {masked:.1} dB, least squares {solved:.1}, admm {split:.1}");
        assert!(solved > masked + 0.8 && split > solved + 0.4, "{name}: {masked:.2} {solved:.2} {split:.2}");
    }
}

#[test]
fn channels_between_shared_weights_go_and_are_made_up_for() {
    for (name, model) in [("head", head()), ("again", again())] {
        let (dataset, other) = (random(&model, 1), random(&model, 2));
        let left = |criterion: Option<&str>, compensate: bool| {
            let options = PruneOptions {
                pattern: Pattern::Channel,
                criterion: criterion.map(Into::into),
                compensate,
                exclude: vec!["^p$".into(), "^q$".into()],
                ..PruneOptions::new(Goal::Macs(0.8))
            };
            let mut small = model.clone();
            let data = Data { dataset: &dataset, runtime: tract() };
            let (plan, _) = prune::prune(&mut small, &options, Some(data), &Silent).unwrap();
            verify(&small).unwrap();
            let plan = plan.channels.unwrap();
            assert!(plan.groups.iter().any(|g| g.gone > 1) && plan.unsolved.is_empty(), "{plan}");
            assert_eq!(compensate, plan.solved > 0, "{plan}");
            (sqnr(&model, &small, &other), small)
        };
        let ((plain, _), (solved, small)) = (left(None, false), left(None, true));
        println!("{name}: {plain:.1} dB, solved anew {solved:.1} dB");
        assert!(solved > plain + 0.5, "{name}: {plain:.2} {solved:.2}");
        let inputs = other.batch(0).unwrap().inputs;
        let made: Vec<_> = runtimes().into_iter().map(|r| first_output(r, &small, &inputs)).collect();
        made.windows(2).for_each(|two| assert!(decibels(&two[0], &two[1]) > 90.0, "{name}: runtimes differ"));
        for criterion in CHANNEL_CRITERIA.iter().map(|c| c.name).chain(["magnitude", "taylor"]) {
            left(Some(criterion), true);
        }
    }
}
