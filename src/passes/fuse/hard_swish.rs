//! Say x·HardSigmoid(x) as HardSwish.
//!
//! ```text
//! x·max(0, min(1, x/6 + 1/2)) = HardSwish(x)
//!
//! x ─► HardSigmoid(α = 1/6, β = 1/2) ─► Mul(x) ─► y        x ─► HardSwish ─► y
//! ```
//!
//! Raises the opset to 14, the first with HardSwish.
//!
//! Refuses when the gate has another reader or is a graph output, and when the opset cannot be raised.

use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId};
use crate::passes::support::producer_of;
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass = Pass::new("fuse-hard-swish", "say x times HardSigmoid(x) as HardSwish", run);

/// The first with HardSwish.
const OPSET: i64 = 14;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(OPSET, edit, PASS.name, &["Mul"], find)
}

fn find(model: &Model, last: NodeId) -> Found {
    (0..2).find_map(|i| {
        let x = model.node(last).input(1 - i)?;
        let gate = producer_of(model, last, i, &["HardSigmoid"]).filter(|g| model.node(*g).input(0) == Some(x))?;
        let n = model.node(gate);
        let standard = n.float_or("alpha", 0.2) == 1.0 / 6.0 && n.float_or("beta", 0.5) == 0.5;
        let inner = vec![gate];
        standard.then(|| Ok(Pattern { inner, last, op_type: "HardSwish", x, constants: vec![], attrs: vec![] }))
    })
}
