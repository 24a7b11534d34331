//! A weight that is stored in a shorter float, and cast before it is multiplied, becomes a constant of float32.
//!
//! ```text
//! W f16 ─► Cast(float) ─► MatMul        W' float ─► MatMul
//! ```
//!
//! Every number stays. Runs before weights become integers, which take less room than either; what is only cast, and multiplies nothing,
//! is no match, nor is a Cast that others read, too, or that is a graph output.

use crate::error::Result;
use crate::ir::{DType, GraphEdit, NodeId};
use crate::passes::support::{is_weight_alone, made_constant};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fold-weight-casts", "make weights that are cast to float32 constants of float32", run)
        .on_demand()
        .exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Cast"], |edit, id| Ok(fold(edit, id).unwrap_or(Outcome::NoMatch)))
}

fn fold(edit: &mut GraphEdit, id: NodeId) -> Option<Outcome> {
    let y = edit.node(id).output(0)?;
    let short = edit.constant_input(id, 0).filter(|t| matches!(t.dtype(), DType::F16 | DType::BF16))?;
    let float = edit.node(id).int_or("to", 0) == i64::from(DType::F32.code());
    if !float || !is_weight_alone(edit, y) {
        return None;
    }
    let floats = short.as_floats(DType::F32)?;
    made_constant(edit, id, y, floats)
}
