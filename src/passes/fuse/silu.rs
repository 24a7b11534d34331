//! Say x·Sigmoid(x) as Swish.
//!
//! ```text
//! x ─► Sigmoid ─► Mul(x) ─► y        x ─► Swish ─► y
//! ```
//!
//! Only float32. Raises the opset to 24, the first with Swish.
//!
//! Refuses when the gate has another reader or is a graph output, and when the opset cannot be raised.

use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NodeId};
use crate::passes::support::producer_of;
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass = Pass::new("fuse-silu", "say x times Sigmoid(x) as Swish", run);

/// The first with Swish.
const OPSET: i64 = 24;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(OPSET, edit, PASS.name, &["Mul"], find)
}

fn find(model: &Model, last: NodeId) -> Found {
    (0..2).find_map(|i| {
        let x = model.node(last).input(1 - i)?;
        let gate = producer_of(model, last, i, &["Sigmoid"]).filter(|g| model.node(*g).input(0) == Some(x))?;
        let single = model.tensor_type(x).dtype == Some(DType::F32);
        single.then(|| Ok(Pattern { inner: vec![gate], last, op_type: "Swish", x, constants: vec![], attrs: vec![] }))
    })
}
