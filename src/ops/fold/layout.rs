//! Operators that move or select elements.

use super::{Inputs, MAX_ELEMENTS, broadcast, input, ints_of, pick, sizes, strides, view};
use crate::ir::shape::axis_of;
use crate::ir::tensor::element_count;
use crate::ir::{Node, Tensor};
use crate::ops::infer::layout::clamp;

fn shaped(x: &Tensor, shape: Vec<usize>) -> Option<Vec<Tensor>> {
    Some(vec![x.reshaped(shape).ok()?])
}

pub fn same(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    shaped(x, x.shape().to_vec())
}

pub fn reshape(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let wanted = ints_of(node, inputs, "shape", 1)??;
    let copies = node.int_or("allowzero", 0) == 0;
    let size = |(i, n): (usize, &i64)| match n {
        0 if copies => x.shape().get(i).copied(),
        -1 => Some(1),
        n => usize::try_from(*n).ok(),
    };
    let mut shape = wanted.iter().enumerate().map(size).collect::<Option<Vec<_>>>()?;
    if let Some(rest) = wanted.iter().position(|n| *n == -1) {
        shape[rest] = x.len().checked_div(element_count(&shape)?)?;
    }
    shaped(x, shape)
}

pub fn flatten(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let axis = node.int_or("axis", 1);
    let axis = if axis == x.rank() as i64 { x.rank() } else { axis_of(axis, x.rank())? };
    let (rows, columns) = x.shape().split_at(axis);
    shaped(x, vec![element_count(rows)?, element_count(columns)?])
}

pub fn squeeze(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let gone = match ints_of(node, inputs, "axes", 1)? {
        Some(axes) => axes.iter().map(|a| axis_of(*a, x.rank())).collect::<Option<Vec<_>>>()?,
        None => (0..x.rank()).filter(|i| x.shape()[*i] == 1).collect(),
    };
    shaped(x, (0..x.rank()).filter(|i| !gone.contains(i)).map(|i| x.shape()[i]).collect())
}

pub fn unsqueeze(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let axes = ints_of(node, inputs, "axes", 1)??;
    let rank = x.rank().checked_add(axes.len())?;
    let new = axes.iter().map(|a| axis_of(*a, rank)).collect::<Option<Vec<_>>>()?;
    let mut old = x.shape().iter().copied();
    shaped(x, (0..rank).map(|i| if new.contains(&i) { Some(1) } else { old.next() }).collect::<Option<_>>()?)
}

pub fn transpose(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let perm: Vec<usize> = match node.ints("perm") {
        Some(perm) => perm.iter().map(|p| axis_of(*p, x.rank())).collect::<Option<_>>()?,
        None => (0..x.rank()).rev().collect(),
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..x.rank()) {
        return None;
    }
    let own = strides(x.shape());
    let shape: Vec<usize> = perm.iter().map(|p| x.shape()[*p]).collect();
    let moved: Vec<i64> = perm.iter().map(|p| own[*p]).collect();
    Some(vec![pick(x, &shape, &view(&shape, &moved, 0))?])
}

pub fn slice(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let starts = ints_of(node, inputs, "starts", 1)??;
    let ends = ints_of(node, inputs, "ends", 2)??;
    let axes = ints_of(node, inputs, "axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = match input(inputs, 4) {
        Some(steps) => steps.to_i64()?,
        None => vec![1; starts.len()],
    };
    let (mut shape, mut strides, mut offset) = (x.shape().to_vec(), strides(x.shape()), 0);
    for (i, axis) in axes.iter().enumerate() {
        let axis = axis_of(*axis, x.rank())?;
        let n = i64::try_from(shape[axis]).ok()?;
        let (start, count) = clamp(n, *starts.get(i)?, *ends.get(i)?, *steps.get(i)?)?;
        shape[axis] = usize::try_from(count).ok()?;
        offset += start * strides[axis];
        strides[axis] = strides[axis].checked_mul(if count > 1 { steps[i] } else { 1 })?;
    }
    Some(vec![pick(x, &shape, &view(&shape, &strides, offset))?])
}

pub fn gather(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let (x, indices) = (input(inputs, 0)?, input(inputs, 1)?);
    let axis = axis_of(node.int_or("axis", 0), x.rank())?;
    let rows = indices.to_i64()?.iter().map(|i| axis_of(*i, x.shape()[axis])).collect::<Option<Vec<_>>>()?;
    let shape = [&x.shape()[..axis], indices.shape(), &x.shape()[axis + 1..]].concat();
    element_count(&shape).filter(|n| *n <= MAX_ELEMENTS.max(x.len()))?;
    let (outer, inner) = (element_count(&x.shape()[..axis])?, element_count(&x.shape()[axis + 1..])?);
    let n = x.shape()[axis];
    let rows = &rows;
    let places: Vec<usize> = (0..outer)
        .flat_map(|o| rows.iter().flat_map(move |r| (0..inner).map(move |i| (o * n + r) * inner + i)))
        .collect();
    Some(vec![pick(x, &shape, &places)?])
}

pub fn concat(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let parts: Vec<&Tensor> = inputs.iter().copied().collect::<Option<_>>()?;
    let first = *parts.first()?;
    let axis = axis_of(node.int_or("axis", 1), first.rank())?;
    let fits = |t: &&Tensor| {
        let same = |(i, n): (usize, &usize)| i == axis || *n == first.shape()[i];
        t.dtype() == first.dtype() && t.rank() == first.rank() && t.shape().iter().enumerate().all(same)
    };
    if !parts.iter().all(fits) || first.strings().is_some() || first.dtype().bits() % 8 != 0 {
        return None;
    }
    let mut shape = first.shape().to_vec();
    shape[axis] = parts.iter().try_fold(0usize, |sum, t| sum.checked_add(t.shape()[axis]))?;
    let outer = element_count(&shape[..axis])?;
    let mut bytes = Vec::new();
    for i in 0..outer {
        for part in &parts {
            let chunk = part.byte_len() / outer;
            bytes.extend_from_slice(&part.bytes()[i * chunk..(i + 1) * chunk]);
        }
    }
    Some(vec![Tensor::from_bytes(first.dtype(), shape, bytes).ok()?])
}

pub fn expand(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let wanted = sizes(&input(inputs, 1)?.to_i64()?)?;
    let (shape, strides) = broadcast(&[x.shape(), &wanted])?;
    element_count(&shape).filter(|n| *n <= MAX_ELEMENTS)?;
    Some(vec![pick(x, &shape, &view(&shape, &strides[0], 0))?])
}

pub fn tile(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let repeats = sizes(&input(inputs, 1)?.to_i64()?)?;
    if repeats.len() != x.rank() {
        return None;
    }
    let shape = x.shape().iter().zip(&repeats).map(|(n, r)| n.checked_mul(*r)).collect::<Option<Vec<_>>>()?;
    element_count(&shape).filter(|n| *n <= MAX_ELEMENTS)?;
    // Each axis as two: which copy, which element.
    let own = strides(x.shape());
    let split: Vec<usize> = repeats.iter().zip(x.shape()).flat_map(|(r, n)| [*r, *n]).collect();
    let steps: Vec<i64> = own.iter().flat_map(|s| [0, *s]).collect();
    Some(vec![pick(x, &shape, &view(&split, &steps, 0))?])
}
