//! Dropout, versions 10 and 12.
//!
//! Version 10 made the mask boolean; version 12 made `ratio` input 1 and added the input that says whether
//! it trains, which is no when left out. A mask that is read before version 10 is refused.

use super::{Change, attribute_input};
use crate::ir::{DType, GraphEdit, NodeId, Tensor};

pub(super) static CHANGES: &[Change] = &[
    Change { op_type: "Dropout", since: 10, apply: boolean_mask },
    Change { op_type: "Dropout", since: 12, apply: ratio_to_input },
];

fn boolean_mask(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    match edit.node(node).output(1) {
        Some(mask) if !edit.uses(mask).is_empty() => Err("its mask, which became boolean, is read".into()),
        _ => Ok(false),
    }
}

fn ratio_to_input(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let Some(ratio) = edit.node(node).float("ratio") else { return Ok(false) };
    edit.remove_attr(node, "ratio");
    let data = edit.node(node).input(0);
    // Any float type will do for the ratio, and not training it is not used.
    if data.is_some_and(|v| matches!(edit.tensor_type(v).dtype, None | Some(DType::F32))) {
        attribute_input::add(edit, node, "ratio", 1, Tensor::scalar(ratio));
    }
    Ok(true)
}
