//! A reduction of a reduction of the same kind is one over the axes of both.
//!
//! ```text
//! max over w of (max over h of x) = max over h, w of x        sums, products and means likewise
//!
//! x ─► ReduceMax(3) ─► ReduceMax(2) ─► y                      x ─► ReduceMax(2, 3) ─► y
//! ```
//!
//! Both must keep their axes or both drop them, and the rank must be known. A mean of means counts every element alike
//! because the groups are equally large; it and the sums round in another order.
//!
//! Refuses when the value in between has another reader or is a graph output.

use crate::error::Result;
use crate::ir::{GraphEdit, NodeId};
use crate::passes::support::{is_float, producer_of, read_elsewhere, reduced_axes, set_ints};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new("merge-reductions", "join consecutive reductions of one kind", run);

const REDUCTIONS: &[&str] = &["ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceMean"];

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, REDUCTIONS, |edit, node| Ok(merge(edit, node)))
}

fn merge(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let kind = edit.node(node).op_type.clone();
    let Some(before) = producer_of(edit, node, 0, &[&kind]) else { return Outcome::NoMatch };
    let (Some(x), Some(between)) = (edit.node(before).input(0), edit.node(before).output(0)) else {
        return Outcome::NoMatch;
    };
    let keeps = |n: NodeId| edit.node(n).int_or("keepdims", 1) != 0;
    if keeps(before) != keeps(node) || (kind == "ReduceMean" && !is_float(edit, x)) {
        return Outcome::NoMatch;
    }
    let Some(rank) = edit.tensor_type(x).rank() else { return Outcome::NoMatch };
    let Some(first) = reduced_axes(edit, before, rank) else { return Outcome::NoMatch };
    // Where each axis that the second one sees stands in x.
    let seen: Vec<usize> = (0..rank).filter(|i| keeps(node) || !first.contains(i)).collect();
    let Some(second) = reduced_axes(edit, node, seen.len()) else { return Outcome::NoMatch };
    if let Some(reason) = read_elsewhere(edit, between) {
        return Outcome::Refused(reason);
    }
    let mut joint: Vec<i64> = first.iter().copied().chain(second.iter().map(|i| seen[*i])).map(|i| i as i64).collect();
    joint.sort_unstable();
    joint.dedup();
    edit.set_input(node, 0, Some(x));
    set_ints(edit, node, "axes", (1, if kind == "ReduceSum" { 13 } else { 18 }), joint);
    edit.remove_node(before);
    Outcome::Applied
}
