//! Say x·tanh(softplus(x)) as Mish.
//!
//! ```text
//! x ─► Softplus ─► Tanh ─► Mul(x) ─► y        x ─► Mish ─► y
//! ```
//!
//! Only float32. Raises the opset to 18, the first with Mish. Softplus in two operators is for `fuse-softplus`.
//!
//! Refuses when a value in between has another reader or is a graph output, and when the opset cannot be raised.

use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NodeId};
use crate::passes::support::producer_of;
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass = Pass::new("fuse-mish", "say x times Tanh(Softplus(x)) as Mish", run);

/// The first with Mish.
const OPSET: i64 = 18;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(OPSET, edit, PASS.name, &["Mul"], find)
}

fn find(model: &Model, last: NodeId) -> Found {
    (0..2).find_map(|i| {
        let x = model.node(last).input(1 - i)?;
        let tanh = producer_of(model, last, i, &["Tanh"])?;
        let plus = producer_of(model, tanh, 0, &["Softplus"]).filter(|s| model.node(*s).input(0) == Some(x))?;
        let single = model.tensor_type(x).dtype == Some(DType::F32);
        let inner = vec![plus, tanh];
        single.then(|| Ok(Pattern { inner, last, op_type: "Mish", x, constants: vec![], attrs: vec![] }))
    })
}
