//! In which order a Transpose takes the axes of its input.

use crate::ir::{Model, NodeId};

/// The order of the axes, from the attribute or reversed where the rank is known.
pub fn permutation(model: &Model, node: NodeId) -> Option<Vec<i64>> {
    let n = model.node(node);
    match n.ints("perm") {
        Some(perm) => Some(perm.to_vec()),
        None => Some((0..model.tensor_type(n.input(0)?).rank()? as i64).rev().collect()),
    }
}
