//! A node that computes what an earlier one has computed is dropped.
//!
//! ```text
//! x ─► Shape ─► a        x ─► Shape ─► a
//! x ─► Shape ─► b                   └─► b's readers
//! ```
//!
//! Same operator, attributes and inputs, or shapes (or parts of them) that hold the same sizes however they were
//! computed; the earlier node may stand in an enclosing graph. Only operators
//! whose definition says that equal inputs give equal outputs: not random numbers, not those of unknown domains, not
//! Dropout, and none that holds a subgraph. Refuses when the output is a graph output and so is the earlier one.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::analysis::{self, Values};
use crate::error::Result;
use crate::ir::{Dim, GraphEdit, GraphId, NodeId};
use crate::ops;
use crate::passes::{Pass, PassReport, Refusal};

pub(in crate::passes) const PASS: Pass =
    Pass::new("common-subexpressions", "compute once what several nodes compute alike", run).exact();

/// Earlier nodes in scope, by a hash of what they compute.
type Seen = HashMap<u64, Vec<NodeId>>;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let mut report = PassReport::default();
    let values = analysis::infer(edit);
    let main = edit.main();
    walk(edit, main, &values, &mut Seen::new(), &mut report);
    Ok(report)
}

fn walk(edit: &mut GraphEdit, graph: GraphId, values: &Values, seen: &mut Seen, report: &mut PassReport) {
    let mut added = Vec::new();
    for id in edit.graph(graph).nodes().to_vec() {
        let nested: Vec<GraphId> = edit.node(id).subgraphs().map(|(_, g)| g).collect();
        for inner in &nested {
            walk(edit, *inner, values, seen, report);
        }
        if !nested.is_empty() || !is_deterministic(edit, id) {
            continue;
        }
        let keys = [Some(hash(edit, id)), sizes_hash(edit, id, values)];
        let among =
            |key: &u64| seen.get(key)?.iter().copied().find(|n| same(edit, *n, id) || same_sizes(edit, *n, id, values));
        let twin = keys.iter().flatten().find_map(among);
        match twin.map(|twin| replace(edit, id, twin)) {
            Some(Ok(())) => report.applied += 1,
            Some(Err(reason)) => report.refusals.push(Refusal {
                pass: PASS.name,
                node: edit.node_label(id).to_string(),
                op_type: edit.node(id).op_type.clone(),
                reason,
            }),
            None => {
                for key in keys.into_iter().flatten() {
                    seen.entry(key).or_default().push(id);
                    added.push((key, id));
                }
            }
        }
    }
    for (key, id) in added {
        if let Some(nodes) = seen.get_mut(&key) {
            nodes.retain(|n| *n != id);
        }
    }
}

fn is_deterministic(edit: &GraphEdit, id: NodeId) -> bool {
    ops::of(edit.node(id)).is_some_and(|op| op.pure)
}

fn hash(edit: &GraphEdit, id: NodeId) -> u64 {
    let node = edit.node(id);
    let mut hasher = DefaultHasher::new();
    (&node.op_type, node.domain(), node.inputs(), node.attrs().len()).hash(&mut hasher);
    hasher.finish()
}

/// The sizes that a node computes, where all have a number or a name.
fn sizes<'a>(edit: &GraphEdit, id: NodeId, values: &'a Values) -> Option<&'a [Dim]> {
    let [Some(output)] = edit.node(id).outputs() else { return None };
    values.get(*output).filter(|v| !v.contains(&Dim::Unknown))
}

fn sizes_hash(edit: &GraphEdit, id: NodeId, values: &Values) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    sizes(edit, id, values)?.hash(&mut hasher);
    Some(hasher.finish())
}

fn same_sizes(edit: &GraphEdit, a: NodeId, b: NodeId, values: &Values) -> bool {
    let known = sizes(edit, a, values).is_some() && sizes(edit, a, values) == sizes(edit, b, values);
    let ty = |id: NodeId| edit.node(id).output(0).map(|v| edit.tensor_type(v));
    known && ty(a) == ty(b) && ty(a).is_some_and(|t| t.dtype.is_some() && t.known_shape().is_some())
}

fn same(edit: &GraphEdit, a: NodeId, b: NodeId) -> bool {
    let (a, b) = (edit.node(a), edit.node(b));
    let equal_attrs = || {
        let matches = |x: &crate::ir::NamedAttr| b.attr(&x.name) == Some(&x.value);
        a.attrs().len() == b.attrs().len() && a.attrs().iter().all(matches)
    };
    // The earlier node must make every output that the later one makes.
    let outputs = b.outputs().iter().enumerate().all(|(i, v)| v.is_none() || a.output(i).is_some());
    a.op_type == b.op_type && a.domain() == b.domain() && a.inputs() == b.inputs() && outputs && equal_attrs()
}

/// Readers of the outputs of `node` read those of `twin`.
fn replace(edit: &mut GraphEdit, node: NodeId, twin: NodeId) -> Result<(), String> {
    let later = edit.node(node).outputs().to_vec();
    let pairs: Vec<_> =
        later.iter().enumerate().filter_map(|(i, v)| Some(((*v)?, edit.node(twin).output(i)?))).collect();
    for (old, new) in &pairs {
        edit.can_replace_uses(*old, *new)?;
    }
    for (old, new) in pairs {
        edit.replace_uses(old, new)?;
    }
    edit.remove_node(node);
    Ok(())
}
