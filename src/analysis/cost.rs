//! Multiply-accumulates of a model, by the rules of [`crate::ops`].

use super::infer;
use crate::ir::{Dim, GraphEdit, GraphId, Model, NodeId, TensorType, ValueId};
use crate::ops;
use crate::ops::Shapes;

/// MACs of one run on inputs of these shapes, by name; a size that stays open is 1. `None` where they cannot be told:
/// a shape that only running finds, or a loop.
///
/// Of the branches of a node the dearest counts.
pub fn macs(model: &Model, inputs: &[(String, Vec<usize>)]) -> Option<u64> {
    let model = concrete(model, inputs);
    of_graph(&model, model.main())
}

/// The model with the sizes of all its values, as far as these shapes of its inputs tell them.
fn concrete(model: &Model, inputs: &[(String, Vec<usize>)]) -> Model {
    let mut model = model.clone();
    let mut edit = GraphEdit::new(&mut model);
    for value in edit.user_inputs() {
        let declared = edit.tensor_type(value);
        let given = inputs.iter().find(|(name, _)| name == edit.name(value));
        let shape = match given {
            Some((_, dims)) => dims.iter().map(|d| Dim::from(*d)).collect(),
            None => declared.shape.unwrap_or_default().iter().map(|d| Dim::Known(d.known().unwrap_or(1))).collect(),
        };
        edit.set_inferred(value, Some(TensorType { dtype: declared.dtype, shape: Some(shape) }));
    }
    infer(&mut edit);
    model
}

/// The MACs of a model for other sizes of some of its axes, without making the model that has them.
#[derive(Debug)]
pub struct Costs {
    model: Model,
    /// Nodes of the main graph with a rule; what others cost does not depend on the axes.
    nodes: Vec<NodeId>,
    others: u64,
}

impl Costs {
    /// As [`macs`].
    pub fn of(model: &Model, inputs: &[(String, Vec<usize>)]) -> Option<Costs> {
        let model = concrete(model, inputs);
        let has_rule = |n: &NodeId| ops::of(model.node(*n)).is_some_and(|op| op.macs.is_some());
        let (nodes, others): (Vec<NodeId>, Vec<NodeId>) =
            model.graph(model.main()).nodes().iter().partition(|n| has_rule(n));
        let others = others.iter().try_fold(0u64, |sum, n| sum.checked_add(of_node(&model, *n)?))?;
        let costs = Costs { model, nodes, others };
        costs.macs(&|_, _| None)?;
        Some(costs)
    }

    /// MACs where `size` tells what an axis of a value has become; `None` where it is as it was.
    pub fn macs(&self, size: &dyn Fn(ValueId, usize) -> Option<usize>) -> Option<u64> {
        self.nodes.iter().try_fold(self.others, |sum, n| sum.checked_add(self.node(*n, size)?))
    }

    /// The nodes whose MACs depend on sizes.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// MACs of one of [`Self::nodes`].
    pub fn node(&self, node: NodeId, size: &dyn Fn(ValueId, usize) -> Option<usize>) -> Option<u64> {
        with_rule(&self.model, node, size)
    }
}

fn of_graph(model: &Model, graph: GraphId) -> Option<u64> {
    model.graph(graph).nodes().iter().try_fold(0u64, |sum, node| sum.checked_add(of_node(model, *node)?))
}

fn of_node(model: &Model, id: NodeId) -> Option<u64> {
    let node = model.node(id);
    let inner: Vec<u64> = node.subgraphs().map(|(_, graph)| of_graph(model, graph)).collect::<Option<_>>()?;
    match inner.as_slice() {
        [] => {}
        // One body, run as often as the data says.
        [macs] => return (*macs == 0).then_some(0),
        branches => return branches.iter().copied().max(),
    }
    with_rule(model, id, &|_, _| None)
}

fn with_rule(model: &Model, id: NodeId, size: &dyn Fn(ValueId, usize) -> Option<usize>) -> Option<u64> {
    let node = model.node(id);
    let Some(rule) = ops::of(node).and_then(|op| op.macs) else { return Some(0) };
    let shape = |v: &Option<ValueId>| -> Option<Vec<u64>> {
        let dims = model.tensor_type((*v)?).shape?.into_iter().enumerate();
        let known = |(axis, d): (usize, Dim)| match size((*v)?, axis) {
            Some(n) => Some(n as u64),
            None => d.known()?.try_into().ok(),
        };
        dims.map(known).collect()
    };
    let output = node.outputs().first().and_then(shape);
    rule(&Shapes { node, inputs: node.inputs().iter().map(shape).collect(), output })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn open_sizes_are_those_given_or_one() {
        let source = r#"<ir_version: 8, opset_import: ["" : 17]>
            g (float[N, 4] x) => (float[N, 2] y) <float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}> { h = MatMul(x, w) y = Relu(h) }"#;
        let model = text::parse(source).unwrap();
        assert_eq!(macs(&model, &[]), Some(8));
        assert_eq!(macs(&model, &[("x".into(), vec![5, 4])]), Some(40));
    }
}
