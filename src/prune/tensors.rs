//! The weights that may go: constants that a contraction sums over, each once, in graph order.

use std::collections::BTreeSet;

use regex::Regex;

use super::mask;
use super::options::PruneOptions;
use super::plan::TensorPlan;
use crate::error::{Error, Result};
use crate::ir::{Model, NodeId};
use crate::ops::{self, QuantRule};

/// All of them, with the reason for those that keep their weights.
pub(super) fn listed(model: &Model, options: &PruneOptions) -> Result<Vec<TensorPlan>> {
    let exclude: Vec<Regex> = options.exclude.iter().map(|p| regex(p)).collect::<Result<_>>()?;
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    for id in model.all_nodes() {
        let node = model.node(id);
        let Some(QuantRule::Weighted { weight, channel_axis, .. }) = ops::of(node).map(|op| op.quant) else { continue };
        let Some(value) = node.input(weight) else { continue };
        let Some(t) = model.constant(value) else { continue };
        if t.rank() < 2 || !seen.insert(value) {
            continue;
        }
        // The summed axis is the other one of the first (convolution) or last (product) two.
        let channel = channel_axis(node, t.rank());
        let axis = if channel == 0 { 1 } else { channel - 1 };
        let label = model.node_label(id);
        let kept = match exclude.iter().find(|r| r.is_match(label)) {
            Some(r) => Some(format!("--exclude {r}")),
            None if !t.dtype().is_float() => Some(format!("its weight is {}", t.dtype())),
            None => mask::refuses(options.pattern, t.shape(), (channel, axis)),
        };
        list.push(TensorPlan {
            node: label.to_string(),
            op_type: node.op_type.clone(),
            tensor: model.name(value).to_string(),
            shape: t.shape().to_vec(),
            zeros: 0,
            kept,
            id,
            value,
            axis,
            channel,
            mask: Vec::new(),
            fresh: None,
        });
    }
    // Nothing is left unchanged in silence.
    if list.iter().all(|t| t.kept.is_some()) {
        let why = list.iter().find_map(|t| Some(format!("{}: {}", t.node, t.kept.as_ref()?)));
        let why = why.unwrap_or_else(|| without_weights(model));
        return Err(Error::input(format!("the model has no weights to prune; {why}")));
    }
    Ok(list)
}

/// Why a model has no weight that is float.
pub(super) fn without_weights(model: &Model) -> String {
    let integers = |id: &NodeId| {
        let mut read = model.node(*id).inputs().iter().flatten().filter_map(|v| model.constant(*v));
        read.find(|t| t.rank() > 1 && t.dtype().is_quantized()).map(|t| (*id, t.dtype()))
    };
    match model.all_nodes().iter().find_map(integers) {
        Some((id, dtype)) => format!("the weights of {} are {dtype}: quantized already", model.describe(id)),
        None => "it has no convolution and no product with a constant weight".into(),
    }
}

fn regex(pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|e| Error::usage(format!("--exclude \"{pattern}\" is no regular expression: {e}")))
}
