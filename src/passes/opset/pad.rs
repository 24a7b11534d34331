//! Pad, version 11: `pads` and `value` became inputs 1 and 2.

use super::{Change, attribute_input};
use crate::ir::{DType, GraphEdit, NodeId, Tensor};

pub(super) static CHANGES: &[Change] = &[Change { op_type: "Pad", since: 11, apply: pads_to_inputs }];

fn pads_to_inputs(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let value = edit.node(node).float_or("value", 0.0);
    let data = edit.node(node).input(0).ok_or("it has no input")?;
    if !attribute_input::ints(edit, node, "pads", 1) {
        return Err("it has no pads".into());
    }
    edit.remove_attr(node, "value");
    if value != 0.0 {
        let tensor = match edit.tensor_type(data).dtype {
            None | Some(DType::F32) => Tensor::scalar(value),
            Some(DType::F64) => Tensor::scalar(f64::from(value)),
            Some(other) => return Err(format!("it pads {other} data with {value}")),
        };
        attribute_input::add(edit, node, "value", 2, tensor);
    }
    Ok(true)
}
