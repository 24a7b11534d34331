//! Weights that the graph makes of others, by sums and functions, are computed once.
//!
//! ```text
//! v ─► ReduceL2 ─► Div(g) ─► Mul(v) ─► Conv                     Conv(g·v/‖v‖)      weight normalization
//! w ─► ReduceMean ─► Sub ─► BatchNormalization ─► Conv          Conv((w − μ)/σ)    standardized weights
//! a, b ─► MatMul ─► Mul(s) ─► Add(w) ─► MatMul                  MatMul(w + s·a·b)  adapters of low rank
//! ```
//!
//! As [`fold-constants`](super::fold_constants) with its bounds and refusals, but by rules that are exact only up to rounding
//! ([`field@crate::ops::OpDef::fold_rounded`]): a runtime adds up in its own order, and has its own exponential function. They compute in
//! double precision, products of matrices in single.

use std::collections::HashSet;

use super::fold_constants::fold_all;
use crate::error::Result;
use crate::ir::{GraphEdit, Model, ValueId};
use crate::ops::{self, Fold, OpDef};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fold-weights", "compute weights that are made of constants by sums and functions", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    if !meets_constants(edit) {
        return Ok(PassReport::default());
    }
    let mut report = fold_all(edit, PASS.name, any)?;
    // What is exact was refused before.
    report.refusals.retain(|r| ops::find("", &r.op_type).is_some_and(|op| op.fold.is_none()));
    Ok(report)
}

/// Whether there is anything that `fold-constants` has not gone through.
fn meets_constants(model: &Model) -> bool {
    let mut made: HashSet<ValueId> = HashSet::new();
    for node in model.all_nodes() {
        let n = model.node(node);
        let Some(op) = ops::of(n).filter(|op| any(op).is_some()) else { continue };
        if n.inputs().iter().flatten().all(|v| made.contains(v) || model.constant(*v).is_some()) {
            if op.fold.is_none() {
                return true;
            }
            made.extend(n.outputs().iter().flatten());
        }
    }
    false
}

fn any(op: &OpDef) -> Option<Fold> {
    op.fold.or(op.fold_rounded)
}
