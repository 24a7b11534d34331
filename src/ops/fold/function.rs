//! Functions of one number.

use super::{Inputs, input};
use crate::ir::{DType, Node, Tensor};
use crate::ops::from_i64;

/// A function of floats in the precision that they have.
fn float(x: &Tensor, narrow: fn(f32) -> f32, wide: fn(f64) -> f64) -> Option<Tensor> {
    match x.dtype() {
        DType::F32 => {
            Some(Tensor::from_vec(x.shape(), x.as_slice::<f32>()?.iter().map(|v| narrow(*v)).collect::<Vec<_>>()))
        }
        DType::F64 => {
            Some(Tensor::from_vec(x.shape(), x.as_slice::<f64>()?.iter().map(|v| wide(*v)).collect::<Vec<_>>()))
        }
        _ => None,
    }
}

/// A function of floats, or of integers.
fn number(
    inputs: &Inputs,
    narrow: fn(f32) -> f32,
    wide: fn(f64) -> f64,
    int: fn(i64) -> Option<i64>,
) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    match x.dtype() {
        DType::U64 | DType::Bool => None,
        dtype if dtype.is_float() => Some(vec![float(x, narrow, wide)?]),
        dtype => {
            let values = x.to_i64()?.into_iter().map(int).collect::<Option<Vec<_>>>()?;
            Some(vec![from_i64(dtype, x.shape(), values)?])
        }
    }
}

pub fn neg(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    number(inputs, |v| -v, |v| -v, i64::checked_neg)
}

pub fn abs(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    number(inputs, f32::abs, f64::abs, i64::checked_abs)
}

pub fn sign(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    fn of(v: f64) -> f64 {
        if v == 0.0 || v.is_nan() { v } else { v.signum() }
    }
    number(inputs, |v| of(f64::from(v)) as f32, of, |v| Some(v.signum()))
}

pub fn relu(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    number(inputs, |v| if v < 0.0 { 0.0 } else { v }, |v| if v < 0.0 { 0.0 } else { v }, |v| Some(v.max(0)))
}

fn one(inputs: &Inputs, narrow: fn(f32) -> f32, wide: fn(f64) -> f64) -> Option<Vec<Tensor>> {
    Some(vec![float(input(inputs, 0)?, narrow, wide)?])
}

pub fn floor(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    one(inputs, f32::floor, f64::floor)
}

pub fn ceil(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    one(inputs, f32::ceil, f64::ceil)
}

pub fn round(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    one(inputs, f32::round_ties_even, f64::round_ties_even)
}

pub fn sqrt(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    one(inputs, f32::sqrt, f64::sqrt)
}

pub fn reciprocal(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    one(inputs, f32::recip, f64::recip)
}

/// A function that runtimes compute each in their own way: here in double precision.
macro_rules! rounded {
    ($($name:ident: $of:expr;)*) => {
        $(pub fn $name(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
            const OF: fn(f64) -> f64 = $of;
            one(inputs, |v| OF(f64::from(v)) as f32, OF)
        })*
    };
}

rounded! {
    exp: f64::exp;
    log: f64::ln;
    sin: f64::sin;
    cos: f64::cos;
    tan: f64::tan;
    tanh: f64::tanh;
    erf: libm::erf;
    sigmoid: |v| 1.0 / (1.0 + (-v).exp());
    softplus: |v| v.max(0.0) + (-v.abs()).exp().ln_1p();
}
