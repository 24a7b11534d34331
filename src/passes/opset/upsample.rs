//! Upsample: `scales` became input 1 in version 9, and the operator became Resize in version 10.
//!
//! Resize 10 is Upsample 9 in everything that Upsample could do: nearest takes the pixel to the
//! left, linear maps coordinates by the bare scale ("asymmetric").

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId, Tensor};

pub(super) static CHANGES: &[Change] = &[
    Change { op_type: "Upsample", since: 9, apply: scales_to_input },
    Change { op_type: "Upsample", since: 10, apply: rename },
];

fn scales_to_input(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let Some(crate::ir::Attr::Floats(scales)) = edit.node(node).attr("scales").cloned() else {
        return Err("it has no scales".into());
    };
    attribute_input::set(edit, node, "scales", 1, Tensor::from_vec([scales.len()], scales));
    Ok(true)
}

fn rename(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    edit.set_op(node, "Resize", "");
    Ok(true)
}
