//! TopK, version 10: `k` became input 1, a vector of one int64. Version 11 added what it did anyway (largest, sorted).

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId, Tensor};

pub(super) static CHANGES: &[Change] = &[Change { op_type: "TopK", since: 10, apply: k_to_input }];

fn k_to_input(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    let k = edit.node(node).int("k").ok_or("it has no k")?;
    attribute_input::set(edit, node, "k", 1, Tensor::from_vec([1], vec![k]));
    Ok(true)
}
