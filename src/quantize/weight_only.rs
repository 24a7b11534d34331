//! Weights alone as integers, behind DequantizeLinear or what else the target wants ([`super::storage`]); arithmetic stays in float.
//!
//! ```text
//! x ─► MatMul(W) ─► y        x ─► MatMul(DQ(W_q)) ─► y
//! ```

use super::apply::{Done, quantized_weight, shared_weight};
use super::n_bits;
use super::plan::{NodePlan, QuantPlan, WeightPlan};
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Place};
use crate::ops::{self, QuantRule};
use crate::target;

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
    let preset = target::find(&plan.options.target)?;
    let rank = edit.constant(value).ok_or_else(lost)?.rank();
    if n_bits::fits(edit.node(node.id), w, rank, preset) && !plan.passing {
        let q = quantized_weight(edit, plan, value, w, None)?;
        return n_bits::node(edit, node, w, &q);
    }
    let stored = shared_weight(edit, plan, node, (value, w), done)?;
    // In the graph that holds the weight: a loop does not dequantize it again, and runtimes find its integers.
    let home = match stored.home(edit) {
        Some(graph) if graph != edit.node(node.id).graph() => Place::Start(graph),
        _ => Place::Before(node.id),
    };
    let dq = stored.floats(edit, home, w);
    edit.set_input(node.id, weight, Some(dq));
    Ok(())
}
