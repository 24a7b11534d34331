//! Operators that take elements from places, or put them there, which other tensors name.

use super::{Inputs, MAX_ELEMENTS, input, pick, strides, view, width};
use crate::ir::shape::axis_of;
use crate::ir::tensor::element_count;
use crate::ir::{Node, Tensor};

/// The place in `x` of each element of `indices`, which stand for its own place along the axis.
fn along(node: &Node, x: &Tensor, indices: &Tensor) -> Option<Vec<usize>> {
    let axis = axis_of(node.int_or("axis", 0), x.rank())?;
    let fits = |(i, n): (usize, &usize)| i == axis || *n <= x.shape()[i];
    if indices.rank() != x.rank() || !indices.shape().iter().enumerate().all(fits) {
        return None;
    }
    let mut steps = strides(x.shape());
    let step = usize::try_from(std::mem::take(&mut steps[axis])).ok()?;
    let rows = indices.to_i64()?;
    let places = view(indices.shape(), &steps, 0).into_iter().zip(rows);
    places.map(|(place, row)| Some(place + axis_of(row, x.shape()[axis])? * step)).collect()
}

pub fn gather_elements(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let (x, indices) = (input(inputs, 0)?, input(inputs, 1)?);
    Some(vec![pick(x, indices.shape(), &along(node, x, indices)?)?])
}

pub fn scatter_elements(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let (x, indices, updates) = (input(inputs, 0)?, input(inputs, 1)?, input(inputs, 2)?);
    if updates.shape() != indices.shape() {
        return None;
    }
    put(node, x, updates, &along(node, x, indices)?)
}

/// The places in `x` of the elements that each row of `indices` names, and how many each names.
fn named(x: &Tensor, indices: &Tensor) -> Option<(Vec<usize>, usize)> {
    let depth = *indices.shape().last()?;
    let (named, rest) = x.shape().split_at_checked(depth)?;
    let inner = element_count(rest)?;
    let steps = strides(x.shape());
    let row = |row: &[i64]| {
        let at = row.iter().zip(named).zip(&steps);
        at.map(|((i, n), step)| Some(axis_of(*i, *n)? * usize::try_from(*step).ok()?)).sum::<Option<usize>>()
    };
    let starts = indices.to_i64()?.chunks(depth.max(1)).map(row).collect::<Option<Vec<usize>>>()?;
    Some((starts.into_iter().flat_map(|start| start..start + inner).collect(), inner))
}

pub fn gather_nd(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let (x, indices) = (input(inputs, 0)?, input(inputs, 1)?);
    let depth = *indices.shape().last()?;
    let places = (node.int_or("batch_dims", 0) == 0 && depth > 0).then(|| named(x, indices)).flatten()?.0;
    let shape = [&indices.shape()[..indices.rank() - 1], &x.shape()[depth..]].concat();
    Some(vec![pick(x, &shape, &places)?])
}

pub fn scatter_nd(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let (x, indices, updates) = (input(inputs, 0)?, input(inputs, 1)?, input(inputs, 2)?);
    let depth = *indices.shape().last().filter(|depth| **depth > 0)?;
    let (places, _) = named(x, indices)?;
    let shape = [&indices.shape()[..indices.rank() - 1], &x.shape()[depth..]].concat();
    if updates.shape() != shape {
        return None;
    }
    put(node, x, updates, &places)
}

/// `x` with the elements of `updates` at `places`.
fn put(node: &Node, x: &Tensor, updates: &Tensor, places: &[usize]) -> Option<Vec<Tensor>> {
    let replaces = node.str("reduction").is_none_or(|r| r == "none");
    let width = width(x).filter(|_| replaces && x.dtype() == updates.dtype())?;
    let (mut bytes, new) = (x.bytes().to_vec(), updates.bytes());
    for (place, new) in places.iter().zip(new.chunks_exact(width)) {
        bytes.get_mut(place * width..(place + 1) * width)?.copy_from_slice(new);
    }
    Some(vec![Tensor::from_bytes(x.dtype(), x.shape(), bytes).ok()?])
}

/// The part of matrices on one side of a diagonal, zeros elsewhere.
pub fn trilu(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let (_, [rows, columns]) = x.shape().split_last_chunk()?;
    let k = input(inputs, 1).map_or(Some(0), |k| k.to_i64()?.first().copied())?;
    let upper = node.int_or("upper", 1) != 0;
    let width = width(x).filter(|_| !x.is_empty())?;
    let mut bytes = x.bytes().to_vec();
    for (i, element) in bytes.chunks_exact_mut(width).enumerate() {
        let (row, column) = ((i / columns % rows) as i64, (i % columns) as i64);
        let stays = if upper { column >= row.saturating_add(k) } else { column <= row.saturating_add(k) };
        if !stays {
            element.fill(0);
        }
    }
    Some(vec![Tensor::from_bytes(x.dtype(), x.shape(), bytes).ok()?])
}

/// A constant around a tensor.
pub fn pad(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let constant = node.str("mode").is_none_or(|m| m == "constant");
    // Below 11 the value is an attribute.
    if !constant || node.ints("pads").is_some() {
        return None;
    }
    let width = width(x)?;
    let pads = input(inputs, 1)?.to_i64()?;
    let axes = input(inputs, 3).map_or_else(|| Some((0..x.rank() as i64).collect()), Tensor::to_i64)?;
    if pads.len() != 2 * axes.len() {
        return None;
    }
    let (mut shape, mut offset) = (x.shape().to_vec(), vec![0usize; x.rank()]);
    for (i, axis) in axes.iter().enumerate() {
        let axis = axis_of(*axis, x.rank())?;
        let [before, after] = [pads[i], pads[axes.len() + i]].map(|n| usize::try_from(n).ok());
        offset[axis] = before?;
        shape[axis] = x.shape()[axis].checked_add(before?)?.checked_add(after?)?;
    }
    element_count(&shape).filter(|n| *n <= MAX_ELEMENTS.max(4 * x.len()))?;
    let value = input(inputs, 2).filter(|v| v.len() == 1);
    let zero = vec![0; width];
    let filled = value.map_or(zero, |v| v.bytes().to_vec()).repeat(element_count(&shape)?);
    let filled = Tensor::from_bytes(x.dtype(), &shape[..], filled).ok()?;
    let steps = strides(&shape);
    let start: i64 = offset.iter().zip(&steps).map(|(o, s)| *o as i64 * s).sum();
    put(node, &filled, x, &view(x.shape(), &steps, start))
}
