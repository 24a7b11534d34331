//! Changes of a default, of a name or of a meaning that take a line each.
//!
//! | operator | version | what changed |
//! |---|---|---|
//! | Scan | 9 | scans without a batch; the old form is refused |
//! | RoiAlign | 16 | coordinates map by half a pixel unless said otherwise |
//! | GridSample | 20 | "bilinear" and "bicubic" became "linear" and "cubic" |
//! | DFT | 20 | `axis` became input 2, with another default |
//! | GroupNormalization | 21 | scale and bias per channel, not per group; refused |

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId, Tensor};

pub(super) static CHANGES: &[Change] = &[
    Change { op_type: "Scan", since: 9, apply: |_, _| Err("its old form scans batches".into()) },
    Change { op_type: "RoiAlign", since: 16, apply: say_the_mapping },
    Change { op_type: "GridSample", since: 20, apply: rename_mode },
    Change { op_type: "DFT", since: 20, apply: axis_to_input },
    Change {
        op_type: "GroupNormalization",
        since: 21,
        apply: |_, _| Err("its scale and bias are per group, version 21 has them per channel".into()),
    },
];

fn say_the_mapping(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    edit.set_attr(node, "coordinate_transformation_mode", "output_half_pixel");
    Ok(true)
}

fn rename_mode(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let renamed = match edit.node(node).str("mode") {
        Some("bilinear") => "linear",
        Some("bicubic") => "cubic",
        _ => return Ok(false),
    };
    edit.set_attr(node, "mode", renamed);
    Ok(true)
}

fn axis_to_input(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let axis = edit.node(node).int_or("axis", 1);
    attribute_input::set(edit, node, "axis", 2, Tensor::scalar(axis));
    Ok(true)
}
