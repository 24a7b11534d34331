//! Arithmetic with broadcasting.

use super::{Inputs, MAX_ELEMENTS, broadcast, from_i64, input, view};
use crate::ir::tensor::element_count;
use crate::ir::{DType, Node, Tensor};

/// One operator on each kind of number.
struct Op {
    int: fn(i64, i64) -> Option<i64>,
    f32: fn(f32, f32) -> f32,
    f64: fn(f64, f64) -> f64,
}

fn binary(a: &Tensor, b: &Tensor, op: &Op) -> Option<Tensor> {
    if a.dtype() != b.dtype() {
        return None;
    }
    let (shape, strides) = broadcast(&[a.shape(), b.shape()])?;
    element_count(&shape).filter(|n| *n <= MAX_ELEMENTS.max(a.len()).max(b.len()))?;
    let (left, right) = (view(&shape, &strides[0], 0), view(&shape, &strides[1], 0));
    let pairs = || left.iter().zip(&right);
    match a.dtype() {
        DType::F32 => {
            let (x, y) = (a.as_slice::<f32>()?, b.as_slice::<f32>()?);
            let values: Vec<f32> = pairs().map(|(i, j)| (op.f32)(x[*i], y[*j])).collect();
            Some(Tensor::from_vec(shape, values))
        }
        DType::F64 => {
            let (x, y) = (a.as_slice::<f64>()?, b.as_slice::<f64>()?);
            let values: Vec<f64> = pairs().map(|(i, j)| (op.f64)(x[*i], y[*j])).collect();
            Some(Tensor::from_vec(shape, values))
        }
        DType::U64 | DType::Bool => None,
        dtype => {
            let (x, y) = (a.to_i64()?, b.to_i64()?);
            let values = pairs().map(|(i, j)| (op.int)(x[*i], y[*j])).collect::<Option<Vec<i64>>>()?;
            from_i64(dtype, &shape, values)
        }
    }
}

fn two(inputs: &Inputs, op: &Op) -> Option<Vec<Tensor>> {
    let [Some(a), Some(b)] = inputs else { return None };
    Some(vec![binary(a, b, op)?])
}

pub fn add(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    two(inputs, &Op { int: i64::checked_add, f32: |a, b| a + b, f64: |a, b| a + b })
}

pub fn sub(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    two(inputs, &Op { int: i64::checked_sub, f32: |a, b| a - b, f64: |a, b| a - b })
}

pub fn mul(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    two(inputs, &Op { int: i64::checked_mul, f32: |a, b| a * b, f64: |a, b| a * b })
}

/// Integers are divided towards zero.
pub fn div(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    two(inputs, &Op { int: i64::checked_div, f32: |a, b| a / b, f64: |a, b| a / b })
}

/// Not a number where either is.
fn lesser(a: f64, b: f64) -> f64 {
    if a.is_nan() || a < b { a } else { b }
}

fn greater(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

fn all(inputs: &Inputs, op: &Op) -> Option<Vec<Tensor>> {
    let (first, rest) = inputs.split_first()?;
    Some(vec![rest.iter().try_fold((*first)?.clone(), |found, t| binary(&found, (*t)?, op))?])
}

pub fn min(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let f32 = |a: f32, b: f32| lesser(f64::from(a), f64::from(b)) as f32;
    all(inputs, &Op { int: |a, b| Some(a.min(b)), f32, f64: lesser })
}

pub fn max(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let f32 = |a: f32, b: f32| greater(f64::from(a), f64::from(b)) as f32;
    all(inputs, &Op { int: |a, b| Some(a.max(b)), f32, f64: greater })
}

pub fn sum(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    all(inputs, &Op { int: i64::checked_add, f32: |a, b| a + b, f64: |a, b| a + b })
}

/// The sign is that of the divisor, with `fmod` that of the dividend.
pub fn modulo(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let ints = |a: i64, b: i64| a.checked_rem(b)?.checked_add(b)?.checked_rem(b);
    let floored = Op { int: ints, f32: |a, b| floored(a.into(), b.into()) as f32, f64: floored };
    let truncated = Op { int: i64::checked_rem, f32: |a, b| a % b, f64: |a, b| a % b };
    two(inputs, if node.int_or("fmod", 0) == 0 { &floored } else { &truncated })
}

fn floored(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}

/// Floats to the power of floats.
pub fn pow(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    two(inputs, &Op { int: |_, _| None, f32: |a, b| f64::from(a).powf(f64::from(b)) as f32, f64: f64::powf })
}

/// Bounds that are inputs.
pub fn clip(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    if node.attr("min").or(node.attr("max")).is_some() {
        return None;
    }
    let (x, low, high) = (input(inputs, 0)?, input(inputs, 1), input(inputs, 2));
    let raised = low.map_or_else(|| Some(vec![x.clone()]), |low| max(node, &[Some(x), Some(low)]))?;
    let Some(high) = high else { return Some(raised) };
    min(node, &[raised.first(), Some(high)])
}
