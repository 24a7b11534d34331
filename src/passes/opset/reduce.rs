//! ReduceSum in version 13, the other reductions in version 18: `axes` became input 1.
//!
//! Without axes all are reduced in both versions.

use super::{Change, attribute_input};
use crate::ir::{GraphEdit, NodeId};

const fn reduce(op_type: &'static str, since: i64) -> Change {
    Change { op_type, since, apply: axes_to_input }
}

pub(super) static CHANGES: &[Change] = &[
    reduce("ReduceSum", 13),
    reduce("ReduceL1", 18),
    reduce("ReduceL2", 18),
    reduce("ReduceLogSum", 18),
    reduce("ReduceLogSumExp", 18),
    reduce("ReduceMax", 18),
    reduce("ReduceMean", 18),
    reduce("ReduceMin", 18),
    reduce("ReduceProd", 18),
    reduce("ReduceSumSquare", 18),
];

fn axes_to_input(edit: &mut GraphEdit, node: NodeId) -> Result<bool, String> {
    Ok(attribute_input::ints(edit, node, "axes", 1))
}
