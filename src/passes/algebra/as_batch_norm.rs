//! Say Mul, Add, … by one number per channel as BatchNormalization, between convolutions.
//!
//! ```text
//! x ─► HardSwish ─► Add(t) ─► Conv ─► y        x ─► HardSwish ─► BatchNormalization(γ = 1, β = t, μ = 0, σ² = 1) ─► Conv ─► y
//! ```
//!
//! ONNX Runtime keeps images between convolutions in blocks of channels; a BatchNormalization stays in them, an Add makes it
//! put the image back into rows and columns and take it apart again. For that runtime alone, and in float: what stays between convolutions
//! after all else has moved, as a shift before a convolution that pads.
//!
//! Leaves alone what is not between a Conv, with an activation or not, and a Conv or pool, and channels that are not known.

use super::affine::{ARITHMETIC, Affine, Channels};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NewNode, NodeId, Place, Tensor, Use, ValueId};
use crate::passes::support::length;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "affine-as-batch-norm",
    "say Mul, Add, … per channel between convolutions as BatchNormalization, which keeps blocks of channels in ONNX Runtime",
    run,
)
.targeted()
.float_alone();

/// What works on blocks of channels.
const BLOCKED: &[&str] = &["Conv", "MaxPool", "AveragePool", "GlobalAveragePool"];
const ACTIVATIONS: &[&str] = &["Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Clip"];

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, ARITHMETIC, |edit, node| Ok(say(edit, node)))
}

fn say(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let found = (0..2).find_map(|data| {
        let x = edit.node(node).input(data).filter(|x| edit.constant(*x).is_none())?;
        let shape = edit.tensor_type(x).shape.filter(|s| s.len() == 4)?;
        let count = length(&shape[1])?;
        let affine = Affine::of(edit, node, data, Channels { from_end: 2, count, rank: Some(4) })?;
        Some((x, count, affine))
    });
    let (Some((x, count, affine)), Some(y)) = (found, edit.node(node).output(0)) else { return Outcome::NoMatch };
    let float = edit.tensor_type(x).dtype == Some(DType::F32);
    if !float || edit.onnx_opset() < 9 || !is_blocked(edit, x) || !is_read_blocked(edit, y) {
        return Outcome::NoMatch;
    }
    let graph = edit.node(node).graph();
    let label = edit.node_label(node).to_string();
    let vector =
        |f: &dyn Fn(usize) -> f64| Tensor::from_vec([count], (0..count).map(|i| f(i) as f32).collect::<Vec<f32>>());
    let parameters = [
        ("scale", vector(&|i| affine.scale_of(i))),
        ("shift", vector(&|i| affine.shift_of(i))),
        ("mean", vector(&|_| 0.0)),
        ("variance", vector(&|_| 1.0)),
    ];
    let mut norm = NewNode::new("BatchNormalization").name(&label).input(x);
    for (what, tensor) in parameters {
        norm = norm.input(edit.add_initializer(graph, &format!("{label}.{what}"), tensor));
    }
    edit.detach_output(node, 0);
    edit.insert(Place::Before(node), norm.attr("epsilon", 0f32).output_into(y));
    edit.remove_node(node);
    Outcome::Applied
}

/// Whether the value comes from a convolution or pool, an activation between or not.
fn is_blocked(model: &Model, value: ValueId) -> bool {
    let Some(producer) = model.producer(value) else { return false };
    let node = model.node(producer);
    let made = |v: ValueId| model.producer(v).is_some_and(|p| model.node(p).is_one_of(BLOCKED));
    node.is_one_of(BLOCKED) || (node.is_one_of(ACTIVATIONS) && node.input(0).is_some_and(made))
}

fn is_read_blocked(model: &Model, value: ValueId) -> bool {
    let reads = |u: &Use| matches!(u, Use::Node { node, input: 0 } if model.node(*node).is_one_of(BLOCKED));
    model.uses(value).iter().any(reads)
}
