//! Multiply-accumulates of a model, by the rules of [`crate::ops`].

use super::concrete::concrete;
use crate::ir::{Dim, GraphId, Model, NodeId, ValueId};
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

/// The MACs of a model for other sizes of some of its axes, without making the model that has them.
#[derive(Debug)]
pub struct Costs {
    model: Model,
    /// Nodes of the main graph with a rule; what others cost does not depend on the axes.
    nodes: Vec<NodeId>,
    others: u64,
    unknown: Vec<NodeId>,
}

impl Costs {
    /// As [`macs`], but for nodes whose MACs cannot be told: they are left out, see [`Costs::unknown`].
    pub fn of(model: &Model, inputs: &[(String, Vec<usize>)]) -> Costs {
        let model = concrete(model, inputs);
        let mut costs = Costs { nodes: Vec::new(), others: 0, unknown: Vec::new(), model };
        for n in costs.model.graph(costs.model.main()).nodes() {
            let has_rule = ops::of(costs.model.node(*n)).is_some_and(|op| op.macs.is_some());
            match of_node(&costs.model, *n) {
                None => costs.unknown.push(*n),
                Some(_) if has_rule => costs.nodes.push(*n),
                Some(macs) => costs.others = costs.others.saturating_add(macs),
            }
        }
        costs
    }

    /// Nodes that are not counted: a size that only running them finds, or a loop.
    pub fn unknown(&self) -> &[NodeId] {
        &self.unknown
    }

    /// MACs where `size` tells what an axis of a value has become; `None` where it is as it was.
    pub fn macs(&self, size: &dyn Fn(ValueId, usize) -> Option<usize>) -> u64 {
        self.nodes.iter().fold(self.others, |sum, n| sum.saturating_add(self.node(*n, size).unwrap_or(0)))
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

    #[test]
    fn packed_weights_count_as_those_that_they_stand_for() {
        let source = r#"<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
            g (float[N, 32] x) => (float[N, 2] y) <uint8[2, 1, 16] w = {1}, float[2] s = {1, 2}>
            { y = com.microsoft.MatMulNBits <K = 32, N = 2, bits = 4, block_size = 32> (x, w, s) }"#;
        let source = source.replace("{1},", &format!("{{{}}},", ["1"; 32].join(",")));
        assert_eq!(macs(&text::parse(&source).unwrap(), &[("x".into(), vec![3, 32])]), Some(192));
    }

    #[test]
    fn what_only_running_tells_is_named() {
        let source = r#"<ir_version: 8, opset_import: ["" : 17]>
            g (float[4] x) => (float[K, 2] y, float[2] z) <float[1, 2] v = {1, 2}, float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}> {
                i = NonZero(x) f = Cast<to = 1>(i) t = Transpose(f) y = MatMul(t, v) z = MatMul(x, w) }"#;
        let model = text::parse(source).unwrap();
        let costs = Costs::of(&model, &[]);
        let unknown: Vec<&str> = costs.unknown().iter().map(|n| model.node_label(*n)).collect();
        assert_eq!((unknown, costs.macs(&|_, _| None), macs(&model, &[])), (vec!["y"], 8, None));
    }
}
