//! Reductions.

use super::{Context, one};
use crate::ir::shape::axis_of;
use crate::ir::{DType, Dim, Shape, TensorType};

fn without(shape: &[Dim], axes: &[usize], keep: bool) -> Shape {
    let kept = |(i, d): (usize, &Dim)| match (axes.contains(&i), keep) {
        (false, _) => Some(d.clone()),
        (true, true) => Some(Dim::Known(1)),
        (true, false) => None,
    };
    shape.iter().enumerate().filter_map(kept).collect()
}

/// Axes from the attribute or the second input; all where none is given.
pub fn reduce(c: &Context) -> Option<Vec<TensorType>> {
    let x = c.shape(0)?;
    let given = c.ints_of("axes", 1)?.filter(|a| !a.is_empty());
    let axes = match given {
        Some(axes) => axes.iter().map(|a| axis_of(*a, x.len())).collect::<Option<Vec<_>>>()?,
        None if c.node.int_or("noop_with_empty_axes", 0) != 0 => Vec::new(),
        None => (0..x.len()).collect(),
    };
    one(c.dtype(0), Some(without(x, &axes, c.node.int_or("keepdims", 1) != 0)))
}

/// ArgMax and ArgMin: int64 indices.
pub fn arg(c: &Context) -> Option<Vec<TensorType>> {
    let x = c.shape(0)?;
    let axis = axis_of(c.node.int_or("axis", 0), x.len())?;
    one(Some(DType::I64), Some(without(x, &[axis], c.node.int_or("keepdims", 1) != 0)))
}
