//! Rounding to integers and back, whose gradient passes straight through.
//!
//! ```text
//! x ─► Q: q = clamp(round(x/s) + z, q_min, q_max) ─► DQ: y = s·(q − z)
//!
//! dL/dq = s·dL/dy        dL/dx = dL/dq / s where s·(q_min − z) ≤ x ≤ s·(q_max − z), else 0
//! ```
//!
//! So of both together: 1 inside the range, 0 outside, where y no longer follows x. The true derivative of a rounding is zero nearly everywhere
//! and of no use (Bengio, Léonard and Courville, Estimating or Propagating Gradients Through Stochastic Neurons, 2013; for activations with
//! a scale Jacob et al., CVPR 2018). Integers so carry a gradient, of float32, although nothing else does that is no float.
//!
//! Scale and zero point get none. Refuses where they are not one constant number each: what flows through a model has one scale.

use super::{Adjoint, Var};
use crate::ir::DType;

/// The one scale of the node.
fn scale(a: &Adjoint) -> Result<f32, String> {
    let model = a.model();
    let one = model.constant_input(a.id, 1).filter(|t| t.len() == 1).and_then(|t| t.to_f32());
    one.and_then(|s| s.first().copied()).ok_or_else(|| "its scale is not one constant number".into())
}

fn zero_point(a: &Adjoint) -> Result<i64, String> {
    if !a.has(2) {
        return Ok(0);
    }
    let model = a.model();
    let one = model.constant_input(a.id, 2).filter(|t| t.len() == 1).and_then(|t| t.to_i64());
    one.and_then(|z| z.first().copied()).ok_or_else(|| "its zero point is not one constant number".into())
}

pub fn quantize(a: &Adjoint) -> Result<(), String> {
    let (s, z) = (scale(a)?, zero_point(a)?);
    let dtype = a.model().tensor_type(a.y().id).dtype;
    let (low, high) = dtype.and_then(ends).ok_or("its integers have no known ends")?;
    let end = |q: i64| a.number((q - z) as f32 * s);
    let x = a.x(0);
    let cut: Var = a.float("Clip", &[x, end(low), end(high)], &[], &x.dims());
    a.give(0, a.dy() * x.equals(cut) * (1.0 / s));
    Ok(())
}

pub fn dequantize(a: &Adjoint) -> Result<(), String> {
    let s = scale(a)?;
    a.give(0, a.dy() * s);
    Ok(())
}

/// The least and the greatest of a type.
fn ends(dtype: DType) -> Option<(i64, i64)> {
    let bits = dtype.bits() as u32;
    match dtype {
        DType::U2 | DType::U4 | DType::U8 | DType::U16 => Some((0, (1 << bits) - 1)),
        DType::I2 | DType::I4 | DType::I8 | DType::I16 => Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1)),
        _ => None,
    }
}
