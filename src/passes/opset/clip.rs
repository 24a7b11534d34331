//! Clip, version 11: `min` and `max` became inputs 1 and 2, of the data's type.

use super::{Change, attribute_input};
use crate::ir::{DType, GraphEdit, NodeId, Tensor};
use half::f16;

pub(super) static CHANGES: &[Change] = &[Change { op_type: "Clip", since: 11, apply: bounds_to_inputs }];

fn bounds_to_inputs(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let bounds = [("min", 1), ("max", 2)].map(|(name, index)| (name, index, edit.node(node).float(name)));
    let data = edit.node(node).input(0).ok_or("it has no input")?;
    let dtype = edit.tensor_type(data).dtype;
    let mut changed = false;
    for (name, index, bound) in bounds {
        let Some(bound) = bound else { continue };
        // Exporters write the largest float for "no bound".
        let tensor = scalar(dtype, bound)?;
        attribute_input::set(edit, node, name, index, tensor);
        changed = true;
    }
    Ok(changed)
}

/// Before version 12 Clip is of floats; where the type is not known it is taken for float32, as nearly all are.
fn scalar(dtype: Option<DType>, value: f32) -> Result<Tensor, String> {
    Ok(match dtype {
        None | Some(DType::F32) => Tensor::scalar(value),
        Some(DType::F64) => Tensor::scalar(f64::from(value)),
        Some(DType::F16) => {
            let bytes = f16::from_f32(value).to_le_bytes().to_vec();
            Tensor::from_bytes(DType::F16, [], bytes).map_err(|e| e.to_string())?
        }
        Some(other) => return Err(format!("its bounds are attributes, which {other} data cannot have")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::one_node;
    use super::*;
    use crate::ir::NewNode;
    use crate::passes::opset::raise;

    #[test]
    fn a_lone_upper_bound_leaves_the_lower_input_empty() {
        let (mut model, id) = one_node(9, NewNode::new("Clip").attr("max", 6.0f32));
        raise(&mut GraphEdit::new(&mut model), 11).unwrap();
        assert_eq!(model.node(id).inputs().len(), 3);
        assert_eq!(model.node(id).input(1), None);
        assert_eq!(model.constant_input(id, 2).and_then(Tensor::scalar_f32), Some(6.0));
    }
}
