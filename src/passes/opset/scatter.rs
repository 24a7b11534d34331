//! Scatter, version 11: renamed ScatterElements.

use super::Change;
use crate::ir::{GraphEdit, NodeId};

pub(super) static CHANGES: &[Change] = &[Change { op_type: "Scatter", since: 11, apply: rename }];

fn rename(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    edit.set_op(node, "ScatterElements", "");
    Ok(true)
}
