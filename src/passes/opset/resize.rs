//! Resize, version 11: the scales moved from input 1 to input 2, after the region of interest, and
//! how coordinates map got a name.
//!
//! Version 10 maps x_in = x_out / scale ("asymmetric") and rounds nearest down; both have to be said,
//! as the new defaults differ. Scales below 1 were read differently by runtimes with mode nearest; they
//! are taken as the standard's text says.
//!
//! Version 13 dropped a mapping: floor((x_out + ½) / scale) is half_pixel rounded to the nearest, halves up.

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId, Tensor};

pub(super) static CHANGES: &[Change] = &[
    Change { op_type: "Resize", since: 11, apply: name_the_mapping },
    Change { op_type: "Resize", since: 13, apply: say_otherwise },
];

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

fn say_otherwise(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    const DROPPED: &str = "tf_half_pixel_for_nn";
    let n = edit.node(node);
    if n.str("coordinate_transformation_mode") != Some(DROPPED) {
        return Ok(false);
    }
    if n.str("mode").is_some_and(|m| m != "nearest") || n.str("nearest_mode") != Some("floor") {
        return Err(format!("it maps coordinates by {DROPPED}, which version 13 dropped"));
    }
    edit.set_attr(node, "coordinate_transformation_mode", "half_pixel");
    edit.set_attr(node, "nearest_mode", "round_prefer_ceil");
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

    #[test]
    fn the_dropped_mapping_is_said_by_another_or_refused() {
        let resize = |rounding: &str| {
            let mode = NewNode::new("Resize").attr("coordinate_transformation_mode", "tf_half_pixel_for_nn");
            let (mut model, id) = one_node(11, mode.attr("nearest_mode", rounding));
            let raised = raise(&mut GraphEdit::new(&mut model), 13);
            let text = |name: &str| model.node(id).str(name).map(str::to_string);
            raised.map(|_| (text("coordinate_transformation_mode"), text("nearest_mode")))
        };
        let (mapping, rounding) = resize("floor").unwrap();
        assert_eq!((mapping.as_deref(), rounding.as_deref()), (Some("half_pixel"), Some("round_prefer_ceil")));
        assert!(resize("ceil").is_err());
        // Where size 4 takes its values from of size 2 and the other way round, by either text of the standard.
        for (size, out) in [(2u32, 4u32), (4, 2), (3, 5), (5, 3)] {
            let scale = f64::from(out) / f64::from(size);
            for o in 0..out {
                let dropped = ((f64::from(o) + 0.5) / scale).floor();
                let said = ((f64::from(o) + 0.5) / scale - 0.5 + 0.5).floor();
                assert_eq!(dropped, said);
            }
        }
    }
}
