//! BatchNormalization, versions 9 and 14.
//!
//! Version 9 dropped `spatial`; a normalization per element (spatial = 0) is refused. Version 14 replaced
//! the four outputs of training by two others: unread ones are dropped, read ones refused.

use super::Change;
use crate::ir::{GraphEdit, NodeId};
use crate::passes::support::has_side_outputs;

pub(super) static CHANGES: &[Change] = &[
    Change { op_type: "BatchNormalization", since: 9, apply: drop_spatial },
    Change { op_type: "BatchNormalization", since: 14, apply: drop_training_outputs },
];

fn drop_spatial(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    match edit.node(node).int("spatial") {
        None => Ok(false),
        Some(0) => Err("it normalizes each element apart (spatial = 0), which version 9 dropped".into()),
        Some(_) => {
            edit.remove_attr(node, "spatial");
            Ok(true)
        }
    }
}

fn drop_training_outputs(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    // Naming them was training mode; exporters name them in models that are only run.
    if has_side_outputs(edit, node) {
        return Err("it is in training mode: its statistics are read".into());
    }
    let had_more = edit.node(node).outputs().len() > 1;
    edit.cut_outputs(node, 1);
    Ok(had_more)
}
