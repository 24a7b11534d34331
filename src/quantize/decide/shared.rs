//! Weights that would be stored twice, as integers and as floats.

use std::collections::BTreeMap;

use crate::ir::{Model, NodeId, Use, ValueId};
use crate::ops;
use crate::quantize::plan::{Decision, NodePlan};

/// Leaves the weights that also a node reads which keeps floats: they would be stored twice.
pub(super) fn leave(model: &Model, nodes: &mut [NodePlan]) {
    let read = |n: &NodePlan| -> Vec<ValueId> {
        let rule = ops::of(model.node(n.id)).map(|op| op.quant);
        let inputs = rule.filter(|_| n.is_quantized()).map(|rule| rule.weights()).unwrap_or_default();
        inputs.into_iter().filter_map(|i| model.node(n.id).input(i)).collect()
    };
    let smaller: BTreeMap<NodeId, Vec<ValueId>> = nodes.iter().map(|n| (n.id, read(n))).collect();
    let keeps = |v: &ValueId| {
        model.uses(*v).iter().find_map(|u| match u {
            Use::Node { node, .. } => (!smaller.get(node).is_some_and(|all| all.contains(v))).then_some(*node),
            Use::Output { .. } => None,
        })
    };
    for node in nodes {
        if let Some(other) = smaller[&node.id].iter().find_map(keeps) {
            let reason = format!("{} reads its weight, too, and keeps it as it is", model.describe(other));
            node.decision = Decision::Keep { reason };
        }
    }
}
