//! The same Mul, Add, … by a constant of everything that is joined, once for all of it.
//!
//! ```text
//! a ─► Mul(s) ─┐                             a ─┐
//! b ─► Mul(s) ─┴► Concat ─► y                b ─┴► Concat ─► Mul(s) ─► y
//! ```
//!
//! From there it moves on as any other. Refuses when one of the results has another reader or is a graph output; leaves constants that differ
//! along the joined axis to `move-affine`, and those that broadcast what is joined alone.

use super::affine::ARITHMETIC;
use crate::analysis::shape_of;
use crate::error::Result;
use crate::ir::shape::axis_of;
use crate::ir::{GraphEdit, NewNode, NodeId, Place, Tensor, ValueId};
use crate::passes::support::{producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "join-affines",
    "do Mul, Add, … by one constant once behind a Concat instead of on each of its inputs",
    run,
)
.exact()
.of_family("affine");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Concat"], |edit, node| Ok(join(edit, node)))
}

fn join(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let n = edit.node(node);
    let (count, Some(y)) = (n.inputs().len(), n.output(0)) else { return Outcome::NoMatch };
    if count < 2 || edit.onnx_opset() < 7 {
        return Outcome::NoMatch;
    }
    let Some(parts) = (0..count).map(|i| producer_of(edit, node, i, ARITHMETIC)).collect::<Option<Vec<NodeId>>>()
    else {
        return Outcome::NoMatch;
    };
    let (first, op) = (parts[0], edit.node(parts[0]).op_type.clone());
    let Some(place) = (0..2).find(|i| edit.constant_input(first, *i).is_some()) else { return Outcome::NoMatch };
    let Some(constant) = edit.constant_input(first, place).filter(|c| is_even(edit, node, first, c)) else {
        return Outcome::NoMatch;
    };
    let same = |p: &NodeId| {
        let data = edit.node(*p).input(1 - place).filter(|v| edit.constant(*v).is_none());
        let alike = edit.node(*p).is(&op) && edit.constant_input(*p, place).is_some_and(|c| c == constant);
        alike && data.is_some_and(|x| is_shaped_as(edit, *p, x))
    };
    if !parts.iter().all(same) {
        return Outcome::NoMatch;
    }
    let results: Vec<_> = parts.iter().filter_map(|p| edit.node(*p).output(0)).collect();
    if let Some(reason) = results.iter().find_map(|r| read_elsewhere(edit, *r)) {
        return Outcome::Refused(reason);
    }
    let Some(constant) = edit.node(first).input(place) else { return Outcome::NoMatch };
    let data: Vec<_> = parts.iter().map(|p| edit.node(*p).input(1 - place)).collect();
    let (label, name) = (edit.node_label(first).to_string(), edit.name(y).to_string());
    edit.set_inputs(node, &data);
    edit.detach_output(node, 0);
    let joined = edit.new_value_like(&name);
    edit.attach_output(node, 0, joined);
    let operands = if place == 0 { [constant, joined] } else { [joined, constant] };
    let affine = operands.into_iter().fold(NewNode::new(&op).name(&label), NewNode::input);
    edit.insert(Place::After(node), affine.output_into(y));
    parts.into_iter().for_each(|p| edit.remove_node(p));
    Outcome::Applied
}

/// Whether what the part makes is certainly of the shape of its input x: no broadcast by the constant.
fn is_shaped_as(edit: &GraphEdit, part: NodeId, x: ValueId) -> bool {
    let y = edit.node(part).output(0).and_then(|y| shape_of(edit, y));
    let (Some(x), Some(y)) = (shape_of(edit, x), y) else { return false };
    x.len() == y.len() && x.iter().zip(&y).all(|(x, y)| x.same(y))
}

/// Whether the constant is the same along the joined axis.
fn is_even(edit: &GraphEdit, node: NodeId, part: NodeId, constant: &Tensor) -> bool {
    let Some(rank) = edit.node(part).output(0).and_then(|y| edit.tensor_type(y).rank()) else { return false };
    let axis = edit.node(node).int("axis").and_then(|a| axis_of(a, rank));
    let from_end = axis.map(|a| rank - 1 - a);
    constant.rank() <= rank && from_end.is_some_and(|e| constant.shape().iter().rev().nth(e).is_none_or(|d| *d == 1))
}
