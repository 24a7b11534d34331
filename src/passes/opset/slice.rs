//! Slice, version 10: `starts`, `ends` and `axes` became inputs 1, 2 and 3.

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId};

pub(super) static CHANGES: &[Change] = &[Change { op_type: "Slice", since: 10, apply: bounds_to_inputs }];

fn bounds_to_inputs(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    for (name, index) in [("starts", 1), ("ends", 2)] {
        if !attribute_input::ints(edit, node, name, index) {
            return Err(format!("it has no {name}"));
        }
    }
    attribute_input::ints(edit, node, "axes", 3);
    Ok(true)
}
