//! A weight that is stored in a shorter float, or the other way around, becomes a constant as it is multiplied.
//!
//! ```text
//! W f16 ─► Cast(float) ─► MatMul             W' float ─► MatMul
//!
//! W ─┬─► Gather ─► …                         W  ─► Gather ─► …
//!    └─► Transpose ─► MatMul                 Wᵀ ─► MatMul            a table that is a weight, too
//! ```
//!
//! Every number stays. Runs before weights become integers, which take less room than either; what stays float of the second kind is
//! stored once again then ([`crate::quantize::apply`]). What multiplies nothing is no match, nor is a node whose output others read, too,
//! or that is a graph output.

use crate::error::Result;
use crate::ir::{DType, GraphEdit, NodeId, Tensor, Use};
use crate::ops;
use crate::passes::tidy::fold_constants::evaluate;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fold-weights", "make constants of weights that are cast to float32 or transposed", run)
        .on_demand()
        .exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Cast", "Transpose"], |edit, id| Ok(fold(edit, id).unwrap_or(Outcome::NoMatch)))
}

fn fold(edit: &mut GraphEdit, id: NodeId) -> Option<Outcome> {
    let y = edit.node(id).output(0)?;
    let weight = |u: &Use| match u {
        Use::Node { node, input } => ops::of(edit.node(*node)).is_some_and(|op| op.quant.weights().contains(input)),
        Use::Output { .. } => false,
    };
    if edit.is_output(y) || !edit.uses(y).iter().all(weight) {
        return None;
    }
    let folded = folded(edit, id)?;
    let (graph, name) = (edit.node(id).graph(), edit.name(y).to_string());
    let value = edit.add_initializer(graph, &name, folded);
    edit.replace_uses(y, value).ok()?;
    edit.remove_node(id);
    Some(Outcome::Applied)
}

/// What the node makes of a constant.
fn folded(edit: &GraphEdit, id: NodeId) -> Option<Tensor> {
    let node = edit.node(id);
    let stored = edit.constant_input(id, 0)?;
    if node.is("Cast") {
        let widens =
            matches!(stored.dtype(), DType::F16 | DType::BF16) && node.int_or("to", 0) == i64::from(DType::F32.code());
        return widens.then(|| stored.as_floats(DType::F32))?;
    }
    let matrix = stored.rank() == 2 && matches!(stored.dtype(), DType::F16 | DType::F32);
    evaluate(edit, id, &[matrix.then_some(Some(stored))?])?.pop()
}
