//! Resize, version 11: the scales moved from input 1 to input 2, after the region of interest, and
//! how coordinates map got a name.
//!
//! Version 10 maps x_in = x_out / scale ("asymmetric") and rounds nearest down; both have to be said,
//! as the new defaults differ. Scales below 1 were read differently by runtimes with mode nearest; they
//! are taken as the standard's text says.

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId, Tensor};

pub(super) static CHANGES: &[Change] = &[Change { op_type: "Resize", since: 11, apply: name_the_mapping }];

fn name_the_mapping(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let scales = edit.node(node).input(1).ok_or("it has no scales")?;
    edit.set_input(node, 2, Some(scales));
    // Version 11 demands the input; it is empty unless the region is used.
    attribute_input::add(edit, node, "roi", 1, Tensor::from_vec([0], Vec::<f32>::new()));
    edit.set_attr(node, "coordinate_transformation_mode", "asymmetric");
    if edit.node(node).str("mode").is_none_or(|m| m == "nearest") {
        edit.set_attr(node, "nearest_mode", "floor");
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::tests::one_node;
    use super::*;
    use crate::ir::{Attr, NewNode};
    use crate::passes::opset::raise;

    #[test]
    fn an_upsample_of_version_8_becomes_a_resize_of_version_13() {
        let scales = Attr::Floats(vec![1.0, 1.0, 2.0]);
        let (mut model, id) = one_node(8, NewNode::new("Upsample").attr("scales", scales));
        let raised = raise(&mut GraphEdit::new(&mut model), 13).unwrap();
        assert!(model.node(id).is("Resize"));
        assert_eq!(&*model.constant_input(id, 2).unwrap().to_f32().unwrap(), [1.0, 1.0, 2.0]);
        assert_eq!(model.constant_input(id, 1).unwrap().len(), 0);
        assert_eq!(model.node(id).str("coordinate_transformation_mode"), Some("asymmetric"));
        assert_eq!(model.node(id).str("nearest_mode"), Some("floor"));
        assert_eq!(raised.changed, ["\"node\" (Upsample)"]);
        crate::ir::verify(&model).unwrap();
    }
}
