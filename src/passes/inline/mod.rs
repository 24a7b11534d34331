//! Graphs inside nodes moved into the graph around them: branches that are decided, functions of the model, short loops.

pub(super) mod branches;
mod copy;
pub(super) mod functions;
pub(super) mod invariants;
pub(super) mod loops;

pub use branches::inline_branches;
pub use functions::inline_functions;

use crate::ir::{GraphEdit, Model, NewNode, NodeId, Place, ValueId};

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
