//! Parts of a decomposed GELU, which runtimes fuse as a whole: an affine taken out of it costs more than it saves.
//!
//! ```text
//! x·(1 + g(x))·½   x·((1 + g(x))·½)   (x·½)·(1 + g(x))        g is Erf or Tanh of what is made of x
//! ```
//!
//! ONNX Runtime takes the addition of a bias before it into the same kernel.

use crate::ir::{Model, NodeId, Use, ValueId};
use crate::passes::support::{producer_of, scalar};

/// From x to Tanh: x³ by two products, a factor, the sum with x, a factor.
const STEPS_TO_GATE: usize = 6;

const STEPS: &[&str] = &["Mul", "Div", "Add", "Sub", "Pow"];

/// Whether `node` is the factor ½ of a GELU.
pub(super) fn is_half(model: &Model, node: NodeId) -> bool {
    let n = model.node(node);
    let half = match n.op_type.as_str() {
        "Mul" => (0..2).find(|i| scalar(model, node, *i) == Some(0.5)),
        "Div" => (scalar(model, node, 1) == Some(2.0)).then_some(1),
        _ => None,
    };
    let (Some(half), Some(y)) = (half, n.output(0)) else { return false };
    let gates = |product: NodeId| (0..2).any(|i| is_gate(model, product, i));
    let multiplies = |u: &Use| matches!(u, Use::Node { node, .. } if model.node(*node).is("Mul") && gates(*node));
    is_gate(model, node, 1 - half)
        || producer_of(model, node, 1 - half, &["Mul"]).is_some_and(gates)
        || model.uses(y).iter().any(multiplies)
}

/// Whether the input is 1 + Erf or 1 + Tanh.
fn is_gate(model: &Model, node: NodeId, input: usize) -> bool {
    producer_of(model, node, input, &["Add"]).is_some_and(|add| {
        (0..2).any(|i| scalar(model, add, i) == Some(1.0) && producer_of(model, add, 1 - i, &["Erf", "Tanh"]).is_some())
    })
}

/// Whether `value` is the x of a GELU.
pub(super) fn is_argument(model: &Model, value: ValueId) -> bool {
    let readers = |v: ValueId| {
        model.uses(v).iter().filter_map(|u| match u {
            Use::Node { node, .. } => Some(*node),
            Use::Output { .. } => None,
        })
    };
    if readers(value).any(|n| matches!(model.node(n).op_type.as_str(), "Gelu" | "FastGelu")) {
        return true;
    }
    let mut reached = vec![value];
    for _ in 0..STEPS_TO_GATE {
        let next: Vec<NodeId> = reached.iter().flat_map(|v| readers(*v)).collect();
        if next.iter().any(|n| model.node(*n).is_one_of(&["Erf", "Tanh"])) {
            // The other factor is x itself.
            return model.uses(value).len() > 1;
        }
        reached = next
            .into_iter()
            .filter(|n| model.node(*n).is_one_of(STEPS))
            .filter_map(|n| model.node(n).output(0))
            .collect();
        reached.sort_unstable();
        reached.dedup();
    }
    false
}
