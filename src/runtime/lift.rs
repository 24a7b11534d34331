//! Values inside subgraphs, given out of the operators that hold them, so that a run can return them.
//!
//! ```text
//! If(c) { then: x ─► Conv ─► y }            If(c) { then: x ─► Conv ─► y ─► Identity ─► y′ } ─► y′
//!       { else: … }                               { else: …   a tensor of no elements ─► y″ }
//!
//! Loop(n) { x ─► MatMul ─► y }              Loop(n) { x ─► MatMul ─► y ─► Identity ─► y′ } ─► y′, all turns one after the other
//! ```
//!
//! A branch that is not taken gives nothing of the value, as does a loop of no turns. Refuses other operators; what a Loop holds and whose
//! shape may change from turn to turn, since a runtime stacks the turns, and so what an If inside a Loop holds.

use crate::ir::{DType, GraphEdit, GraphId, Model, NewNode, NodeId, Place, Tensor, TensorType, ValueId};

/// The value of the main graph that gives `value` out; itself where it is there.
pub(super) fn lift(edit: &mut GraphEdit, value: ValueId) -> Option<ValueId> {
    let way = way(edit, value)?;
    Some(way.into_iter().fold(value, |value, (graph, owner)| given_out(edit, value, (graph, owner))))
}

/// The graphs around `value` and the nodes that hold them, from the inside out; `None` where one of these gives nothing out.
fn way(model: &Model, value: ValueId) -> Option<Vec<(GraphId, NodeId)>> {
    let mut graph = model.home(value)?;
    let mut all = Vec::new();
    // One that changes its shape may be empty, too.
    let mut alike = model.tensor_type(value).shape.is_some_and(|s| s.iter().all(|d| d.same(d)));
    while graph != model.main() {
        let owner = model.graph(graph).owner()?;
        match model.node(owner) {
            node if node.is("If") => alike = false,
            node if node.is("Loop") && alike => {}
            _ => return None,
        }
        all.push((graph, owner));
        graph = model.node(owner).graph();
    }
    Some(all)
}

/// A new output of `owner` for `value`, which lies in `graph`.
fn given_out(edit: &mut GraphEdit, value: ValueId, (graph, owner): (GraphId, NodeId)) -> ValueId {
    let name = edit.name(value).to_string();
    let ty = edit.tensor_type(value);
    let inner: Vec<GraphId> = edit.node(owner).subgraphs().map(|(_, g)| g).collect();
    // The condition of a Loop is not given out.
    let index = edit.graph(graph).outputs().len() - usize::from(edit.node(owner).is("Loop"));
    for g in inner {
        let node = match g == graph {
            true => NewNode::new("Identity").input(value),
            false => {
                let shape = vec![0; ty.rank().unwrap_or(1).max(1)];
                let nothing = Tensor::from_bytes(ty.dtype.unwrap_or(DType::F32), shape, Vec::new());
                NewNode::new("Constant")
                    .attr("value", nothing.unwrap_or_else(|_| Tensor::from_vec([0], Vec::<f32>::new())))
            }
        };
        let node = node.output(format!("{name}_out"), Some(TensorType { dtype: ty.dtype, shape: None }));
        let node = edit.insert(Place::End(g), node);
        if let Some(out) = edit.node(node).output(0) {
            edit.add_graph_output(g, out);
        }
    }
    let outside = edit.fresh_name(&format!("{name}_outside"));
    let outside = edit.new_value(outside, None);
    edit.set_inferred(outside, Some(TensorType { dtype: ty.dtype, shape: None }));
    edit.attach_output(owner, index, outside);
    outside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{text, verify};

    const NESTED: &str = r#"<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2] x, bool c, int64 n) => (float[1,2] y) {
            y = If (c) <
                then_branch = inner () => (float[1,2] a) {
                    r = Relu (x)
                    a = Sigmoid (r)
                },
                else_branch = other () => (float[1,2] b) {
                    b = Loop (n, , x) <body = turn (int64 i, bool go, float[1,2] s) => (bool on, float[1,2] t) {
                        on = Identity (go)
                        t = Tanh (s)
                    }>
                }
            >
        }"#;

    fn named(model: &Model, name: &str) -> ValueId {
        let nodes = model.all_nodes();
        let made = nodes.iter().flat_map(|n| model.node(*n).outputs().iter().flatten());
        *made.into_iter().find(|v| model.name(**v) == name).unwrap()
    }

    #[test]
    fn a_branch_and_a_loop_give_out_what_they_hold() {
        let mut model = text::parse(NESTED).unwrap();
        let [r, t] = ["r", "t"].map(|name| named(&model, name));
        let mut edit = GraphEdit::new(&mut model);
        let (r, t) = (lift(&mut edit, r).unwrap(), lift(&mut edit, t).unwrap());
        let main = edit.main();
        edit.add_graph_output(main, r);
        edit.add_graph_output(main, t);
        verify(&model).unwrap();
        let owner = model.node(model.producer(r).unwrap());
        assert!(owner.is("If") && owner.outputs().len() == 3);
        for (_, branch) in owner.subgraphs() {
            assert_eq!(model.graph(branch).outputs().len(), 3);
        }
    }

    #[test]
    fn a_loop_refuses_what_may_change_its_shape() {
        let source = NESTED.replace("t = Tanh (s)", "p = NonZero (s) q = Cast <to = 1> (p) t = Tanh (s)");
        let mut model = text::parse(&source).unwrap();
        let q = named(&model, "q");
        assert!(lift(&mut GraphEdit::new(&mut model), q).is_none());
    }
}
