//! Which channels must go together: the dependency graph of structured pruning, from the rules of [`crate::ops::channels`].
//!
//! ```text
//! every position of every axis of every value is a point        a coupling joins two points        a channel is what hangs together
//!
//! Conv₁ ─► y₁ ─► Relu ─► r ─► Conv₂      channel c:  W₁[c], b₁[c], y₁[·, c], r[·, c], W₂[·, c]
//! y₁ + y₃ ─► Add                          joins channel c of Conv₁ with channel c of Conv₃
//! ```
//!
//! Points that must stay carry a reason, and their whole channel with them: those of the model's inputs and outputs, of axes that an
//! operator sums over, normalizes or has no rule for, and of what is read inside a subgraph. Channels that share an axis form a group.
//! (Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, joins layers; here single positions are joined, so that concat,
//! split, flatten and attention heads need no case of their own.)

mod points;

use std::collections::{BTreeMap, BTreeSet};

use points::Points;

use crate::ir::{GraphEdit, Model, NodeId, Origin, Shape, Tensor, Use, ValueId};
use crate::ops::channels::{Coupling, Operands, Port};
use crate::ops::{self, ChannelRule, QuantRule};

/// Channels that share axes: they are scored against each other, and each can go alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The first node that makes its channels.
    pub name: String,
    /// The axes that lose a position for each channel that goes.
    pub members: Vec<Member>,
    /// One for each channel: why it must stay.
    pub stays: Vec<Option<String>>,
}

/// An axis of a value: which channel of the group each of its positions belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Whose axis it is.
    pub value: ValueId,
    /// Counted from the front.
    pub axis: usize,
    /// One for each position.
    pub channels: Vec<usize>,
    /// Positions that it has at least, whatever goes.
    pub least: usize,
}

impl Group {
    /// Numbers of the channels that can go.
    pub fn free(&self) -> Vec<usize> {
        (0..self.stays.len()).filter(|c| self.stays[*c].is_none()).collect()
    }

    /// Positions of the member that has the most, and those of them that are `gone`, one for each channel.
    pub fn widest(&self, gone: &[bool]) -> (usize, usize) {
        let widest = self.members.iter().max_by_key(|m| m.channels.len());
        widest.map_or((0, 0), |m| (m.channels.len(), m.channels.iter().filter(|c| gone[**c]).count()))
    }

    /// Why none of its channels can go.
    pub fn refusal(&self) -> Option<&str> {
        if self.stays.iter().all(Option::is_some) { self.stays.first()?.as_deref() } else { None }
    }

    /// The member for this axis of a value, if it is in the group.
    pub fn member(&self, value: ValueId, axis: usize) -> Option<&Member> {
        self.members.iter().find(|m| m.value == value && m.axis == axis)
    }
}

/// The groups of the main graph that reach the weight of a contraction, in the order in which the graph makes them.
///
/// Sizes that are not known are never cut: infer shapes first ([`super::infer`]).
pub fn groups(model: &Model) -> Vec<Group> {
    let mut points = Points::default();
    ends(model, &mut points);
    for node in model.graph(model.main()).nodes() {
        visit(model, *node, &mut points);
    }
    collect(model, points)
}

/// What the outside of the main graph's nodes sees keeps its shape.
fn ends(model: &Model, points: &mut Points) {
    let graph = model.graph(model.main());
    for v in graph.inputs().iter().filter(|v| model.constant(**v).is_none()) {
        points.fix_all(model, *v, || format!("{} is an input of the model", model.name(*v)));
    }
    for v in graph.outputs() {
        points.fix_all(model, *v, || format!("{} is an output of the model", model.name(*v)));
    }
    for v in graph.initializers().iter().chain(graph.sparse_initializers()).filter(|v| model.constant(**v).is_none()) {
        points.fix_all(model, *v, || format!("{} is no dense constant", model.name(*v)));
    }
    let nested = graph.nodes().iter().flat_map(|n| model.node(*n).subgraphs().map(|(_, g)| g));
    for v in nested.flat_map(|g| model.captures(g)).collect::<BTreeSet<_>>() {
        points.fix_all(model, v, || format!("{} is read inside a subgraph", model.name(v)));
    }
}

/// The operands of a node, for the rules.
pub(crate) fn operands(model: &Model, id: NodeId) -> Operands<'_> {
    let node = model.node(id);
    let shape = |v: &Option<ValueId>| -> Option<Shape> { super::shape_of(model, (*v)?) };
    Operands {
        model,
        node,
        inputs: node.inputs().iter().map(shape).collect(),
        outputs: node.outputs().iter().map(shape).collect(),
    }
}

/// The value at a port of a node.
pub(crate) fn value_at(model: &Model, node: NodeId, port: Port) -> Option<ValueId> {
    match port {
        Port::Input(i) => model.node(node).input(i),
        Port::Output(i) => model.node(node).output(i),
    }
}

fn visit(model: &Model, id: NodeId, points: &mut Points) {
    let node = model.node(id);
    if node.outputs().iter().flatten().all(|v| model.constant(*v).is_some()) {
        return;
    }
    let operands = operands(model, id);
    let rule = ops::of(node).and_then(|op| op.channels).filter(|_| node.subgraphs().next().is_none());
    let couplings = rule.map_or_else(Vec::new, |rule| (rule.couple)(&operands));
    let mut mentioned = BTreeSet::new();
    for Coupling { axis, with, map } in couplings {
        let at = |(port, axis)| value_at(model, id, port).map(|v| (v, axis));
        let (Some(a), Some(b)) = (at(axis), at(with)) else { continue };
        mentioned.extend([axis, with]);
        points.join(model, a, b, map, |why| format!("{}: {why}", model.describe(id)));
    }
    let ports = (0..node.inputs().len()).map(Port::Input).chain((0..node.outputs().len()).map(Port::Output));
    for port in ports {
        let Some(value) = value_at(model, id, port) else { continue };
        for axis in 0..operands.rank(port).unwrap_or(0) {
            if !mentioned.contains(&(port, axis)) {
                points.fix(model, (value, axis), || reason(model, id, rule.as_ref()));
            }
        }
    }
}

fn reason(model: &Model, id: NodeId, rule: Option<&ChannelRule>) -> String {
    match rule {
        Some(rule) => format!("{} {}", model.describe(id), rule.fixed),
        None => format!("{}: no rule says how channels pass through it", model.describe(id)),
    }
}

/// Groups from the joined points.
fn collect(model: &Model, mut points: Points) -> Vec<Group> {
    let axes = points.axes();
    let mut by_root: BTreeMap<usize, usize> = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::new();
    let group_of = points.groups(&axes);
    let mut numbers: Vec<BTreeMap<usize, usize>> = Vec::new();
    for ((value, axis, base, size), group) in axes.iter().copied().zip(group_of) {
        let g = *by_root.entry(group).or_insert_with(|| {
            groups.push(Group { name: String::new(), members: Vec::new(), stays: Vec::new() });
            numbers.push(BTreeMap::new());
            groups.len() - 1
        });
        let channels = (base..base + size).map(|point| {
            let root = points.root(point);
            let next = numbers[g].len();
            let number = *numbers[g].entry(root).or_insert(next);
            if number == next {
                groups[g].stays.push(points.reason(root).map(str::to_string));
            }
            number
        });
        let channels = channels.collect();
        groups[g].members.push(Member { value, axis, channels, least: 1 });
    }
    for group in &mut groups {
        let makers = producers(model, group);
        group.name = makers.first().map(|r| model.node_label(r.node).to_string()).unwrap_or_default();
        for r in makers {
            if matches!(ops::of(model.node(r.node)).map(|op| op.quant), Some(QuantRule::Recurrent { .. })) {
                group.members[r.member].least = LEAST_UNITS;
            }
        }
    }
    groups.retain(|g| !g.name.is_empty());
    groups
}

/// A contraction or recurrent layer with a constant weight, and the member of a group that is an axis of that weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// The layer.
    pub node: NodeId,
    /// Its weight.
    pub weight: ValueId,
    /// Which member of the group.
    pub member: usize,
}

/// The contractions and recurrent layers that sum over the channels of the group, in graph order.
pub fn consumers(model: &Model, group: &Group) -> Vec<Reader> {
    let summed = |channel: usize| if channel == 0 { 1 } else { channel - 1 };
    readers(model, group, summed, &[RECURRENT_INPUT, RECURRENT_STATE])
}

/// The contractions and recurrent layers whose output channels they are.
pub fn producers(model: &Model, group: &Group) -> Vec<Reader> {
    readers(model, group, |channel| channel, &[RECURRENT_STATE])
}

/// Units that a recurrent layer keeps: tract 0.23.9 cannot load some layers of a single one.
const LEAST_UNITS: usize = 2;

/// Inputs of a recurrent layer and the axes over which it sums: that of what it reads, and that of its hidden units.
const RECURRENT_INPUT: (usize, usize) = (1, 2);
const RECURRENT_STATE: (usize, usize) = (2, 2);

/// Those of which the axis that `which` makes of the weight's channel axis is a member, or one of those of `recurrent`.
fn readers(model: &Model, group: &Group, which: fn(usize) -> usize, recurrent: &[(usize, usize)]) -> Vec<Reader> {
    let mut found = Vec::new();
    for (member, m) in group.members.iter().enumerate() {
        let Some(rank) = model.constant(m.value).map(Tensor::rank) else { continue };
        for u in model.uses(m.value) {
            let Use::Node { node, input } = u else { continue };
            let reads = match ops::of(model.node(*node)).map(|op| op.quant) {
                Some(QuantRule::Weighted { weight, channel_axis, .. }) => {
                    *input == weight && rank > 1 && which(channel_axis(model.node(*node), rank)) == m.axis
                }
                Some(QuantRule::Recurrent { .. }) => recurrent.contains(&(*input, m.axis)),
                _ => false,
            };
            if reads {
                found.push(Reader { node: *node, weight: m.value, member });
            }
        }
    }
    found.sort_by_key(|r| model.graph(model.main()).nodes().iter().position(|n| *n == r.node));
    found
}

/// Gives every reader of a small constant a copy of its own: one that equal biases of two layers share would tie their channels.
/// How many were added.
pub fn unshare(edit: &mut GraphEdit) -> usize {
    const SMALL: usize = 1 << 16;
    let main = edit.main();
    let mut added = 0;
    for value in edit.graph(main).initializers().to_vec() {
        let one_axis = |t: &Tensor| t.shape().iter().filter(|n| **n != 1).count() <= 1;
        let small = |t: &&Tensor| t.dtype().is_float() && one_axis(t) && t.byte_len() <= SMALL;
        let own = matches!(edit.value(value).origin(), Origin::Initializer(_));
        let Some(tensor) = edit.constant(value).filter(small).filter(|_| own).cloned() else { continue };
        for u in edit.uses(value).to_vec().into_iter().skip(1) {
            if let Use::Node { node, input } = u {
                let hint = edit.name(value).to_string();
                let copy = edit.add_initializer(main, &hint, tensor.clone());
                edit.set_input(node, input, Some(copy));
                added += 1;
            }
        }
    }
    added
}
