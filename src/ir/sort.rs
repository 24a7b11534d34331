//! Execution order of a graph: stable, and aware of what subgraphs capture.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::model::{GraphId, Model, NodeId, ValueId};

/// The nodes of `graph` so that producers come before readers, in the present order where possible
/// (Kahn's algorithm, smallest present position first). A node also reads what its subgraphs capture.
/// `Err` holds the nodes of a cycle and those behind it.
pub fn execution_order(model: &Model, graph: GraphId) -> Result<Vec<NodeId>, Vec<NodeId>> {
    let nodes = model.graph(graph).nodes();
    let place: HashMap<NodeId, usize> = nodes.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    let mut waits = vec![0usize; nodes.len()];
    let mut feeds: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (i, n) in nodes.iter().enumerate() {
        for value in reads(model, *n) {
            if let Some(p) = model.producer(value).and_then(|p| place.get(&p)) {
                waits[i] += 1;
                feeds[*p].push(i);
            }
        }
    }
    let mut ready: BinaryHeap<_> = (0..nodes.len()).filter(|i| waits[*i] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(i)) = ready.pop() {
        order.push(nodes[i]);
        for f in &feeds[i] {
            waits[*f] -= 1;
            if waits[*f] == 0 {
                ready.push(Reverse(*f));
            }
        }
    }
    if order.len() == nodes.len() {
        Ok(order)
    } else {
        Err((0..nodes.len()).filter(|i| waits[*i] > 0).map(|i| nodes[i]).collect())
    }
}

/// What a node reads: its inputs, and the outer values that its subgraphs capture.
pub fn reads(model: &Model, node: NodeId) -> Vec<ValueId> {
    let n = model.node(node);
    let mut values: Vec<ValueId> = n.inputs().iter().flatten().copied().collect();
    for (_, g) in n.subgraphs() {
        values.extend(model.captures(g));
    }
    values
}
