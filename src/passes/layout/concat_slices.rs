//! A Concat of what was cut out of one value side by side takes it in one piece.
//!
//! ```text
//! x ─► Slice([0, 2)), x ─► Slice([2, 5)) ─► Concat ─► y        x ─► Slice([0, 5)) ─► y
//! x: [N, 4] ─► Split(1, 3; 1) ─► a, b ─► Concat(1) ─► y         x ─► y
//! ```
//!
//! Slices of one axis by step 1, with constant bounds, in order and without a gap; all outputs of a Split in order. Refuses when a Slice has
//! another reader or is a graph output, unless all of x comes together.

use super::cuts::{Cut, cuts, set_cuts};
use crate::error::Result;
use crate::ir::shape::axis_of;
use crate::ir::{Dim, GraphEdit, Model, NewNode, NodeId, Place, ValueId};
use crate::passes::support::{bypass, producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("join-slices", "take in one piece what a Concat joins of neighbouring Slices or of a Split", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Concat"], |edit, node| Ok(join(edit, node)))
}

fn join(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    if let Some(x) = split_again(edit, node) {
        return bypass(edit, node, x);
    }
    let mut refused = None;
    for first in 0..edit.node(node).inputs().len() {
        let Some(run) = neighbours(edit, node, first).filter(|run| run.count > 1) else { continue };
        let places = first..first + run.count;
        let slices: Vec<NodeId> = places.clone().filter_map(|i| producer_of(edit, node, i, &["Slice"])).collect();
        if run.is_all && run.count == edit.node(node).inputs().len() {
            let outcome = bypass(edit, node, run.x);
            remove_unread(edit, &slices);
            return outcome;
        }
        let elsewhere = |n: &NodeId| edit.node(*n).output(0).and_then(|v| read_elsewhere(edit, v));
        if let Some(reason) = slices.iter().find_map(elsewhere).filter(|_| !run.is_all) {
            refused = Some(reason);
            continue;
        }
        let mut inputs = edit.node(node).inputs().to_vec();
        let piece = if run.is_all { Some(run.x) } else { piece(edit, slices[0], &run) };
        inputs.splice(places, [piece]);
        edit.set_inputs(node, &inputs);
        remove_unread(edit, &slices);
        return Outcome::Applied;
    }
    refused.map_or(Outcome::NoMatch, Outcome::Refused)
}

fn remove_unread(edit: &mut GraphEdit, slices: &[NodeId]) {
    for slice in slices {
        // A slice may stand among the operands twice.
        if edit.is_live(*slice) && edit.node(*slice).output(0).is_some_and(|v| edit.uses(v).is_empty()) {
            edit.remove_node(*slice);
        }
    }
}

/// One Slice for all.
fn piece(edit: &mut GraphEdit, first: NodeId, run: &Neighbours) -> Option<ValueId> {
    let label = edit.node_label(first).to_string();
    let hint = edit.name(edit.node(first).output(0)?).to_string();
    let slice = edit.insert(Place::After(first), NewNode::new("Slice").name(label).input(run.x).output(hint, None));
    set_cuts(edit, slice, &[run.cut]);
    edit.node(slice).output(0)
}

/// The value whose Split's outputs, all in order, the Concat joins along the same axis.
fn split_again(model: &Model, node: NodeId) -> Option<ValueId> {
    let split = producer_of(model, node, 0, &["Split"])?;
    let (n, s) = (model.node(node), model.node(split));
    let x = s.input(0)?;
    let rank = model.tensor_type(x).rank();
    let place = |axis: i64| rank.map_or(Some(axis), |r| axis_of(axis, r).map(|a| a as i64));
    let same = place(n.int_or("axis", 1)).is_some_and(|a| place(s.int_or("axis", 0)) == Some(a));
    (same && n.inputs() == s.outputs() && n.inputs().iter().all(Option::is_some)).then_some(x)
}

/// Operands of a Concat that are neighbouring Slices.
struct Neighbours {
    x: ValueId,
    count: usize,
    cut: Cut,
    /// Together they are all of x.
    is_all: bool,
}

fn neighbours(model: &Model, node: NodeId, first: usize) -> Option<Neighbours> {
    let slice = |index: usize| {
        let slice = producer_of(model, node, index, &["Slice"])?;
        let (x, cuts) = (model.node(slice).input(0)?, cuts(model, slice)?);
        let [cut] = cuts[..] else { return None };
        let shape = model.tensor_type(x).shape?;
        let cut = cut.forward(shape.get(cut.axis).and_then(Dim::known))?;
        let axis = axis_of(model.node(node).int_or("axis", 1), shape.len())?;
        (cut.axis == axis && cut.start <= cut.end).then_some((x, cut))
    };
    let (x, mut cut) = slice(first)?;
    let mut count = 1;
    while let Some((other, next)) = slice(first + count)
        && other == x
        && next.start == cut.end
    {
        cut.end = next.end;
        count += 1;
    }
    let size = model.tensor_type(x).shape?.get(cut.axis).and_then(Dim::known);
    let is_all = cut.start == 0 && size.map_or(cut.is_open(), |n| cut.end == n);
    Some(Neighbours { x, count, cut, is_all })
}
