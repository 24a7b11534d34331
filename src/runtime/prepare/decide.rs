//! Conditions that the shapes of the inputs, or constants, decide.
//!
//! ```text
//! x ─► … ─► Shape ─► Gather ─► Equal(1) ─► If        with x's shape known, so is the condition
//! ```
//!
//! The part of the graph that conditions depend on is handed to `known`, which says what of it is constant;
//! decided branches are inlined, and what they bring in is looked at again until nothing is decided
//! any more. Conditions that depend on data, or on the outcome of such an If, stay.

use std::collections::HashSet;

use super::Known;
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId, Origin, ValueId};
use crate::passes::inline::inline_branches;

/// Inlines every If of the main graph that is decided; returns how many.
pub(super) fn inline_decided(edit: &mut GraphEdit, known: Known) -> Result<usize> {
    let mut inlined = inline_branches(edit)?;
    loop {
        let open = open_conditions(edit);
        if open.is_empty() || make_constant(edit, &open, known)? == 0 {
            return Ok(inlined);
        }
        inlined += inline_branches(edit)?;
    }
}

/// The Ifs of the main graph with their conditions, without those that wait for another If.
fn open_conditions(model: &Model) -> Vec<(NodeId, ValueId)> {
    let nodes = model.graph(model.main()).nodes().iter().filter(|n| model.node(**n).is("If"));
    let with = nodes.filter_map(|n| Some((*n, model.node(*n).input(0)?)));
    with.filter(|(_, condition)| model.constant(*condition).is_none() && !waits(model, *condition)).collect()
}

fn waits(model: &Model, value: ValueId) -> bool {
    let mut seen = HashSet::new();
    let mut next = vec![value];
    while let Some(value) = next.pop() {
        let Origin::Node { node, .. } = model.value(value).origin() else { continue };
        if model.node(node).is("If") {
            return true;
        }
        if seen.insert(node) {
            next.extend(model.node(node).inputs().iter().flatten());
        }
    }
    false
}

/// Gives every If whose condition turns out to be known that constant; returns how many.
fn make_constant(edit: &mut GraphEdit, open: &[(NodeId, ValueId)], known: Known) -> Result<usize> {
    let mut part = edit.model().clone();
    let mut cut = GraphEdit::new(&mut part);
    let main = cut.main();
    let mut conditions: Vec<ValueId> = Vec::new();
    for (_, condition) in open {
        if !conditions.contains(condition) {
            conditions.push(*condition);
        }
    }
    cut.keep_outputs(main, &conditions);
    cut.remove_unread_initializers(main);
    // A part that the runtime cannot read decides nothing; the whole model will say why.
    let values = known(&part).unwrap_or_default();
    let mut decided = 0;
    for (node, condition) in open {
        let at = conditions.iter().position(|c| c == condition);
        let Some(tensor) = at.and_then(|at| values.get(at).cloned().flatten()) else { continue };
        let hint = format!("{}_condition", edit.node_label(*node));
        let value = edit.add_initializer(main, &hint, tensor);
        edit.set_input(*node, 0, Some(value));
        decided += 1;
    }
    Ok(decided)
}

/// Drops the nodes and initializers of the main graph that no output needs.
pub(super) fn remove_unread(edit: &mut GraphEdit) {
    let main = edit.main();
    edit.remove_unread_nodes(main);
    edit.remove_unread_initializers(main);
}
