//! Operators that hold graphs: their outputs are those of the graphs.

use super::Context;
use crate::ir::{Dim, GraphId, TensorType};

fn outputs(c: &Context, graph: GraphId) -> Vec<TensorType> {
    c.model.graph(graph).outputs().iter().map(|v| c.model.tensor_type(*v)).collect()
}

/// What all branches agree on.
pub fn branches(c: &Context) -> Option<Vec<TensorType>> {
    let mut graphs = c.node.subgraphs().map(|(_, g)| outputs(c, g));
    let first = graphs.next()?;
    Some(graphs.fold(first, |found, other| found.into_iter().zip(other).map(|(a, b)| common(a, b)).collect()))
}

fn common(a: TensorType, b: TensorType) -> TensorType {
    let joint = |(a, b): (&Dim, &Dim)| if a.same(b) { a.clone() } else { Dim::Unknown };
    let shape = match (a.shape, b.shape) {
        (Some(a), Some(b)) if a.len() == b.len() => Some(a.iter().zip(&b).map(joint).collect()),
        _ => None,
    };
    TensorType { dtype: a.dtype.filter(|d| b.dtype == Some(*d)), shape }
}

/// A loop's values keep their dtype from turn to turn; their sizes may change.
pub fn body(c: &Context) -> Option<Vec<TensorType>> {
    let (_, graph) = c.node.subgraphs().next()?;
    let only_dtype = |ty: TensorType| TensorType { dtype: ty.dtype, shape: None };
    // The first output of a Loop's body is its condition, which the node does not give out.
    let skipped = outputs(c, graph).len().checked_sub(c.node.outputs().len())?;
    Some(outputs(c, graph).into_iter().skip(skipped).map(only_dtype).collect())
}
