//! Arithmetic with broadcasting.

use super::{MAX_ELEMENTS, broadcast, from_i64, input, ints_of, view};
use crate::ir::shape::axis_of;
use crate::ir::tensor::element_count;
use crate::ir::{DType, Node, Tensor};

type Inputs<'a> = [Option<&'a Tensor>];

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

pub fn neg(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    if x.dtype().is_float() {
        return Some(vec![float(x, |v| -v, |v| -v)?]);
    }
    let values = x.to_i64()?.into_iter().map(i64::checked_neg).collect::<Option<Vec<_>>>()?;
    Some(vec![from_i64(x.dtype(), x.shape(), values)?])
}

pub fn floor(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    Some(vec![float(input(inputs, 0)?, f32::floor, f64::floor)?])
}

pub fn sqrt(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    Some(vec![float(input(inputs, 0)?, f32::sqrt, f64::sqrt)?])
}

/// Of integer vectors: how graphs count elements.
pub fn reduce_prod(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0).filter(|x| x.rank() == 1)?;
    let axes = ints_of(node, inputs, "axes", 1)?.unwrap_or_default();
    let skipped = axes.is_empty() && node.int_or("noop_with_empty_axes", 0) != 0;
    if skipped || axes.iter().any(|a| axis_of(*a, 1).is_none()) {
        return None;
    }
    let shape: &[usize] = if node.int_or("keepdims", 1) != 0 { &[1] } else { &[] };
    let value = x.to_i64()?.into_iter().try_fold(1i64, i64::checked_mul)?;
    Some(vec![from_i64(x.dtype(), shape, vec![value])?])
}
