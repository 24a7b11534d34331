//! Small steps that several passes share.

use super::Outcome;
use crate::ir::{DType, Element, GraphEdit, Model, NodeId, Tensor, ValueId};

/// Lets everything that reads the node's only live output read `value` instead, and removes the node.
pub(super) fn bypass(edit: &mut GraphEdit, node: NodeId, value: ValueId) -> Outcome {
    let Some(output) = edit.node(node).output(0) else { return Outcome::NoMatch };
    match edit.replace_uses(output, value) {
        Ok(()) => {
            edit.remove_node(node);
            Outcome::Applied
        }
        Err(reason) => Outcome::Refused(reason),
    }
}

/// Whether outputs other than the first are read.
pub(super) fn has_side_outputs(model: &Model, node: NodeId) -> bool {
    model.node(node).outputs().iter().skip(1).flatten().any(|v| !model.uses(*v).is_empty())
}

/// The node that makes input `index` of `node`, where it is one of `op_types` and in the same graph.
pub(super) fn producer_of(model: &Model, node: NodeId, index: usize, op_types: &[&str]) -> Option<NodeId> {
    let producer = model.producer(model.node(node).input(index)?)?;
    let same_graph = model.node(producer).graph() == model.node(node).graph();
    (same_graph && model.node(producer).is_one_of(op_types)).then_some(producer)
}

/// Why `value`, made by a node that is to change, cannot change with it: someone else reads it.
pub(super) fn read_elsewhere(model: &Model, value: ValueId) -> Option<String> {
    if model.is_output(value) {
        return Some(format!("{} is a graph output", model.name(value)));
    }
    (model.uses(value).len() > 1).then(|| format!("{} is read elsewhere", model.name(value)))
}

/// Any float dtype as `f64`, exactly.
pub(super) fn to_f64(tensor: &Tensor) -> Option<Vec<f64>> {
    match tensor.dtype() {
        DType::F64 => Some(tensor.as_slice::<f64>()?.into_owned()),
        d if d.is_float() => Some(tensor.to_f32()?.iter().map(|v| f64::from(*v)).collect()),
        _ => None,
    }
}

/// Rounds `values` to `dtype`; `None` where one becomes infinite or is not a number.
pub(super) fn from_f64(dtype: DType, shape: &[usize], values: &[f64]) -> Option<Tensor> {
    fn finite<T: Element + Send + 'static>(shape: &[usize], values: Vec<T>) -> Tensor {
        Tensor::from_vec(shape, values)
    }
    let halves = |bits: Vec<u16>| {
        let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
        Tensor::from_bytes(dtype, shape, bytes).ok()
    };
    match dtype {
        DType::F64 if values.iter().all(|v| v.is_finite()) => Some(finite(shape, values.to_vec())),
        DType::F32 if values.iter().all(|v| (*v as f32).is_finite()) => {
            Some(finite(shape, values.iter().map(|v| *v as f32).collect::<Vec<_>>()))
        }
        DType::F16 if values.iter().all(|v| half::f16::from_f64(*v).is_finite()) => {
            halves(values.iter().map(|v| half::f16::from_f64(*v).to_bits()).collect())
        }
        DType::BF16 if values.iter().all(|v| half::bf16::from_f64(*v).is_finite()) => {
            halves(values.iter().map(|v| half::bf16::from_f64(*v).to_bits()).collect())
        }
        _ => None,
    }
}

/// Whether every element of a real numeric tensor is `value`, sign of zero included.
pub(super) fn all_equal(tensor: &Tensor, value: f64) -> bool {
    if let Some(values) = to_f64(tensor) {
        return values.iter().all(|v| v.to_bits() == value.to_bits());
    }
    tensor.to_i64().is_some_and(|values| values.iter().all(|v| *v as f64 == value))
}
