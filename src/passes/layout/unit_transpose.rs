//! A Transpose that moves only axes of size 1 is a Reshape, which joins the reshape beside it.
//!
//! ```text
//! x: [N, 128] ─► Unsqueeze(1) ─► Transpose(1, 0, 2) ─► y: [1, N, 128]        x ─► Reshape(1, −1, 128) ─► y
//! ```
//!
//! The elements keep their order because the axes that hold more than one keep theirs. A Transpose without a
//! reshape beside it is left alone: nothing would be won. No match where two sizes are unknown or one is 0.

use crate::analysis::{permutation, shape_of};
use crate::error::Result;
use crate::ir::{Dim, GraphEdit, Model, NodeId, Tensor};
use crate::passes::support::{RESHAPES, producer_of};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("reshape-unit-axes", "say a Transpose of axes of size 1 beside a reshape as a Reshape", run)
        .exact()
        .of_family("transposes");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Transpose"], |edit, node| {
        // Below 5 the shape was an attribute.
        if edit.onnx_opset() < 5 || !has_reshape_beside(edit, node) {
            return Ok(Outcome::NoMatch);
        }
        let Some(shape) = reshape(edit, node) else { return Ok(Outcome::NoMatch) };
        let (graph, hint) = (edit.node(node).graph(), format!("{}.shape", edit.node_label(node)));
        let shape = edit.add_initializer(graph, &hint, Tensor::from_vec([shape.len()], shape));
        edit.set_op(node, "Reshape", "");
        edit.remove_attr(node, "perm");
        edit.set_input(node, 1, Some(shape));
        Ok(Outcome::Applied)
    })
}

fn has_reshape_beside(model: &Model, node: NodeId) -> bool {
    let reader = model.node(node).output(0).and_then(|y| model.single_reader(y));
    let after =
        reader.is_some_and(|r| model.node(r).is_one_of(RESHAPES) && model.node(r).graph() == model.node(node).graph());
    after || producer_of(model, node, 0, RESHAPES).is_some()
}

/// The sizes of the result, −1 for one that is not known, where only axes of size 1 move.
fn reshape(model: &Model, node: NodeId) -> Option<Vec<i64>> {
    let x = shape_of(model, model.node(node).input(0)?)?;
    let order = permutation(model, node)?;
    let order: Vec<usize> =
        order.iter().map(|p| usize::try_from(*p).ok().filter(|p| *p < x.len())).collect::<Option<_>>()?;
    let wide: Vec<usize> = order.iter().copied().filter(|p| x[*p] != Dim::Known(1)).collect();
    let sizes: Vec<i64> = order.iter().map(|p| x[*p].known().unwrap_or(-1)).collect();
    let told = !sizes.contains(&0) && sizes.iter().filter(|s| **s == -1).count() <= 1;
    (told && order.len() == x.len() && wide.is_sorted()).then_some(sizes)
}
