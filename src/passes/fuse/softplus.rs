//! Say ln(1 + eˣ) as Softplus.
//!
//! ```text
//! x ─► Exp ─► Add(1) ─► Log ─► y        x ─► Softplus ─► y
//! ```
//!
//! Only float32. Where eˣ is infinite (x > 88) the two operators gave infinity, Softplus x.
//!
//! Refuses when a value in between has another reader or is a graph output.

use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NodeId};
use crate::passes::support::{producer_of, scalar};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass = Pass::new("fuse-softplus", "say Log(1 + Exp(x)) as Softplus", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(1, edit, PASS.name, &["Log"], find)
}

fn find(model: &Model, last: NodeId) -> Found {
    let add = producer_of(model, last, 0, &["Add"])?;
    let one = (0..2).find(|i| scalar(model, add, *i) == Some(1.0))?;
    let exp = producer_of(model, add, 1 - one, &["Exp"])?;
    let x = model.node(exp).input(0).filter(|x| model.tensor_type(*x).dtype == Some(DType::F32))?;
    Some(Ok(Pattern { inner: vec![exp, add], last, op_type: "Softplus", x, constants: vec![], attrs: vec![] }))
}
