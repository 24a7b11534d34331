//! An attribute that became an input: what most changes of the standard are.

use crate::ir::{DType, GraphEdit, NodeId, Tensor};

/// Moves the integers of attribute `name` to input `index` as an int64 vector. `false` where the node has no such attribute.
pub(super) fn ints(edit: &mut GraphEdit, node: NodeId, name: &str, index: usize) -> bool {
    let Some(values) = edit.node(node).ints(name).map(<[i64]>::to_vec) else { return false };
    let tensor = Tensor::from_vec([values.len()], values);
    set(edit, node, name, index, tensor);
    true
}

/// The number of float attribute `name` in the type of the data; where that is not known it is taken for float32, as nearly all are.
/// What is too large for float16 becomes infinite.
pub(super) fn scalar(dtype: Option<DType>, name: &str, value: f32) -> Result<Tensor, String> {
    let dtype = dtype.unwrap_or(DType::F32);
    let known = matches!(dtype, DType::F32 | DType::F64 | DType::F16);
    let tensor = Tensor::from_floats(dtype, [], std::iter::once(f64::from(value))).filter(|_| known);
    tensor.ok_or_else(|| format!("its {name} is a float, its data are {dtype}"))
}

/// Gives input `index` the tensor, removing attribute `name`.
pub(super) fn set(edit: &mut GraphEdit, node: NodeId, name: &str, index: usize, tensor: Tensor) {
    edit.remove_attr(node, name);
    add(edit, node, name, index, tensor);
}

/// Gives input `index` the tensor, as an initializer of the node's graph.
pub(super) fn add(edit: &mut GraphEdit, node: NodeId, name: &str, index: usize, tensor: Tensor) {
    let graph = edit.node(node).graph();
    let hint = format!("{}_{name}", edit.node_label(node));
    let value = edit.add_initializer(graph, &hint, tensor);
    edit.set_input(node, index, Some(value));
}
