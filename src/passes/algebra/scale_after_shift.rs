//! Scale, then shift, before an operator that takes only a scale: the shift goes first and the scale into the weight.
//!
//! ```text
//! s·x + t = s·(x + t/s)
//!
//! x ─► Mul(s) ─► Add(t) ─► Conv(W, pads) ─► y        x ─► Add(t/s) ─► Conv(s·W, pads) ─► y
//! ```
//!
//! A convolution that pads cannot take the shift (the padding is not shifted), nor can MatMul or ConvTranspose; the zeros of the
//! padding are zeros before and after the scale. s is one number or shaped as t. t/s is rounded, for every element the same
//! way; what that leaves of t, times W, goes into the bias where there is one.
//!
//! Refuses what `fold-input-affine` refuses of the scale, and when a value in between has another reader or is a
//! graph output.

use super::affine::{Affine, keeps_shape};
use super::linear::{LINEAR, Linear};
use crate::error::Result;
use crate::ir::{GraphEdit, NodeId, Tensor};
use crate::passes::support::{from_f64, own_bytes, producer_of, read_elsewhere, set_constant};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "fold-scale-before-shift",
    "fold the Mul of Mul + Add into the padded Conv or the MatMul after them",
    run,
)
.of_family("affine");

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, LINEAR, |edit, node| Ok(fold(edit, node)))
}

fn fold(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let Some(add) = producer_of(edit, node, 0, &["Add"]) else { return Outcome::NoMatch };
    let found = (0..2).find_map(|i| Some((i, producer_of(edit, add, i, &["Mul"])?)));
    let Some((i, mul)) = found else { return Outcome::NoMatch };
    if edit.node(node).int_or("transA", 0) != 0 {
        return Outcome::NoMatch;
    }
    let linear = match Linear::of(edit, node) {
        Some(Ok(linear)) if linear.takes_shift(edit).is_err() => linear,
        _ => return Outcome::NoMatch,
    };
    let channels = linear.input_channels(edit);
    let shift = edit.constant_input(add, 1 - i).cloned();
    let scale = (0..2).find_map(|data| {
        let x = edit.node(mul).input(data).filter(|x| edit.constant(*x).is_none())?;
        let scale = edit.constant_input(mul, 1 - data)?.clone();
        // What the shift broadcasts alike stays as it is; more axes would go with the scale.
        let goes = shift.as_ref().is_some_and(|t| scale.rank() <= t.rank()) || keeps_shape(edit, mul, data, channels);
        Some((x, scale, Affine::of(edit, mul, data, channels).filter(|_| goes)?))
    });
    let (Some(shift), Some((x, scale, affine))) = (shift, scale) else { return Outcome::NoMatch };
    // Both must leave the shape of x as it is.
    if Affine::of(edit, add, i, channels).is_none() {
        return Outcome::NoMatch;
    }
    let Some(moved) = quotient(&shift, &scale) else { return Outcome::NoMatch };
    let (Some(scaled), Some(shifted)) = (edit.node(mul).output(0), edit.node(add).output(0)) else {
        return Outcome::NoMatch;
    };
    if let Some(reason) = read_elsewhere(edit, scaled).or_else(|| read_elsewhere(edit, shifted)) {
        return Outcome::Refused(reason);
    }
    let freed = own_bytes(edit, mul);
    let has_bias = edit.node(node).input(2).is_some();
    let affine = if has_bias { with_rest(affine, &shift, &moved) } else { affine };
    if let Err(reason) = linear.apply_inside(edit, &affine, freed) {
        return Outcome::Refused(reason);
    }
    set_constant(edit, add, 1 - i, moved);
    edit.set_input(add, i, Some(x));
    edit.remove_node(mul);
    Outcome::Applied
}

/// s with t − s·fl(t/s), what rounding leaves of the shift.
fn with_rest(affine: Affine, shift: &Tensor, moved: &Tensor) -> Affine {
    let (Some(t), Some(q)) = (shift.to_f64(), moved.to_f64()) else { return affine };
    let count = t.len().max(affine.scale.len());
    let rest = (0..count).map(|c| t[c % t.len()] - affine.scale_of(c) * q[c % q.len()]).collect();
    Affine { shift: rest, ..affine }
}

/// t/s, where s is one number or as many as t, none of them 0.
fn quotient(shift: &Tensor, scale: &Tensor) -> Option<Tensor> {
    if shift.dtype() != scale.dtype() || !(scale.len() == 1 || scale.shape() == shift.shape()) {
        return None;
    }
    let (t, s) = (shift.to_f64()?, scale.to_f64()?);
    let values: Vec<f64> = t.iter().zip(s.iter().cycle()).map(|(t, s)| t / s).collect();
    from_f64(shift.dtype(), shift.shape(), &values)
}
