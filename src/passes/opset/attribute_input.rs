//! An attribute that became an input: what most changes of the standard are.

use half::f16;

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
    match dtype {
        None | Some(DType::F32) => Ok(Tensor::scalar(value)),
        Some(DType::F64) => Ok(Tensor::scalar(f64::from(value))),
        Some(DType::F16) => {
            let bytes = f16::from_f32(value).to_le_bytes().to_vec();
            Tensor::from_bytes(DType::F16, [], bytes).map_err(|e| e.to_string())
        }
        Some(other) => Err(format!("its {name} is a float, its data are {other}")),
    }
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
