//! Clip, version 11: `min` and `max` became inputs 1 and 2, of the data's type.

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId};

pub(super) static CHANGES: &[Change] = &[Change { op_type: "Clip", since: 11, apply: bounds_to_inputs }];

fn bounds_to_inputs(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let bounds = [("min", 1), ("max", 2)].map(|(name, index)| (name, index, edit.node(node).float(name)));
    let data = edit.node(node).input(0).ok_or("it has no input")?;
    // Before version 12 Clip is of floats.
    let dtype = edit.tensor_type(data).dtype;
    let mut changed = false;
    for (name, index, bound) in bounds {
        let Some(bound) = bound else { continue };
        // Exporters write the largest float for "no bound".
        let tensor = attribute_input::scalar(dtype, name, bound)?;
        attribute_input::set(edit, node, name, index, tensor);
        changed = true;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{of_type, one_node};
    use super::*;
    use crate::ir::{DType, NewNode, Tensor};
    use crate::passes::opset::raise;

    #[test]
    fn bounds_have_the_type_of_the_data() {
        let (mut model, id) = one_node(9, NewNode::new("Clip").attr("min", 0.5f32).attr("max", f32::MAX));
        of_type(&mut model, DType::F16);
        raise(&mut GraphEdit::new(&mut model), 11).unwrap();
        let bounds = [1, 2].map(|i| model.constant_input(id, i).map(|t| (t.dtype(), t.scalar_f32())));
        assert_eq!(bounds, [0.5, f32::INFINITY].map(|v| Some((DType::F16, Some(v)))));
    }

    #[test]
    fn a_lone_upper_bound_leaves_the_lower_input_empty() {
        let (mut model, id) = one_node(9, NewNode::new("Clip").attr("max", 6.0f32));
        raise(&mut GraphEdit::new(&mut model), 11).unwrap();
        assert_eq!(model.node(id).inputs().len(), 3);
        assert_eq!(model.node(id).input(1), None);
        assert_eq!(model.constant_input(id, 2).and_then(Tensor::scalar_f32), Some(6.0));
    }
}
