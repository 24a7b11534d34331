//! A float16 model is pruned by what its float32 double says: there statistics, gradients and solved weights keep their digits.
//!
//! ```text
//! model f16 ─► double f32 ─► plan ─► model f16, what was solved rounded once
//! ```
//!
//! Nodes and values of both have the same ids, so that a plan for one can be written into the other. Where the double cannot be made,
//! weights can be masked alone.

use crate::error::Result;
use crate::ir::{GraphEdit, Model, ValueId};
use crate::passes::{SimplifyOptions, simplify};

/// The double, `None` where `model` has no weight in float16 or cannot be widened; and what is to be told of it.
pub(super) fn widened(model: &Model) -> Result<(Option<Model>, Option<String>)> {
    let mut double = model.clone();
    let report = simplify(&mut double, &SimplifyOptions::only_float32())?;
    if !report.passes.is_empty() {
        return Ok((Some(double), Some("decided in float32; what is written is float16, rounded once".into())));
    }
    let why =
        report.refusals.first().map(|r| format!("not computed in float32: {} ({}): {}", r.node, r.op_type, r.reason));
    Ok((None, why))
}

/// Writes the float constants of `double` into `model`, which it was made of.
pub(super) fn narrow(model: &mut Model, double: &Model) {
    let mut edit = GraphEdit::new(model);
    let read: Vec<ValueId> = edit.all_nodes().iter().flat_map(|n| edit.node(*n).inputs()).flatten().copied().collect();
    for v in read {
        let float = edit.constant(v).is_some_and(|t| t.dtype().is_float());
        if let Some(tensor) = double.constant(v).filter(|_| float) {
            edit.set_floats(v, tensor.clone());
        }
    }
}
