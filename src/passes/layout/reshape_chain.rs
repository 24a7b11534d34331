//! Of consecutive reshapes only the last one counts.
//!
//! ```text
//! x ─► Flatten ─► Reshape(2, −1) ─► y               x ─► Reshape(2, −1) ─► y
//! x ─► Unsqueeze(0) ─► Squeeze(1) ─► y: [4, N]      x ─► Reshape(4, −1) ─► y
//! ```
//!
//! Reshape, Flatten, Squeeze and Unsqueeze keep the elements in their order, so a Reshape may read what any of
//! them reads, when its shape says "as in the input" (0) only of sizes that are the same there. Where the result's shape is known but for one
//! dimension and holds no 0, a pair of any two of them is such a Reshape.
//!
//! Refuses when the shape is not constant or copies a dimension that is not known.

use crate::analysis::shape_of;
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId, Tensor, ValueId};
use crate::passes::support::{RESHAPES, producer_of};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("merge-reshapes", "join consecutive Reshape, Flatten, Squeeze and Unsqueeze", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, RESHAPES, |edit, node| Ok(merge(edit, node)))
}

fn merge(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    // Below 5 the shape was an attribute.
    if edit.onnx_opset() < 5 {
        return Outcome::NoMatch;
    }
    let Some(before) = producer_of(edit, node, 0, RESHAPES) else { return Outcome::NoMatch };
    let x = edit.node(before).input(0);
    if edit.node(node).is("Reshape") && is_absolute(edit, node, x) {
        edit.set_input(node, 0, x);
        return Outcome::Applied;
    }
    let Some(shape) = known_shape(edit, node) else {
        return match edit.node(node).is("Reshape") {
            true => Outcome::refused("its shape is not known well enough to skip the reshape before it"),
            false => Outcome::NoMatch,
        };
    };
    let graph = edit.node(node).graph();
    let hint = format!("{}.shape", edit.node_label(node));
    let shape = edit.add_initializer(graph, &hint, Tensor::from_vec([shape.len()], shape));
    edit.set_op(node, "Reshape", "");
    for attr in ["axes", "axis", "allowzero"] {
        edit.remove_attr(node, attr);
    }
    edit.set_inputs(node, &[x, Some(shape)]);
    Outcome::Applied
}

/// A Reshape to a constant shape that copies no dimension but what `x` has in the same place.
fn is_absolute(model: &Model, node: NodeId, x: Option<ValueId>) -> bool {
    let zero_means_zero = model.node(node).int_or("allowzero", 0) != 0;
    let Some(shape) = model.constant_input(node, 1).and_then(Tensor::to_i64) else { return false };
    let sizes = |value: Option<ValueId>| shape_of(model, value?);
    let (own, other) = (sizes(model.node(node).input(0)), sizes(x));
    let same = |i: usize| match (&own, &other) {
        (Some(own), Some(other)) => own.get(i).is_some_and(|d| other.get(i).is_some_and(|o| d.same(o))),
        _ => false,
    };
    match zero_means_zero {
        true => !shape.contains(&0) || !shape.contains(&-1),
        false => shape.iter().enumerate().all(|(i, s)| *s != 0 || same(i)),
    }
}

/// The result's shape with −1 for the only dimension that is not known; none may be 0.
fn known_shape(model: &Model, node: NodeId) -> Option<Vec<i64>> {
    let shape = model.tensor_type(model.node(node).output(0)?).shape?;
    let sizes: Vec<i64> = shape.iter().map(|d| d.known().unwrap_or(-1)).collect();
    let unknown = sizes.iter().filter(|s| **s == -1).count();
    (unknown <= 1 && !sizes.contains(&0)).then_some(sizes)
}
