//! Softmax, LogSoftmax and Hardmax, version 13.
//!
//! Before, the input was taken as a matrix: the dimensions from `axis` (1 unless said) on are one row.
//! Since, `axis` (−1 unless said) is the only dimension that is normalized over. They agree where
//! `axis` is the last dimension, or all after it are 1; else
//!
//! ```text
//! x ─► Softmax(axis) ─► y        x ─► Flatten(axis) ─► Softmax(−1) ─► Reshape(Shape(x)) ─► y
//! ```

use super::Change;
use crate::ir::{GraphEdit, NewNode, NodeId, Place};
use crate::passes::support::made;

pub(super) static CHANGES: &[Change] = &[
    Change { op_type: "Softmax", since: 13, apply: one_axis },
    Change { op_type: "LogSoftmax", since: 13, apply: one_axis },
    Change { op_type: "Hardmax", since: 13, apply: one_axis },
];

fn one_axis(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let n = edit.node(node);
    let (said, axis) = (n.int("axis").is_some(), n.int_or("axis", 1));
    let x = n.input(0).ok_or("it has no input")?;
    let shape = edit.tensor_type(x).shape;
    let same = match &shape {
        None => axis == -1,
        Some(shape) => {
            let rank = shape.len() as i64;
            let at = if axis < 0 { axis + rank } else { axis };
            (0..rank).contains(&at) && shape[at as usize + 1..].iter().all(|d| d.known() == Some(1))
        }
    };
    if same {
        if !said {
            edit.set_attr(node, "axis", axis);
        }
        return Ok(!said);
    }
    let label = edit.node_label(node).to_string();
    let rows = NewNode::new("Flatten").name(format!("{label}_rows")).input(x).attr("axis", axis);
    let rows = made(edit, Place::Before(node), rows.output(format!("{label}_rows"), None));
    let shape = NewNode::new("Shape").name(format!("{label}_shape")).input(x);
    let shape = made(edit, Place::Before(node), shape.output(format!("{label}_shape"), None));
    let (Some(rows), Some(shape)) = (rows, shape) else {
        return Err("the nodes before it have no outputs".into());
    };
    edit.set_input(node, 0, Some(rows));
    edit.set_attr(node, "axis", -1i64);
    let y = edit.detach_output(node, 0).ok_or("it has no output")?;
    let normal = edit.fresh_name(&format!("{label}_normal"));
    let normal = edit.new_value(normal, None);
    edit.attach_output(node, 0, normal);
    let back = NewNode::new("Reshape").name(format!("{label}_back")).input(normal).input(shape).output_into(y);
    edit.insert(Place::After(node), back);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::tests::one_node;
    use super::*;
    use crate::passes::opset::raise;

    #[test]
    fn the_last_axis_needs_no_reshape() {
        let (mut model, id) = one_node(11, NewNode::new("Softmax").attr("axis", 2i64));
        assert_eq!(raise(&mut GraphEdit::new(&mut model), 13).unwrap().changed.len(), 0);
        assert_eq!(model.node(id).int("axis"), Some(2));
    }

    #[test]
    fn rows_of_several_dimensions_are_flattened() {
        let (mut model, id) = one_node(11, NewNode::new("Softmax"));
        raise(&mut GraphEdit::new(&mut model), 13).unwrap();
        let ops: Vec<&str> = model.all_nodes().iter().map(|n| model.node(*n).op_type.as_str()).collect();
        assert_eq!(ops, ["Flatten", "Shape", "Softmax", "Reshape"]);
        assert_eq!(model.node(id).int("axis"), Some(-1));
        let out = model.graph(model.main()).outputs()[0];
        assert_eq!((model.name(out), model.node(model.producer(out).unwrap()).op_type.as_str()), ("y", "Reshape"));
        crate::ir::verify(&model).unwrap();
    }
}
