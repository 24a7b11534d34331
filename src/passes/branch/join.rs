//! Two If nodes on one condition become one with the outputs of both.
//!
//! ```text
//! c ─► If { a } else { b } ─► y                 c ─► If { a, d } else { b, e } ─► y, z
//! c ─► If { d } else { e } ─► z
//! ```
//!
//! The joint node stands where the first one stood. No match where the second reads, in its branches, what is made
//! after the first.

use std::collections::HashMap;

use super::branches;
use crate::error::Result;
use crate::ir::{GraphEdit, GraphId, Model, NodeId, ValueId};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass = Pass::new("join-branches", "join If nodes on one condition", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let mut joined = 0;
    // Joining takes graphs away, so the walk starts anew.
    while edit.graphs_under(edit.main()).into_iter().any(|graph| join_one(edit, graph)) {
        joined += 1;
    }
    Ok(PassReport::applied(joined))
}

fn join_one(edit: &mut GraphEdit, graph: GraphId) -> bool {
    let mut first_on: HashMap<ValueId, NodeId> = HashMap::new();
    let mut place: HashMap<NodeId, usize> = HashMap::new();
    for (i, node) in edit.graph(graph).nodes().to_vec().into_iter().enumerate() {
        place.insert(node, i);
        let (Some(inner), Some(condition)) = (branches(edit, node), edit.node(node).input(0)) else { continue };
        // All outputs named, so that those of both stand in line.
        let n = edit.node(node);
        if n.outputs().contains(&None) || inner.iter().any(|g| edit.graph(*g).outputs().len() != n.outputs().len()) {
            continue;
        }
        let first = *first_on.entry(condition).or_insert(node);
        if first != node && inner.iter().all(|g| made_before(edit, *g, graph, place[&first], &place)) {
            join(edit, first, node);
            return true;
        }
    }
    false
}

/// Whether all that `inner` reads of `graph` is made by nodes before number `limit`.
fn made_before(model: &Model, inner: GraphId, graph: GraphId, limit: usize, place: &HashMap<NodeId, usize>) -> bool {
    model
        .captures(inner)
        .into_iter()
        .filter_map(|v| model.producer(v))
        .all(|node| model.node(node).graph() != graph || place.get(&node).is_some_and(|at| *at < limit))
}

fn join(edit: &mut GraphEdit, first: NodeId, second: NodeId) {
    let (Some(into), Some(from)) = (branches(edit, first), branches(edit, second)) else { return };
    for (into, from) in into.into_iter().zip(from) {
        edit.append_graph(from, into);
    }
    let count = edit.node(first).outputs().len();
    for index in 0..edit.node(second).outputs().len() {
        if let Some(value) = edit.detach_output(second, index) {
            edit.attach_output(first, count + index, value);
        }
    }
    edit.remove_node(second);
}
