//! Comparison, logic and choice, with broadcasting.

use std::cmp::Ordering;

use super::{Inputs, MAX_ELEMENTS, broadcast, from_i64, input, pick, view};
use crate::ir::tensor::element_count;
use crate::ir::{DType, Node, Tensor};

fn decide(inputs: &Inputs, holds: fn(Option<Ordering>) -> bool) -> Option<Vec<Tensor>> {
    let [Some(a), Some(b)] = inputs else { return None };
    let (shape, strides) = broadcast(&[a.shape(), b.shape()])?;
    element_count(&shape).filter(|n| *n <= MAX_ELEMENTS)?;
    let pairs = view(&shape, &strides[0], 0).into_iter().zip(view(&shape, &strides[1], 0));
    let found: Vec<i64> = match (a.dtype(), b.dtype()) {
        (x, y) if x != y || x == DType::U64 => return None,
        (x, _) if x.is_float() => {
            let (x, y) = (a.to_f64()?, b.to_f64()?);
            pairs.map(|(i, j)| i64::from(holds(x[i].partial_cmp(&y[j])))).collect()
        }
        _ => {
            let (x, y) = (a.to_i64()?, b.to_i64()?);
            pairs.map(|(i, j)| i64::from(holds(Some(x[i].cmp(&y[j]))))).collect()
        }
    };
    Some(vec![from_i64(DType::Bool, &shape, found)?])
}

pub fn equal(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    decide(inputs, |o| o == Some(Ordering::Equal))
}

pub fn less(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    decide(inputs, |o| o == Some(Ordering::Less))
}

pub fn greater(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    decide(inputs, |o| o == Some(Ordering::Greater))
}

pub fn less_or_equal(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    decide(inputs, |o| o.is_some_and(Ordering::is_le))
}

pub fn greater_or_equal(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    decide(inputs, |o| o.is_some_and(Ordering::is_ge))
}

fn connect(inputs: &Inputs, op: fn(bool, bool) -> bool) -> Option<Vec<Tensor>> {
    let [Some(a), Some(b)] = inputs else { return None };
    if a.dtype() != DType::Bool || b.dtype() != DType::Bool {
        return None;
    }
    let (shape, strides) = broadcast(&[a.shape(), b.shape()])?;
    element_count(&shape).filter(|n| *n <= MAX_ELEMENTS)?;
    let (x, y) = (a.to_i64()?, b.to_i64()?);
    let pairs = view(&shape, &strides[0], 0).into_iter().zip(view(&shape, &strides[1], 0));
    let found = pairs.map(|(i, j)| i64::from(op(x[i] != 0, y[j] != 0))).collect();
    Some(vec![from_i64(DType::Bool, &shape, found)?])
}

pub fn and(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    connect(inputs, |a, b| a && b)
}

pub fn or(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    connect(inputs, |a, b| a || b)
}

pub fn not(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0).filter(|x| x.dtype() == DType::Bool)?;
    let values = x.to_i64()?.into_iter().map(|v| 1 - v).collect();
    Some(vec![from_i64(DType::Bool, x.shape(), values)?])
}

/// Where the condition holds the second input, else the third.
pub fn choose(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let [Some(condition), Some(a), Some(b)] = inputs else { return None };
    if condition.dtype() != DType::Bool || a.dtype() != b.dtype() || a.strings().is_some() {
        return None;
    }
    let (shape, strides) = broadcast(&[condition.shape(), a.shape(), b.shape()])?;
    element_count(&shape).filter(|n| *n <= MAX_ELEMENTS)?;
    // Both laid end to end, so that one pick takes from either.
    let both = [&a.bytes()[..], &b.bytes()[..]].concat();
    if a.dtype().bits() % 8 != 0 {
        return None;
    }
    let both = Tensor::from_bytes(a.dtype(), [a.len().checked_add(b.len())?], both).ok()?;
    let holds = condition.to_i64()?;
    let places =
        view(&shape, &strides[0], 0).into_iter().zip(view(&shape, &strides[1], 0)).zip(view(&shape, &strides[2], 0));
    let indices: Vec<usize> = places.map(|((c, i), j)| if holds[c] != 0 { i } else { a.len() + j }).collect();
    Some(vec![pick(&both, &shape, &indices)?])
}
