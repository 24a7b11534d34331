//! What reshapes the result of an If goes into branches that only hand a value on, or reshape it likewise.
//!
//! ```text
//! If { x ─► Unsqueeze(0) } else { x ─► Identity } ─► Unsqueeze(0) ─► y
//! If { x ─► Unsqueeze(0) ─► Unsqueeze(0) } else { x ─► Unsqueeze(0) } ─► y
//! ```
//!
//! The other passes join the two then. Only where every branch makes the value by an Identity or by the same operator, so that
//! nodes become fewer. No match where the parameters are not constant or are made behind the If, and where the result has another
//! reader or is a graph output.

use super::branches;
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NewNode, NodeId, Origin, Place, Use, ValueId};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "sink-into-branches",
    "move a reshape of an If's result into branches that hand a value on or reshape it alike",
    run,
)
.exact();

const MOVERS: &[&str] = &["Unsqueeze", "Transpose", "Cast"];

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, MOVERS, |edit, node| Ok(sink(edit, node).map_or(Outcome::NoMatch, |()| Outcome::Applied)))
}

fn sink(edit: &mut GraphEdit, node: NodeId) -> Option<()> {
    let (x, y) = (edit.node(node).input(0)?, edit.node(node).output(0)?);
    let Origin::Node { node: choice, output } = edit.value(x).origin() else { return None };
    let graphs = branches(edit, choice)?;
    let alone = edit.single_reader(x) == Some(node) && edit.node(choice).graph() == edit.node(node).graph();
    let in_sight = |v: &ValueId| edit.constant(*v).is_some() && is_before(edit, *v, choice);
    let constant = edit.node(node).inputs().iter().skip(1).flatten().all(in_sight);
    if !alone || !constant || edit.uses(y).is_empty() || !graphs.iter().all(|g| makes_alike(edit, *g, output, node)) {
        return None;
    }
    let op_type = edit.node(node).op_type.clone();
    for graph in graphs {
        let n = edit.node(node);
        let inner = edit.graph(graph).outputs()[output];
        let copy = NewNode::new(&op_type)
            .input(inner)
            .inputs(n.inputs().iter().skip(1).copied())
            .attrs(n.attrs().to_vec())
            .output(edit.name(inner).to_string(), None);
        let copy = edit.insert(Place::End(graph), copy);
        let made = edit.node(copy).output(0)?;
        edit.set_graph_output(graph, output, made);
    }
    // The If makes now what the node made.
    edit.detach_output(choice, output);
    edit.remove_node(node);
    edit.remove_value(x);
    edit.attach_output(choice, output, y);
    Some(())
}

/// Whether the value is there when `choice` runs.
fn is_before(model: &Model, value: ValueId, choice: NodeId) -> bool {
    let nodes = model.graph(model.node(choice).graph()).nodes();
    let behind = nodes.iter().skip_while(|n| **n != choice);
    model.producer(value).is_none_or(|maker| !behind.into_iter().any(|n| *n == maker))
}

/// Whether the output of the branch is an Identity's or of the same operator, and nothing else reads it.
fn makes_alike(model: &Model, graph: crate::ir::GraphId, output: usize, node: NodeId) -> bool {
    let Some(value) = model.graph(graph).outputs().get(output).copied() else { return false };
    let Some(producer) = model.producer(value).map(|n| model.node(n)) else { return false };
    let alike = producer.is("Identity") || producer.is(&model.node(node).op_type);
    alike && producer.graph() == graph && matches!(model.uses(value), [Use::Output { .. }])
}
