//! `simplify --tune latency` in a runtime whose latency follows from the operators of the model.

use std::time::Duration;

use onnxpress::Result;
use onnxpress::ir::{Model, Tensor, text};
use onnxpress::passes::SimplifyOptions;
use onnxpress::progress::Silent;
use onnxpress::runtime::{LoadOptions, Runtime, Session};
use onnxpress::validate::tune::tune;

use crate::common::Waits;

/// Each Conv and Mul takes so long, where there are as many Mul as the fusion of the runtime wants, else five times that.
struct Fusing {
    wants: usize,
}

impl Runtime for Fusing {
    fn name(&self) -> &'static str {
        "fusing"
    }

    fn load(&self, model: &Model, _: &LoadOptions) -> Result<Box<dyn Session>> {
        let count = |op: &str| model.all_nodes().iter().filter(|n| model.node(**n).is(op)).count();
        let slow = if count("Mul") >= self.wants { 1 } else { 5 };
        Ok(Box::new(Waits(Duration::from_micros(200) * slow * (count("Conv") + count("Mul")) as u32)))
    }
}

fn tuned(runtime: &'static Fusing) -> (String, Vec<String>, bool) {
    let source = "<ir_version: 8, opset_import: [\"\" : 17]>
        g (float[1,1,2,2] x) => (float[1,1,2,2] y) <float[1,1,1,1] w = {2}, float two = {2}> {
            c = Conv (x, w)
            y = Mul (c, two)
        }";
    let original = text::parse(source).unwrap();
    let inputs = [("x".to_string(), Tensor::from_vec([1, 1, 2, 2], vec![1.0f32; 4]))];
    let (model, report, seen) = tune(&original, &SimplifyOptions::default(), &inputs, runtime, &Silent).unwrap();
    assert_eq!(report.nodes_after, model.operator_count());
    let nodes = model.all_nodes();
    let ops: Vec<_> = nodes.iter().map(|n| model.node(*n).op_type.clone()).collect();
    (ops.join(" "), seen.without.into_iter().map(|(pass, _)| pass).collect(), seen.kept_original)
}

#[test]
fn a_pass_that_undoes_a_fusion_is_left_out() {
    assert_eq!(tuned(&Fusing { wants: 1 }), ("Conv Mul".into(), vec!["affine".into()], false));
}

#[test]
fn nothing_is_left_out_where_everything_gains() {
    assert_eq!(tuned(&Fusing { wants: 0 }), ("Conv".into(), vec![], false));
}
