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

use super::fold_constants::fold_all;
use crate::error::Result;
use crate::ir::GraphEdit;
use crate::ops::{Fold, OpDef};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fold-weights", "compute weights that are made of constants by sums and functions", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fold_all(edit, PASS.name, any)
}

fn any(op: &OpDef) -> Option<Fold> {
    op.fold.or(op.fold_rounded)
}
