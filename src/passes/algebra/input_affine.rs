//! Fold an affine operator into the linear operator after it.
//!
//! ```text
//! W·(s·x + t) + b = (W·s)·x + (b + W·t)
//!
//! x ─► Mul(s) ─► Conv(W, b) ─► y                   x ─► Conv(W·s, b) ─► y
//! x ─► BatchNormalization ─► Gemm(W, b) ─► y       x ─► Gemm(W·s, b + W·t) ─► y
//! ```
//!
//! s and t are one number or one per input channel of Conv, ConvTranspose, Gemm or MatMul. No match where they broadcast x,
//! or may do so.
//!
//! Refuses a shift before a convolution that pads (zeros of the padding would not be shifted), before
//! ConvTranspose and before MatMul, which has no bias; when the affine operator's output has another
//! reader or is a graph output; factors that differ so much that integers of the weight would be two bits coarser; the ½ of a decomposed GELU, which runtimes fuse; when a shared weight had to be copied at the file's expense; when a folded
//! number overflows.

use super::affine::{Affine, keeps_shape};
use super::gelu;
use super::linear::{LINEAR, Linear};
use crate::error::Result;
use crate::ir::{GraphEdit, NodeId};
use crate::passes::support::{has_side_outputs, own_bytes, producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "fold-input-affine",
    "fold Mul, Add or BatchNormalization by constants into the Conv, Gemm or MatMul after it",
    run,
)
.of_family("affine");

pub(super) const AFFINE: &[&str] = &["BatchNormalization", "Mul", "Div", "Neg", "Add", "Sub"];

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, LINEAR, |edit, node| Ok(fold(edit, node)))
}

fn fold(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let Some(before) = producer_of(edit, node, 0, AFFINE).filter(|b| !has_side_outputs(edit, *b)) else {
        return Outcome::NoMatch;
    };
    // A Gemm that reads its input transposed has its channels on the other axis.
    if edit.node(node).int_or("transA", 0) != 0 {
        return Outcome::NoMatch;
    }
    let linear = match Linear::of(edit, node) {
        None => return Outcome::NoMatch,
        Some(Err(reason)) => return Outcome::Refused(reason),
        Some(Ok(linear)) => linear,
    };
    let channels = linear.input_channels(edit);
    let found = (0..2).find_map(|data| {
        let x = edit.node(before).input(data).filter(|x| edit.constant(*x).is_none())?;
        let affine = Affine::of(edit, before, data, channels)?;
        keeps_shape(edit, before, data, channels).then_some((x, affine))
    });
    let Some((x, affine)) = found else { return Outcome::NoMatch };
    let Some(between) = edit.node(before).output(0) else { return Outcome::NoMatch };
    if let Some(reason) = read_elsewhere(edit, between) {
        return Outcome::Refused(reason);
    }
    if gelu::is_half(edit, before) {
        return Outcome::refused("the ½ of a GELU stays with it, for runtimes fuse it");
    }
    let freed = own_bytes(edit, before);
    if let Err(reason) = linear.apply_before(edit, &affine, freed) {
        return Outcome::Refused(reason);
    }
    edit.set_input(node, 0, Some(x));
    edit.remove_node(before);
    Outcome::Applied
}
