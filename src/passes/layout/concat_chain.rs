//! A Concat of a Concat along the same axis is one Concat.
//!
//! ```text
//! a, b ─► Concat ─► Concat(·, c) ─► y        a, b, c ─► Concat ─► y
//! ```
//!
//! Refuses when the inner result has another reader or is a graph output: it would be written twice.

use crate::error::Result;
use crate::ir::{GraphEdit, NodeId};
use crate::passes::support::{producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new("merge-concats", "join nested Concats of one axis", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Concat"], |edit, node| Ok(merge(edit, node)))
}

fn merge(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let axis = |edit: &GraphEdit, n: NodeId| {
        let axis = edit.node(n).int_or("axis", 1);
        let rank = || edit.tensor_type(edit.node(n).output(0)?).rank();
        if axis >= 0 { Some(axis) } else { rank().map(|r| axis + r as i64) }
    };
    let same_axis = |edit: &GraphEdit, inner: NodeId| {
        let literal = |n: NodeId| edit.node(n).int_or("axis", 1);
        literal(inner) == literal(node) || axis(edit, inner).is_some_and(|a| axis(edit, node) == Some(a))
    };
    let mut refused = None;
    for index in 0..edit.node(node).inputs().len() {
        let Some(inner) = producer_of(edit, node, index, &["Concat"]).filter(|i| same_axis(edit, *i)) else { continue };
        let Some(joined) = edit.node(inner).output(0) else { continue };
        if let Some(reason) = read_elsewhere(edit, joined) {
            refused = Some(reason);
            continue;
        }
        let mut inputs = edit.node(node).inputs().to_vec();
        inputs.splice(index..=index, edit.node(inner).inputs().to_vec());
        edit.set_inputs(node, &inputs);
        edit.remove_node(inner);
        return Outcome::Applied;
    }
    refused.map_or(Outcome::NoMatch, Outcome::Refused)
}
