//! The weights that may go: constants that a contraction or a recurrent layer sums over, each once, in graph order; then those that it reads
//! in another form.

use std::collections::BTreeSet;

use super::exclude::Exclude;
use super::mask;
use super::options::PruneOptions;
use super::plan::TensorPlan;
use crate::analysis::makes_angles;
use crate::error::{Error, Result};
use crate::ir::{DType, Function, Model, Node, NodeId, Tensor, Use, ValueId};
use crate::ops::{self, QuantRule};

/// All of them, with the reason for those that keep their weights.
pub(super) fn listed(model: &Model, options: &PruneOptions) -> Result<Vec<TensorPlan>> {
    let exclude = Exclude::of(options)?;
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    let (plain, hidden): (Vec<Weight>, Vec<Weight>) = weights(model).into_iter().partition(|w| w.hidden.is_none());
    for Weight { node: id, value, hidden } in plain.into_iter().chain(hidden) {
        let Some(t) = model.constant(value).or(model.value(value).initializer()) else { continue };
        if t.rank() < 2 || !seen.insert(value) {
            continue;
        }
        let node = model.node(id);
        let (channel, axis) = axes(node, t.rank());
        let kept = match exclude.constant(model, value).or(hidden) {
            Some(why) => Some(why),
            None if makes_angles(model, id) => Some("its products are angles (Sin, Cos)".into()),
            None if !t.dtype().is_float() => Some(format!("its weight is {}", t.dtype())),
            None => mask::refuses(options.pattern, &of_one_group(node, t.shape(), axis), (channel, axis)),
        };
        list.push(TensorPlan {
            node: model.node_label(id).to_string(),
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
    refuse_unchanged(model, &list)?;
    Ok(list)
}

/// The shape that one output sums over: a grouped ConvTranspose has the inputs of all groups along one axis.
fn of_one_group(node: &Node, shape: &[usize], axis: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if axis == 0 {
        shape[0] /= usize::try_from(node.int_or("group", 1)).unwrap_or(1).max(1);
    }
    shape
}

/// The axis of the outputs and that which is summed over, of a weight of this rank.
fn axes(node: &Node, rank: usize) -> (usize, usize) {
    match ops::of(node).map(|op| op.quant) {
        // The other one of the first (convolution) or last (product) two.
        Some(QuantRule::Weighted { channel_axis, .. }) => match channel_axis(node, rank) {
            0 => (0, 1),
            channel => (channel, channel - 1),
        },
        // [directions, gates, inputs]
        Some(QuantRule::Recurrent { .. }) if rank == 3 => (1, 2),
        _ => (0, 1),
    }
}

/// Nothing is left unchanged in silence.
///
/// # Errors
/// Input, where all of `list` keep their weights, with the first reason.
pub(super) fn refuse_unchanged(model: &Model, list: &[TensorPlan]) -> Result<()> {
    if list.iter().any(|t| t.kept.is_none()) {
        return Ok(());
    }
    let why = list.iter().find_map(|t| Some(format!("{}: {}", t.node, t.kept.as_ref()?)));
    let why = why.unwrap_or_else(|| without_weights(model));
    Err(Error::input(format!("the model has no weights to prune; {why}")))
}

/// A constant that a contraction has for its weight.
struct Weight {
    /// The contraction, or the call of the function that it is inside.
    node: NodeId,
    value: ValueId,
    /// Why it does not meet its contraction as it stands.
    hidden: Option<String>,
}

fn weights(model: &Model) -> Vec<Weight> {
    let mut found = Vec::new();
    for node in model.all_nodes() {
        let inputs = model.node(node).inputs();
        if let Some(f) = model.functions().iter().find(|f| calls(model.node(node), f)) {
            let read = inputs.iter().flatten().filter(|v| model.constant(**v).is_some_and(|t| t.dtype().is_float()));
            let hidden = || Some(format!("it is read inside function \"{}\": {INLINE}", f.name));
            found.extend(read.map(|value| Weight { node, value: *value, hidden: hidden() }));
        }
        found.extend(weight_of(model, node));
        found.extend(others(model, node));
    }
    for f in model.functions() {
        for node in model.graphs_under(f.body).into_iter().flat_map(|g| model.graph(g).nodes()) {
            let hidden = Some(format!("it is inside function \"{}\": {INLINE}", f.name));
            found.extend(weight_of(model, *node).map(|w| Weight { hidden, ..w }));
        }
    }
    found
}

fn calls(node: &Node, f: &Function) -> bool {
    (f.name.as_str(), f.domain.as_str()) == (node.op_type.as_str(), node.domain())
}

/// Values that a weight is made of, at most.
const MADE_OF: usize = 64;
const FREEZE: &str = "simplify --only freeze-inputs makes it constant";
const INLINE: &str = "simplify --only inline-functions takes it out";

/// The weight of a contraction: its constant, or that of which other nodes make it.
fn weight_of(model: &Model, node: NodeId) -> Option<Weight> {
    let Some(QuantRule::Weighted { weight, .. }) = ops::of(model.node(node)).map(|op| op.quant) else { return None };
    let mut value = model.node(node).input(weight)?;
    if model.constant(value).is_none() && model.value(value).initializer().is_some() {
        return Some(Weight { node, value, hidden: Some(format!("it is an input with a default: {FREEZE}")) });
    }
    let mut between = None;
    while model.constant(value).is_none() {
        let maker = model.producer(value)?;
        let [Some(first), others @ ..] = model.node(maker).inputs() else { return None };
        if !others.iter().flatten().all(|v| model.constant(*v).is_some()) {
            let value = largest_of(model, value)?;
            let hidden = Some(format!("{} makes another of it: simplify may compute that", model.describe(maker)));
            return Some(Weight { node, value, hidden });
        }
        between = between.or(Some(maker));
        value = *first;
    }
    let dtype = model.constant(value)?.dtype();
    let hidden = between.map(|n| match dtype {
        _ if !dtype.is_float() => format!("it is {dtype}, read through {}", model.describe(n)),
        // Twice as large, which only the user can want.
        DType::F16 | DType::BF16 if model.node(n).is("Cast") => {
            format!(
                "it is {dtype}, read through {}: simplify --only fold-weight-casts makes one constant of them",
                model.describe(n)
            )
        }
        // What a table is looked up in, for example.
        _ => match model.uses(value).iter().find_map(|u| other_reader(u, n)) {
            Some(other) => format!("it is read through {}, and by {}, too", model.describe(n), model.describe(other)),
            None => format!("it is read through {}: simplify may make one constant of them", model.describe(n)),
        },
    });
    Some(Weight { node, value, hidden })
}

/// The largest of the constants that a value is made of; `None` where it depends on an input, or is made of none.
fn largest_of(model: &Model, value: ValueId) -> Option<ValueId> {
    let (mut open, mut seen, mut constants) = (vec![value], BTreeSet::new(), Vec::new());
    while let Some(v) = open.pop() {
        if !seen.insert(v) {
            continue;
        }
        if seen.len() > MADE_OF {
            return None;
        }
        match (model.constant(v), model.producer(v)) {
            (Some(t), _) => constants.push((t.byte_len(), v)),
            (None, Some(maker)) => open.extend(model.node(maker).inputs().iter().flatten()),
            (None, None) => return None,
        }
    }
    constants.into_iter().max().map(|(_, v)| v)
}

fn other_reader(of: &Use, node: NodeId) -> Option<NodeId> {
    match of {
        Use::Node { node: other, .. } => Some(*other).filter(|other| *other != node),
        Use::Output { .. } => None,
    }
}

/// What else a node multiplies by: matrices of gates, and a constant on the left.
fn others(model: &Model, node: NodeId) -> Vec<Weight> {
    let inputs = model.node(node).inputs();
    let constant = |i: usize| inputs.get(i).copied().flatten().filter(|v| model.constant(*v).is_some_and(is_float));
    match ops::of(model.node(node)).map(|op| op.quant) {
        Some(QuantRule::Recurrent { weights }) => {
            let gates = weights.into_iter().filter_map(constant);
            gates.map(|value| Weight { node, value, hidden: None }).collect()
        }
        Some(QuantRule::Weighted { input, both_activations: true, .. }) => {
            let left = constant(input);
            let hidden = || Some("it is the left operand of the product: only right ones are pruned".to_string());
            left.map(|value| Weight { node, value, hidden: hidden() }).into_iter().collect()
        }
        Some(QuantRule::Contracts(_)) => {
            let hidden = || Some("it meets no convolution and no product of matrices".to_string());
            (0..inputs.len()).filter_map(constant).map(|value| Weight { node, value, hidden: hidden() }).collect()
        }
        _ => Vec::new(),
    }
}

fn is_float(t: &Tensor) -> bool {
    t.dtype().is_float()
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
