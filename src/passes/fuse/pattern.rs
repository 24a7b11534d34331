//! A pattern of several nodes that one node says.
//!
//! ```text
//! x ─► inner ─► … ─► last ─► y            x, constants ─► op ─► y
//! ```
//!
//! What the inner nodes make goes with them, so none of it may be read outside the pattern or be a graph output.

use crate::error::Result;
use crate::ir::{Attr, GraphEdit, Model, NewNode, NodeId, Place, Tensor, Use, ValueId};
use crate::passes::pass::for_each_from;
use crate::passes::{Outcome, PassReport, for_each};

pub(super) struct Pattern {
    /// All nodes but the last.
    pub inner: Vec<NodeId>,
    /// The node whose output stays.
    pub last: NodeId,
    pub op_type: &'static str,
    pub x: ValueId,
    /// Inputs after `x`, each with what its name ends in.
    pub constants: Vec<(&'static str, Tensor)>,
    pub attrs: Vec<(&'static str, Attr)>,
}

/// What is at a node: nothing, a pattern, or one that cannot be said in one node, for this reason.
pub(super) type Found = Option<Result<Pattern, String>>;

impl Pattern {
    /// Why the inner nodes cannot go.
    fn read_outside(&self, model: &Model) -> Option<String> {
        let inside = |u: &Use| matches!(u, Use::Node { node, .. } if *node == self.last || self.inner.contains(node));
        let made = self.inner.iter().flat_map(|n| model.node(*n).outputs().iter().flatten());
        made.into_iter().find_map(|v| match model.uses(*v).iter().find(|u| !inside(u))? {
            Use::Output { .. } => Some(format!("{} is a graph output", model.name(*v))),
            Use::Node { .. } => Some(format!("{} is read elsewhere", model.name(*v))),
        })
    }

    fn replace(self, edit: &mut GraphEdit) -> Outcome {
        if let Some(reason) = self.read_outside(edit) {
            return Outcome::Refused(reason);
        }
        let Some(y) = edit.node(self.last).output(0) else { return Outcome::NoMatch };
        let (label, graph) = (edit.node_label(self.last).to_string(), edit.node(self.last).graph());
        let (mut node, name) = (NewNode::new(self.op_type).input(self.x), edit.node(self.last).name.clone());
        for (what, tensor) in self.constants {
            node = node.input(edit.add_initializer(graph, &format!("{label}.{what}"), tensor));
        }
        for (name, value) in self.attrs {
            node = node.attr(name, value);
        }
        edit.detach_output(self.last, 0);
        let node = edit.insert(Place::Before(self.last), node.output_into(y));
        edit.remove_node(self.last);
        edit.rename_node(node, &name);
        // Readers before what they read.
        let mut left = self.inner;
        let unread =
            |edit: &GraphEdit, n: NodeId| edit.node(n).outputs().iter().flatten().all(|v| edit.uses(*v).is_empty());
        while let Some(at) = left.iter().position(|n| unread(edit, *n)) {
            edit.remove_node(left.swap_remove(at));
        }
        Outcome::Applied
    }
}

/// Replaces every pattern that `find` sees at a node of `op_types`; its operator is there since opset `since`, to which a model
/// with a pattern is raised.
pub(super) fn fuse_from(
    since: i64,
    edit: &mut GraphEdit,
    pass: &'static str,
    op_types: &[&str],
    find: fn(&Model, NodeId) -> Found,
) -> Result<PassReport> {
    let matches =
        |model: &Model, node| matches!(find(model, node), Some(Ok(pattern)) if pattern.read_outside(model).is_none());
    let report = for_each_from(since, edit, pass, op_types, matches, |edit, node| {
        Ok(match find(edit, node) {
            None => Outcome::NoMatch,
            Some(Ok(pattern)) => pattern.replace(edit),
            Some(Err(reason)) => Outcome::Refused(reason),
        })
    })?;
    if edit.onnx_opset() >= since || !report.refusals.is_empty() {
        return Ok(report);
    }
    // Nothing was worth raising the opset for.
    for_each(edit, pass, op_types, |edit, node| {
        let why = match find(edit, node) {
            None => None,
            Some(Ok(pattern)) => pattern.read_outside(edit),
            Some(Err(reason)) => Some(reason),
        };
        Ok(why.map_or(Outcome::NoMatch, Outcome::Refused))
    })
}
