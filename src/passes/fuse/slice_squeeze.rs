//! A Slice of one element along an axis whose axis is then squeezed is a Gather of that element.
//!
//! ```text
//! x ─► Slice([i, i + 1), axis) ─► Squeeze(axis) ─► y        x ─► Gather(i, axis) ─► y
//! ```
//!
//! A Slice of several axes, or to bounds that are not constant, is no match. Refuses when the slice has another
//! reader or is a graph output.

use crate::error::Result;
use crate::ir::shape::axis_of;
use crate::ir::{GraphEdit, Model, NodeId, Tensor};
use crate::passes::support::{ints_of, producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-slice-squeeze", "say Slice of one + Squeeze as Gather", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Squeeze"], |edit, node| Ok(fuse(edit, node)))
}

fn fuse(edit: &mut GraphEdit, squeeze: NodeId) -> Outcome {
    let Some(slice) = producer_of(edit, squeeze, 0, &["Slice"]) else { return Outcome::NoMatch };
    let (Some(x), Some(between)) = (edit.node(slice).input(0), edit.node(slice).output(0)) else {
        return Outcome::NoMatch;
    };
    let Some((axis, index)) = element(edit, slice) else { return Outcome::NoMatch };
    let gone = ints_of(edit, squeeze, "axes", 1);
    let rank = edit.tensor_type(x).rank();
    let same = |a: i64| a == axis || rank.is_some_and(|r| axis_of(a, r).is_some() && axis_of(a, r) == axis_of(axis, r));
    // Gather counts from the end since 11.
    if !matches!(gone.as_deref(), Some([a]) if same(*a)) || (edit.onnx_opset() < 11 && (index < 0 || axis < 0)) {
        return Outcome::NoMatch;
    }
    if let Some(reason) = read_elsewhere(edit, between) {
        return Outcome::Refused(reason);
    }
    let (graph, hint) = (edit.node(squeeze).graph(), format!("{}.index", edit.node_label(squeeze)));
    let index = edit.add_initializer(graph, &hint, Tensor::scalar(index));
    edit.set_inputs(squeeze, &[Some(x), Some(index)]);
    edit.set_op(squeeze, "Gather", "");
    edit.remove_attr(squeeze, "axes");
    edit.set_attr(squeeze, "axis", axis);
    edit.remove_node(slice);
    Outcome::Applied
}

/// Axis and index, where the Slice takes one element of one axis.
fn element(model: &Model, slice: NodeId) -> Option<(i64, i64)> {
    let ([start], [end]) = (&ints_of(model, slice, "starts", 1)?[..], &ints_of(model, slice, "ends", 2)?[..]) else {
        return None;
    };
    let axis = match (model.node(slice).input(3), model.node(slice).ints("axes")) {
        (None, None) => 0,
        _ => *ints_of(model, slice, "axes", 3).filter(|a| a.len() == 1)?.first()?,
    };
    let forward = model.node(slice).input(4).is_none() || ints_of(model, slice, "steps", 4)? == [1];
    let one = match start {
        -1 => *end >= i64::from(i32::MAX),
        _ => start.checked_add(1) == Some(*end),
    };
    (forward && one).then_some((axis, *start))
}
