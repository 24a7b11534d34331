//! A product behind a cut gives what its shortcut has lost, too.

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, text};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, Pattern, PruneOptions};

use crate::common::tract;
use crate::quantize::sqnr;

/// Two branches read three channels, of which the first two tell the third: one is solved anew, s is scaled, and is not. As all values are
/// positive, each layer is linear, and without the third channel y can still be given exactly: by the weights `d`.
fn model() -> Model {
    let source = r#"<ir_version: 8, opset_import: ["" : 17]> g (float[N,2] x) => (float[N,2] y)
      <float[2,3] a = {1,0,0.3, 0,1,0.3}, float[3,2] b = {1,0, 0,1, 0.4,0.3}, float[3,2] e = {1,0, 0,1, 0.2,0.1}, float[2,2] c = {1,0.3, 0.2,1}, float[2,2] d = {1,-1, 1,1}> {
      p = Abs (x)  [hidden] h = MatMul (p, a)  r = Relu (h)  [scaled] s = Gemm <alpha = 2.0> (r, b)  [other] k = MatMul (r, e)
      [wide] w = MatMul (s, c)  v = Relu (w)  [last] m = MatMul (v, d)  t = Add (m, s)  y = Add (t, k) }"#;
    text::parse(source).unwrap()
}

#[test]
fn a_product_makes_up_for_what_its_shortcut_lost() {
    let model = model();
    let options = DataOptions { batch_size: 4, ..DataOptions::new("random:96") };
    let dataset = Dataset::open(&options, &InputSpec::of(&model)).unwrap();
    let left = |compensate: bool| {
        let criterion = Some("l2".into());
        // 6 of 26 products go with the channel.
        let options =
            PruneOptions { pattern: Pattern::Channel, criterion, compensate, ..PruneOptions::new(Goal::Macs(0.77)) };
        let mut small = model.clone();
        let data = Data { dataset: &dataset, runtime: tract() };
        let (plan, _) = prune::prune(&mut small, &options, Some(data), &Silent).unwrap();
        let cut: Vec<_> = plan.channels.iter().flat_map(|c| &c.groups).filter(|g| g.gone > 0).collect();
        assert_eq!(cut.iter().map(|g| (g.node.as_str(), g.gone)).collect::<Vec<_>>(), [("hidden", 1)], "{plan}");
        (sqnr(&model, &small, &dataset), plan.to_string())
    };
    let ((plain, _), (solved, plan)) = (left(false), left(true));
    println!("{plain:.1} dB, solved anew {solved:.1} dB");
    assert!(plan.contains("its product is scaled"), "{plan}");
    // Of y = m + s + k, s has lost its part for good: m alone gives it back.
    assert!(plain < 20.0 && solved > 60.0, "{plain:.1} dB, solved anew {solved:.1} dB\n{plan}");
}
