//! Say a reduction over all spatial axes as global pooling.
//!
//! ```text
//! x[N, C, …] ─► ReduceMean(2, 3, …) ─► y        x ─► GlobalAveragePool ─► y
//! x[N, C, …] ─► ReduceMax(2, 3, …) ─► y         x ─► GlobalMaxPool ─► y
//! ```
//!
//! Only float32, of a rank that is known to be 3 or more.
//!
//! Refuses a reduction that drops its axes: a Flatten would have to be added.

use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NodeId};
use crate::passes::support::reduced_axes;
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-global-pool", "say ReduceMean or ReduceMax over all spatial axes as global pooling", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(1, edit, PASS.name, &["ReduceMean", "ReduceMax"], find)
}

fn find(model: &Model, last: NodeId) -> Found {
    let n = model.node(last);
    let x = n.input(0)?;
    let ty = model.tensor_type(x);
    let rank = ty.rank().filter(|r| *r >= 3 && ty.dtype == Some(DType::F32))?;
    let mut axes = reduced_axes(model, last, rank)?;
    axes.sort_unstable();
    if !axes.into_iter().eq(2..rank) {
        return None;
    }
    if n.int_or("keepdims", 1) == 0 {
        return Some(Err("it drops its axes: a Flatten would have to be added".into()));
    }
    let op_type = if n.is("ReduceMean") { "GlobalAveragePool" } else { "GlobalMaxPool" };
    Some(Ok(Pattern { inner: vec![], last, op_type, x, constants: vec![], attrs: vec![] }))
}
