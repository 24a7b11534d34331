//! Fold the multiplication by a constant into the weight of the operator before it.
//!
//! ```text
//! W' = s·W        b' = s·b        s = c, or 1/c for Div, or −1 for Neg
//!
//! x ─► Conv(W, b) ─► Mul(c) ─► y        x ─► Conv(W', b') ─► y
//! ```
//!
//! c is one number or one per output channel; the same for ConvTranspose, Gemm and MatMul.
//!
//! Refuses when the operator's output has another reader or is a graph output, when its bias is not
//! constant, when a shared weight had to be copied at the file's expense, when a product overflows.

use super::fold::fold_after;
use crate::error::Result;
use crate::ir::GraphEdit;
use crate::passes::{Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "fold-scale",
    "fold the multiplication by a constant into the weight of the Conv, Gemm or MatMul before it",
    run,
)
.of_family("affine");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Mul", "Div", "Neg"], |edit, node| Ok(fold_after(edit, node)))
}
