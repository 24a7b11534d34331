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
    of_graph(&model, model.main())
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
    let Some(rule) = ops::of(node).and_then(|op| op.macs) else { return Some(0) };
    let shape = |v: &Option<ValueId>| -> Option<Vec<u64>> {
        model.tensor_type((*v)?).shape?.iter().map(|d| d.known()?.try_into().ok()).collect()
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
