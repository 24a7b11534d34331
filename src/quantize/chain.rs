//! How values hang together between quantized operators: what belongs to a contraction, what keeps a scale, what is made of integers.

use std::collections::BTreeMap;

use super::plan::ActivationPlan;
use crate::ir::{Model, Node, ValueId};
use crate::ops::{self, QuantRule};
use crate::target::Preset;

/// Values that become integers.
pub(super) type Activations = BTreeMap<ValueId, ActivationPlan>;

/// Whether a node only cuts values off at constant bounds, as Relu and Clip do.
pub(super) fn clamps(node: &Node) -> bool {
    matches!(ops::of(node).map(|op| op.quant), Some(QuantRule::PassThrough { clamp: Some(_), .. }))
}

/// The value behind a Relu or Clip that alone reads `v`; else `v`.
pub(super) fn settled(model: &Model, v: ValueId) -> ValueId {
    let clamp = model.single_reader(v).filter(|n| clamps(model.node(*n)));
    clamp.and_then(|n| model.node(n).output(0)).unwrap_or(v)
}

/// The value whose elements `v` holds in another arrangement; `v` itself where it is computed.
pub(super) fn rearranged_from(model: &Model, v: ValueId) -> ValueId {
    let before = |v: &ValueId| {
        let node = model.node(model.producer(*v)?);
        node.input(ops::of(node)?.quant.rearranged(node)?)
    };
    std::iter::successors(Some(v), before).last().unwrap_or(v)
}

/// Whether `v` comes out of integers: of a quantized contraction, or of arithmetic on such values.
pub(super) fn made_quantized(model: &Model, preset: &Preset, v: ValueId, activations: &Activations) -> bool {
    let v = rearranged_from(model, v);
    if activations.get(&v).is_some_and(|a| a.all_readers) {
        return true;
    }
    let Some(producer) = model.producer(v) else { return false };
    let node = model.node(producer);
    match ops::of(node).map(|op| op.quant) {
        Some(QuantRule::PassThrough { clamp: Some(_), .. }) => {
            node.input(0).is_some_and(|x| made_quantized(model, preset, x, activations))
        }
        Some(QuantRule::Arithmetic) if preset.arithmetic.contains(&node.op_type.as_str()) => {
            let inputs = || node.inputs().iter().flatten();
            inputs().all(|x| activations.get(&rearranged_from(model, *x)).is_some_and(|a| a.all_readers))
        }
        _ => false,
    }
}
