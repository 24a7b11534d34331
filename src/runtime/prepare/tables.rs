//! A DequantizeLinear before a Softmax said as arithmetic.
//!
//! ```text
//! q ─► DequantizeLinear(s, z) ─► Softmax      q ─► Cast ─► Sub(z) ─► Mul(s) ─► Softmax
//! ```
//!
//! tract makes a table of 256 entries of DequantizeLinear → elementwise → QuantizeLinear, and takes
//! Softmax, which sums over an axis, for elementwise. It does not look for tables behind arithmetic.

use super::before;
use crate::error::Result;
use crate::ir::{DType, GraphEdit, NewNode, NodeId, Place, Tensor};

const SUMS: &[&str] = &["Softmax", "LogSoftmax", "Hardmax"];

/// Rewrites them in every graph; returns how many.
pub(super) fn spell_out(edit: &mut GraphEdit) -> Result<usize> {
    let mut count = 0;
    for node in edit.all_nodes() {
        if edit.node(node).is_one_of(SUMS)
            && let Some(dequantize) = dequantize_before(edit, node)
            && let Some(scale) = edit.constant_input(dequantize, 1).and_then(Tensor::scalar_f32)
        {
            let zero = match edit.node(dequantize).input(2) {
                None => 0.0,
                Some(z) => match edit.constant(z).and_then(Tensor::scalar_f32) {
                    Some(zero) => zero,
                    None => continue,
                },
            };
            rewrite(edit, dequantize, scale, zero);
            count += 1;
        }
    }
    Ok(count)
}

/// The DequantizeLinear that feeds the node through operators of one input.
fn dequantize_before(edit: &GraphEdit, node: NodeId) -> Option<NodeId> {
    let mut at = edit.producer(edit.node(node).input(0)?)?;
    while !edit.node(at).is("DequantizeLinear") {
        let [Some(input)] = edit.node(at).inputs() else { return None };
        at = edit.producer(*input)?;
    }
    Some(at)
}

fn rewrite(edit: &mut GraphEdit, node: NodeId, scale: f32, zero: f32) {
    let label = edit.node_label(node).to_string();
    let (Some(x), Some(y)) = (edit.node(node).input(0), edit.node(node).output(0)) else { return };
    let cast = NewNode::cast(x, DType::F32).name(format!("{label}_cast"));
    let Some(mut wide) = before(edit, node, cast.output(format!("{label}_wide"), None)) else { return };
    let graph = edit.node(node).graph();
    if zero != 0.0 {
        let zero = edit.add_initializer(graph, &format!("{label}_zero"), Tensor::scalar(zero));
        let sub = NewNode::new("Sub").name(format!("{label}_sub")).input(wide).input(zero);
        let Some(centred) = before(edit, node, sub.output(format!("{label}_centred"), None)) else { return };
        wide = centred;
    }
    let scale = edit.add_initializer(graph, &format!("{label}_scale"), Tensor::scalar(scale));
    edit.detach_output(node, 0);
    let mul = NewNode::new("Mul").name(format!("{label}_mul")).input(wide).input(scale).output_into(y);
    edit.insert(Place::Before(node), mul);
    edit.remove_node(node);
}
