//! What a Loop hands on unchanged from turn to turn is read from around it.
//!
//! ```text
//! Loop(n, c, W, a) { i, c, w, v ─► f(v, w) ─► w, v }  ─► X, y        Loop(n, c, a) { i, c, v ─► f(v, W) ─► v } ─► y        X is W
//! ```
//!
//! Weights that exporters of TensorFlow carry through their loops are constant then, in the body too.
//!
//! No match where the value is handed on through more than Identity, where the body gives it a second time, and where the Loop would be left
//! without an output.

use super::{hand_over, unwrapped};
use crate::error::Result;
use crate::ir::{Attr, GraphEdit, GraphId, Model, NodeId, Use, ValueId};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("lift-loop-invariants", "read from around a Loop what it hands on unchanged from turn to turn", run)
        .exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Loop"], |edit, node| {
        let Some(Attr::Graph(body)) = edit.node(node).attr("body").cloned() else { return Ok(Outcome::NoMatch) };
        let mut lifted = false;
        while let Some((index, value)) = invariant(edit, node, body) {
            lift(edit, (node, body), index, value);
            lifted = true;
        }
        Ok(if lifted { Outcome::Applied } else { Outcome::NoMatch })
    })
}

/// The place among the carried values of one that stays what it is, and what it is.
fn invariant(model: &Model, node: NodeId, body: GraphId) -> Option<(usize, ValueId)> {
    let (n, graph) = (model.node(node), model.graph(body));
    let carried = n.inputs().len().checked_sub(2)?;
    if graph.inputs().len() != carried + 2 || graph.outputs().len() <= carried || n.outputs().len() < 2 {
        return None;
    }
    let stays = |index: &usize| {
        let given = graph.inputs()[index + 2];
        let made = unwrapped(model, graph.outputs()[index + 1]);
        let own = Use::Output { graph: body, index: index + 1 };
        made == Some(given) && model.uses(given).iter().all(|u| matches!(u, Use::Node { .. }) || *u == own)
    };
    let index = (0..carried).find(stays)?;
    Some((index, n.input(index + 2)?))
}

fn lift(edit: &mut GraphEdit, (node, body): (NodeId, GraphId), index: usize, value: ValueId) {
    let given = edit.graph(body).inputs()[index + 2];
    let mut made = edit.graph(body).outputs().to_vec();
    made.remove(index + 1);
    edit.clear_graph_outputs(body);
    made.into_iter().for_each(|v| edit.add_graph_output(body, v));
    edit.replace_node_uses(given, value);
    edit.remove_value(given);

    hand_over(edit, node, index, value);
    let mut inputs = edit.node(node).inputs().to_vec();
    inputs.remove(index + 2);
    edit.set_inputs(node, &inputs);
    let count = edit.node(node).outputs().len();
    let mut outputs: Vec<Option<ValueId>> = (0..count).map(|i| edit.detach_output(node, i)).collect();
    if index < count
        && let Some(old) = outputs.remove(index)
    {
        edit.remove_value(old);
    }
    edit.cut_outputs(node, 0);
    for (i, value) in outputs.into_iter().enumerate() {
        if let Some(value) = value {
            edit.attach_output(node, i, value);
        }
    }
}
