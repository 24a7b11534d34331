//! Weights in 8 bits behind DequantizeLinear; arithmetic stays in float.
//!
//! ```text
//! x ─► MatMul(W) ─► y        x ─► MatMul(DQ(W_q)) ─► y
//! ```

use super::apply::{Done, shared_weight};
use super::plan::{NodePlan, QuantPlan, WeightPlan};
use super::write::dequantize;
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Origin, Place};
use crate::ops::{self, QuantRule};

pub(super) fn node(
    edit: &mut GraphEdit,
    plan: &QuantPlan,
    node: &NodePlan,
    w: &WeightPlan,
    done: &mut Done,
) -> Result<()> {
    let lost = || Error::internal(format!("node \"{}\" lost its weight", node.node));
    let Some(QuantRule::Weighted { weight, .. }) = ops::of(edit.node(node.id)).map(|op| op.quant) else {
        return Err(lost());
    };
    let value = edit.node(node.id).input(weight).ok_or_else(lost)?;
    let (q, s, z) = shared_weight(edit, plan, node, (value, w), done)?;
    // In the graph that holds the weight: a loop does not dequantize it again, and runtimes find its integers.
    let home = match edit.value(q).origin() {
        Origin::Initializer(graph) if graph != edit.node(node.id).graph() => Place::Start(graph),
        _ => Place::Before(node.id),
    };
    let dq = dequantize(edit, home, (q, s, Some(z)), &w.name, w.axis);
    edit.set_input(node.id, weight, Some(dq));
    Ok(())
}
