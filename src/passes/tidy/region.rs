//! Nodes that depend on constants alone, folded together where that does not make the file larger.
//!
//! ```text
//! W ─► Slice(0, a) ──┐
//! W ─► Slice(b, c) ──┼─► Concat ─► W' ─► LSTM                 LSTM(W'), and W is no more
//! W ─► Slice(a, b) ──┘
//! ```
//!
//! A region is a set of such nodes joined by the values that they hand on and by the large constants that they
//! share. What is read from outside becomes an initializer; what nothing else reads, constants included, goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fold_constants::{GROWTH, Rule, evaluate};
use crate::ir::{GraphEdit, Model, NodeId, Origin, Tensor, Use, ValueId};

/// Bytes that all results together may take, where four times the model's constants are less: a chain in which each is twice
/// the one before would else fill the memory.
const LEAST_ROOM: usize = 16 << 20;

/// Folds every region that pays; returns how many nodes went.
pub(super) fn fold(edit: &mut GraphEdit, rule: Rule) -> usize {
    let mut found = HashMap::new();
    let mut room = edit.weight_bytes().saturating_mul(4).max(LEAST_ROOM);
    let nodes: Vec<NodeId> =
        edit.all_nodes().into_iter().filter(|n| compute(edit, *n, rule, (&mut found, &mut room))).collect();
    let mut folded = 0;
    for region in regions(edit, &nodes) {
        if region.len() > 1 && pays(edit, &region, &found) {
            folded += region.len();
            replace(edit, &region, &mut found);
        }
    }
    folded
}

/// Adds the outputs of `node` to what was found, if its inputs are constant or found.
fn compute(
    model: &Model,
    node: NodeId,
    rule: Rule,
    (found, room): (&mut HashMap<ValueId, Tensor>, &mut usize),
) -> bool {
    let inputs = model.node(node).inputs().iter();
    let known = inputs.map(|v| v.map_or(Some(None), |v| Some(Some(model.constant(v).or_else(|| found.get(&v))?))));
    let Some(results) = known.collect::<Option<Vec<_>>>().and_then(|inputs| evaluate(model, node, &inputs, rule))
    else {
        return false;
    };
    let outputs = model.node(node).outputs();
    let bytes = results.iter().map(Tensor::byte_len).sum::<usize>();
    if results.len() < outputs.len() || bytes > *room {
        return false;
    }
    *room -= bytes;
    found.extend(outputs.iter().zip(results).filter_map(|(v, tensor)| Some(((*v)?, tensor))));
    true
}

/// The nodes grouped by the values between them and the large constants that they share, in execution order.
fn regions(model: &Model, nodes: &[NodeId]) -> Vec<BTreeSet<NodeId>> {
    let place: HashMap<NodeId, usize> = nodes.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    let mut parent: Vec<usize> = (0..nodes.len()).collect();
    let mut first_reader: HashMap<ValueId, NodeId> = HashMap::new();
    for (own, node) in nodes.iter().enumerate() {
        for value in model.node(*node).inputs().iter().flatten() {
            let large = model.constant(*value).is_some_and(|t| t.byte_len() > GROWTH);
            let other = match model.producer(*value) {
                Some(producer) => Some(producer),
                None if large => Some(*first_reader.entry(*value).or_insert(*node)),
                None => None,
            };
            if let Some(theirs) = other.and_then(|n| place.get(&n)) {
                let (a, b) = (root(&mut parent, own), root(&mut parent, *theirs));
                parent[a.max(b)] = a.min(b);
            }
        }
    }
    let mut regions: BTreeMap<usize, BTreeSet<NodeId>> = BTreeMap::new();
    for (i, node) in nodes.iter().enumerate() {
        regions.entry(root(&mut parent, i)).or_default().insert(*node);
    }
    regions.into_values().collect()
}

/// The one that stands for all of a group; paths are halved on the way.
fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

fn is_inside(region: &BTreeSet<NodeId>, place: &Use) -> bool {
    matches!(place, Use::Node { node, .. } if region.contains(node))
}

/// What is made in the region and read outside.
fn results(model: &Model, region: &BTreeSet<NodeId>) -> Vec<ValueId> {
    let made = region.iter().flat_map(|n| model.node(*n).outputs().iter().flatten().copied());
    made.filter(|v| model.uses(*v).iter().any(|u| !is_inside(region, u))).collect()
}

fn pays(model: &Model, region: &BTreeSet<NodeId>, found: &HashMap<ValueId, Tensor>) -> bool {
    let results = results(model, region);
    if results.iter().any(|v| model.is_output(*v)) {
        return false;
    }
    let added: usize = results.iter().filter_map(|v| found.get(v)).map(Tensor::byte_len).sum();
    let read: BTreeSet<ValueId> =
        region.iter().flat_map(|n| model.node(*n).inputs().iter().flatten().copied()).collect();
    let freed = read.into_iter().filter(|v| {
        let stored = matches!(model.value(*v).origin(), Origin::Initializer(_));
        stored && model.uses(*v).iter().all(|u| is_inside(region, u))
    });
    let freed: usize = freed.filter_map(|v| model.constant(v)).map(Tensor::byte_len).sum();
    added <= freed.saturating_add(GROWTH * region.len())
}

fn replace(edit: &mut GraphEdit, region: &BTreeSet<NodeId>, found: &mut HashMap<ValueId, Tensor>) {
    let results: Vec<_> = results(edit, region).into_iter().filter_map(|v| Some((v, edit.producer(v)?))).collect();
    let results: Vec<_> = results.into_iter().map(|(v, n)| (v, edit.node(n).graph())).collect();
    // Readers first, so that values between the nodes go with their makers.
    let order: Vec<NodeId> = edit.all_nodes().into_iter().filter(|n| region.contains(n)).collect();
    for node in order.into_iter().rev() {
        edit.remove_node(node);
    }
    for (value, graph) in results {
        if let Some(tensor) = found.remove(&value) {
            edit.attach_initializer(graph, value, tensor);
        }
    }
}
