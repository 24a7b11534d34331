//! Graphs inside nodes moved into the graph around them: branches that are decided, functions of the model, short loops.

mod branches;
mod copy;
mod functions;
mod invariants;
mod loops;

pub use branches::inline_branches;
pub use functions::inline_functions;

use super::{Pass, PassReport};
use crate::ir::{GraphEdit, Model, NewNode, NodeId, Place, ValueId};

pub(super) const FUNCTIONS: Pass = Pass {
    name: "inline-functions",
    summary: "put the bodies of the model's functions where they are called",
    run: |edit| Ok(PassReport::applied(inline_functions(edit)?)),
    exact: true,
};

pub(super) const BRANCHES: Pass = Pass {
    name: "inline-branches",
    summary: "replace an If whose condition is constant by the branch that it takes",
    run: |edit| Ok(PassReport::applied(inline_branches(edit)?)),
    exact: true,
};

pub(super) const INVARIANTS: Pass = Pass {
    name: "lift-loop-invariants",
    summary: "read from around a Loop what it hands on unchanged from turn to turn",
    run: invariants::lift_invariants,
    exact: true,
};

pub(super) const LOOPS: Pass = Pass {
    name: "inline-loops",
    summary: "write the turns of a Loop out where there are few and their number is constant",
    run: loops::inline_loops,
    exact: true,
};

/// What `value` is behind any Identity; `None` where one reads nothing.
fn unwrapped(model: &Model, mut value: ValueId) -> Option<ValueId> {
    while let Some(step) = model.producer(value).filter(|s| model.node(*s).is("Identity")) {
        value = model.node(step).input(0)?;
    }
    Some(value)
}

/// Readers of an output of `node` read `value`; a graph output that `value` cannot be is made by an Identity.
fn hand_over(edit: &mut GraphEdit, node: NodeId, output: usize, value: ValueId) {
    let Some(old) = edit.node(node).output(output) else { return };
    if edit.uses(old).is_empty() || edit.replace_uses(old, value).is_ok() {
        return;
    }
    let label = edit.node_label(node).to_string();
    edit.detach_output(node, output);
    edit.insert(Place::Before(node), NewNode::new("Identity").name(label).input(value).output_into(old));
}
