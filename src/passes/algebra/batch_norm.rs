//! Fold BatchNormalization into the linear operator before it.
//!
//! BN(y) = γ·(y − μ)/√(σ² + ε) + β is affine per output channel, so with s = γ/√(σ² + ε)
//!
//! ```text
//! W' = s·W        b' = s·(b − μ) + β
//!
//! x ─► Conv(W, b) ─► BatchNormalization ─► y        x ─► Conv(W', b') ─► y
//! ```
//!
//! The same for ConvTranspose and Gemm. One before a convolution is folded by `fold-input-affine`.
//!
//! Refuses when the operator's output has another reader or is a graph output, when its bias is not
//! constant, when a shared weight had to be copied at the file's expense, when a folded number overflows;
//! training mode and parameters that are not constant are no match.

use super::fold::fold_after;
use crate::error::Result;
use crate::ir::GraphEdit;
use crate::passes::{Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fold-batch-norm", "fold BatchNormalization into the Conv, ConvTranspose or Gemm before it", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["BatchNormalization"], |edit, node| Ok(fold_after(edit, node)))
}
