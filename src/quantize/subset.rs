//! A plan of which some nodes stay float after all, and what it computes.
//!
//! ```text
//! Conv₁ ─► y ─► Conv₂      both in integers: y becomes integers for every reader
//!                          Conv₁ in float:   y becomes integers for Conv₂ alone
//!                          Conv₂ in float:   y stays as Conv₁ gives it; where neither remains, y stays float
//! ```

use std::collections::BTreeMap;

use super::chain::{made_quantized, settled};
use super::compare::as_pressed;
use super::plan::{Decision, QuantPlan};
use super::{Format, apply, tied};
use crate::error::Result;
use crate::ir::{Model, NodeId};
use crate::ops::{self, QuantRule};

/// `plan` in which the nodes at these places of its list stay float, for the reasons given.
///
/// # Errors
/// Usage, where the plan's target does not exist.
pub fn without(model: &Model, plan: &QuantPlan, float: &BTreeMap<usize, String>) -> Result<QuantPlan> {
    let mut plan = plan.clone();
    for (i, reason) in float {
        if let Some(node) = plan.nodes.get_mut(*i) {
            node.decision = Decision::Keep { reason: reason.clone() };
        }
    }
    tied::leave(model, &mut plan.nodes);
    chain_up(model, &mut plan)?;
    Ok(plan)
}

/// Drops the values that no node reads or makes in integers, and says anew which are integers for every reader.
fn chain_up(model: &Model, plan: &mut QuantPlan) -> Result<()> {
    let preset = plan.options.preset()?;
    let mut values: BTreeMap<_, _> = plan.activations.drain(..).map(|a| (a.id, a)).collect();
    values.values_mut().for_each(|a| a.all_readers = false);
    let mut used = Vec::new();
    for node in &plan.nodes {
        let made = match &node.decision {
            Decision::Quantize { input: Some(_), output, .. } => output.is_some(),
            Decision::Product { a: Some(_), .. } => false,
            _ => continue,
        };
        let both = matches!(node.decision, Decision::Product { .. });
        for v in operands(model, node.id, both) {
            let all = made_quantized(model, preset, v, &values);
            values.entry(v).and_modify(|a| a.all_readers |= all);
            used.push(v);
        }
        if let Some(y) = model.node(node.id).output(0).filter(|_| made) {
            let y = settled(model, y);
            values.entry(y).and_modify(|a| a.all_readers = true);
            used.push(y);
        }
    }
    plan.activations = values.into_values().filter(|a| used.contains(&a.id)).collect();
    Ok(())
}

/// The activation that a contraction reads, or both of a product of two.
fn operands(model: &Model, id: NodeId, both: bool) -> Vec<crate::ir::ValueId> {
    let node = model.node(id);
    let Some(QuantRule::Weighted { input, weight, .. }) = ops::of(node).map(|op| op.quant) else { return Vec::new() };
    node.input(input).into_iter().chain(node.input(weight).filter(|_| both)).collect()
}

/// `model` with `plan` in it, in the form that is made ready to run soonest: of static forms and of weights alone the floats
/// that the integers stand for.
///
/// # Errors
/// As [`apply`].
pub fn stand_in(model: &Model, plan: &QuantPlan) -> Result<Model> {
    if plan.options.effective_format() != Format::Dynamic {
        return as_pressed(model, plan);
    }
    let mut model = model.clone();
    apply(&mut model, &QuantPlan { passing: true, ..plan.clone() })?;
    Ok(model)
}
