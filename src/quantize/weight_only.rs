//! Weights alone as integers, behind DequantizeLinear or what else the target wants ([`super::storage`]); arithmetic stays in float.
//!
//! ```text
//! x ─► MatMul(W) ─► y        x ─► MatMul(DQ(W_q)) ─► y
//! ```

use super::apply::{Done, quantized_weight, shared_weight};
use super::n_bits;
use super::plan::{NodePlan, QuantPlan, WeightPlan};
use crate::error::Result;
use crate::ir::GraphEdit;
use crate::ops::{self, QuantRule};

/// Writes `node`; in the order of the table that it is `tied` to, where it is.
pub(super) fn node(
    edit: &mut GraphEdit,
    plan: &QuantPlan,
    node: &NodePlan,
    (w, tied): (&WeightPlan, bool),
    done: &mut Done,
) -> Result<()> {
    let lost = || node.lost();
    let Some(QuantRule::Weighted { weight, .. }) = ops::of(edit.node(node.id)).map(|op| op.quant) else {
        return Err(lost());
    };
    let value = edit.node(node.id).input(weight).ok_or_else(lost)?;
    let preset = plan.options.preset()?;
    let rank = edit.constant(value).ok_or_else(lost)?.rank();
    if (tied || n_bits::fits(edit.node(node.id), w, rank, preset)) && !plan.passing {
        let q = quantized_weight(edit, plan, value, w, None)?;
        return n_bits::node(edit, preset, node, w, &q);
    }
    let stored = shared_weight(edit, plan, node, (value, w), done)?;
    let dq = stored.floats(edit, stored.place(edit, node.id), w);
    edit.set_input(node.id, weight, Some(dq));
    Ok(())
}
