//! Nodes, initializers and type notes that nothing reads are dropped, innermost graphs included.
//!
//! ```text
//! x ─► A ─► y ─► (output)                 x ─► A ─► y ─► (output)
//! x ─► B ─► z                    w
//! ```
//!
//! A node goes when none of its outputs is read: the standard's operators have no other effect. One of another domain without
//! outputs is there for some other effect, and stays. Inputs of graphs stay, read or not: they are the interface. Outputs of a
//! node that is needed for another of its outputs stay too.

use crate::error::Result;
use crate::ir::{GraphEdit, GraphId, Node, ValueId};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("dead-nodes", "drop nodes, initializers and value_info that nothing reads", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let mut applied = 0;
    // Outer graphs first: a node that goes takes its subgraphs along.
    let mut graphs = vec![edit.main()];
    while let Some(graph) = graphs.pop() {
        applied += edit.remove_unread_nodes_but(graph, is_done_for_its_effect);
        let nodes = edit.graph(graph).nodes().iter();
        graphs.extend(nodes.flat_map(|n| edit.node(*n).subgraphs().map(|(_, g)| g)));
    }
    for graph in edit.graphs_under(edit.main()) {
        applied += sweep_initializers(edit, graph);
    }
    Ok(PassReport::applied(applied))
}

fn is_done_for_its_effect(node: &Node) -> bool {
    !node.domain().is_empty() && node.outputs().iter().flatten().next().is_none()
}

fn sweep_initializers(edit: &mut GraphEdit, graph: GraphId) -> usize {
    let g = edit.graph(graph);
    let all: Vec<ValueId> = g.initializers().iter().chain(g.sparse_initializers()).copied().collect();
    all.into_iter().filter(|v| edit.remove_unread_initializer(*v)).count()
}
