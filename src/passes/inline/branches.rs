//! An If whose condition is constant becomes the branch that it takes.
//!
//! ```text
//! cond = true
//! If(cond) { then: a ─► f ─► y,  else: … } ─► y        a ─► f ─► y
//! ```
//!
//! Refuses nothing: an If whose condition is not constant is left alone. A branch that hands through a
//! value of the outer graph (or a constant) keeps an Identity where the If's output is a graph output.

use super::hand_over;
use crate::error::Result;
use crate::ir::{Attr, GraphEdit, GraphId, NodeId};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("inline-branches", "replace an If whose condition is constant by the branch that it takes", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    Ok(PassReport::applied(inline_branches(edit)?))
}

/// Inlines every decided If, in every graph; returns how many there were.
pub fn inline_branches(edit: &mut GraphEdit) -> Result<usize> {
    let mut inlined = 0;
    // The nodes of an inlined branch are seen in the next round.
    while let Some((node, branch)) = edit.all_nodes().into_iter().find_map(|n| Some((n, taken(edit, n)?))) {
        inline(edit, node, branch);
        inlined += 1;
    }
    Ok(inlined)
}

/// The branch that an If takes where that is decided.
fn taken(edit: &GraphEdit, node: NodeId) -> Option<GraphId> {
    let n = edit.node(node);
    if !n.is("If") {
        return None;
    }
    let condition = edit.constant_input(node, 0)?.scalar_i64()? != 0;
    match n.attr(if condition { "then_branch" } else { "else_branch" }) {
        Some(Attr::Graph(branch)) => Some(*branch),
        _ => None,
    }
}

fn inline(edit: &mut GraphEdit, node: NodeId, branch: GraphId) {
    let made = edit.inline_graph(branch, node);
    for (index, new) in made.into_iter().enumerate() {
        hand_over(edit, node, index, new);
    }
    edit.remove_node(node);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{DType, Model, NewNode, Place, Tensor, TensorType, Type, verify};

    /// If(cond) { x ─► Relu ─► y } else { x }, both branches capturing the outer x.
    fn model(condition: bool) -> Model {
        let mut model = Model::new(17);
        let mut edit = GraphEdit::new(&mut model);
        let main = edit.main();
        let x = edit.new_value("x", Some(Type::tensor(&TensorType::new(DType::F32, [2i64]))));
        edit.add_graph_input(main, x);
        let flag = Tensor::from_bytes(DType::Bool, [], vec![u8::from(condition)]).unwrap();
        let cond = edit.add_initializer(main, "cond", flag);
        let (then, other) = (edit.add_graph(), edit.add_graph());
        let relu = edit.insert(Place::End(then), NewNode::new("Relu").name("relu").input(x).output("r", None));
        let r = edit.node(relu).output(0).unwrap();
        edit.add_graph_output(then, r);
        edit.add_graph_output(other, x);
        let node = NewNode::new("If").name("if").input(cond).output("y", None);
        let node = node.attr("then_branch", Attr::Graph(then)).attr("else_branch", Attr::Graph(other));
        let node = edit.insert(Place::End(main), node);
        let y = edit.node(node).output(0).unwrap();
        edit.add_graph_output(main, y);
        model
    }

    fn inlined(condition: bool) -> (Vec<String>, String) {
        let mut model = model(condition);
        assert_eq!(inline_branches(&mut GraphEdit::new(&mut model)).unwrap(), 1);
        verify(&model).unwrap();
        let ops = model.all_nodes().iter().map(|n| model.node(*n).op_type.clone()).collect();
        (ops, model.name(model.graph(model.main()).outputs()[0]).to_string())
    }

    #[test]
    fn the_taken_branch_stays_under_the_output_name() {
        assert_eq!(inlined(true), (vec!["Relu".into()], "y".into()));
    }

    #[test]
    fn a_branch_that_hands_an_outer_value_through_becomes_an_identity() {
        assert_eq!(inlined(false), (vec!["Identity".into()], "y".into()));
    }
}
