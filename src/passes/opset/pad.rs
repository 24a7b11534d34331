//! Pad, version 11: `pads` and `value` became inputs 1 and 2.

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId};

pub(super) static CHANGES: &[Change] = &[Change { op_type: "Pad", since: 11, apply: pads_to_inputs }];

fn pads_to_inputs(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let value = edit.node(node).float_or("value", 0.0);
    let data = edit.node(node).input(0).ok_or("it has no input")?;
    if !attribute_input::ints(edit, node, "pads", 1) {
        return Err("it has no pads".into());
    }
    edit.remove_attr(node, "value");
    if value != 0.0 {
        let tensor = attribute_input::scalar(edit.tensor_type(data).dtype, "value", value)?;
        attribute_input::add(edit, node, "value", 2, tensor);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{of_type, one_node};
    use super::*;
    use crate::ir::{DType, NewNode};
    use crate::passes::opset::raise;

    #[test]
    fn the_value_has_the_type_of_the_data() {
        let pad = NewNode::new("Pad").attr("pads", vec![0i64, 0, 1, 0, 0, 1]).attr("value", 1.5f32);
        let (mut model, id) = one_node(9, pad);
        of_type(&mut model, DType::F16);
        raise(&mut GraphEdit::new(&mut model), 11).unwrap();
        let value = model.constant_input(id, 2).unwrap();
        assert_eq!((value.dtype(), value.scalar_f32()), (DType::F16, Some(1.5)));
        assert_eq!(model.constant_input(id, 1).unwrap().to_i64().unwrap(), [0, 0, 1, 0, 0, 1]);
    }
}
