//! Squeeze and Unsqueeze, version 13: `axes` became input 1.
//!
//! A Squeeze without axes removes every dimension of size 1 in both versions.

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId};

pub(super) static CHANGES: &[Change] = &[
    Change { op_type: "Squeeze", since: 13, apply: axes_to_input },
    Change { op_type: "Unsqueeze", since: 13, apply: axes_to_input },
];

fn axes_to_input(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    Ok(attribute_input::ints(edit, node, "axes", 1))
}
