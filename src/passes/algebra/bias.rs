//! Fold the addition of a constant into the bias of the operator before it.
//!
//! ```text
//! b' = b + c        (Sub: b − c;  c − y: W' = −W, b' = c − b)
//!
//! x ─► Conv(W, b) ─► Add(c) ─► y        x ─► Conv(W, b') ─► y
//! ```
//!
//! c is one number or one per output channel; the same for ConvTranspose and Gemm.
//!
//! Refuses when the operator's output has another reader or is a graph output, when its bias is not
//! constant or differs by row, when the sum overflows.

use super::fold::fold_after;
use crate::error::Result;
use crate::ir::GraphEdit;
use crate::passes::{Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "fold-bias",
    "fold the addition of a constant into the bias of the Conv, ConvTranspose or Gemm before it",
    run,
)
.of_family("affine");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Add", "Sub"], |edit, node| Ok(fold_after(edit, node)))
}
