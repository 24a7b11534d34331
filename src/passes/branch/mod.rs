//! If nodes: fewer of them, and less around them. Those that are decided are inlined by [`super::inline`].

pub(super) mod join;
pub(super) mod negated;
pub(super) mod sink;

use crate::ir::{Attr, GraphId, Model, NodeId};

/// Both branches of an If: the one taken where the condition holds, and the other.
fn branches(model: &Model, node: NodeId) -> Option<[GraphId; 2]> {
    let n = model.node(node);
    let graph = |name: &str| match n.attr(name)? {
        Attr::Graph(graph) => Some(*graph),
        _ => None,
    };
    if n.is("If") { Some([graph("then_branch")?, graph("else_branch")?]) } else { None }
}
