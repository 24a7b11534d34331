//! Split: `split` became input 1 in version 13; in version 18 an even split must say into how many.

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId};

pub(super) static CHANGES: &[Change] = &[
    Change { op_type: "Split", since: 13, apply: sizes_to_input },
    Change { op_type: "Split", since: 18, apply: say_how_many },
];

fn sizes_to_input(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    Ok(attribute_input::ints(edit, node, "split", 1))
}

fn say_how_many(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    if edit.node(node).input(1).is_some() {
        return Ok(false);
    }
    let outputs = edit.node(node).outputs().len() as i64;
    edit.set_attr(node, "num_outputs", outputs);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::tests::one_node;
    use super::*;
    use crate::ir::NewNode;
    use crate::passes::opset::raise;

    #[test]
    fn an_even_split_counts_its_outputs() {
        let (mut model, id) = one_node(11, NewNode::new("Split").attr("axis", 2i64));
        raise(&mut GraphEdit::new(&mut model), 18).unwrap();
        assert_eq!(model.node(id).int("num_outputs"), Some(1));
        let (mut model, id) = one_node(11, NewNode::new("Split").attr("split", vec![3i64]).attr("axis", 2i64));
        raise(&mut GraphEdit::new(&mut model), 18).unwrap();
        assert_eq!(model.constant_input(id, 1).and_then(|t| t.to_i64()), Some(vec![3]));
        assert_eq!(model.node(id).int("num_outputs"), None);
    }
}
