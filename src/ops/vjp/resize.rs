//! Resize: a linear map along each axis.
//!
//! ```text
//! y = A·x        dx = Aᵀ·dy        A[out, in]: how much of each input an output takes, from coordinates and mode
//! ```

use super::{Adjoint, Var};
use crate::ir::{Node, Tensor};
use crate::ops::resize::coordinate;

type Rule = Result<(), String>;

pub fn resize(a: &Adjoint) -> Rule {
    let (x, y) = (a.x(0).dims(), a.y().dims());
    for (attr, plain) in [("antialias", 0), ("exclude_outside", 0)] {
        if a.node.int_or(attr, plain) != plain {
            return Err(format!("it has {attr}"));
        }
    }
    if a.node.ints("axes").is_some() {
        return Err("it has axes".into());
    }
    let scales = match (a.has(3), a.has(2)) {
        (false, true) => a.model().constant_input(a.id, 2).and_then(|t| t.to_f32().map(|s| s.into_owned())),
        _ => None,
    };
    if x.contains(&0) || y.contains(&0) {
        return Ok(());
    }
    let mut gradient = a.dy();
    for axis in 0..x.len() {
        let scale = scales.as_ref().and_then(|s| s.get(axis).copied());
        let scale = scale.map_or(y[axis] as f64 / x[axis] as f64, f64::from);
        match (x[axis] == y[axis], scale == 1.0) {
            (true, true) => continue,
            // By the standard it moves values; ONNX Runtime copies them.
            (true, false) => {
                return Err(format!("its scale {scale} keeps the size of axis {axis}: runtimes do not agree on that"));
            }
            _ => {}
        }
        let map = transposed_map(&a.node, x[axis], y[axis], scale)?;
        gradient = along(a, gradient, map, axis, x[axis], y[axis]);
    }
    a.give(0, gradient);
    Ok(())
}

/// `[…, out, …]` → `[…, in, …]` by the matrix `[in, out]`.
fn along<'t>(a: &Adjoint<'t>, v: Var<'t>, map: Vec<f32>, axis: usize, size: usize, out: usize) -> Var<'t> {
    let mut dims = v.dims();
    let (outer, inner) = (dims[..axis].iter().product::<usize>(), dims[axis + 1..].iter().product::<usize>());
    let map = a.tape.constant(Tensor::from_vec([size, out], map));
    dims[axis] = size;
    map.matmul(v.reshape(&[outer, out, inner])).reshape(&dims)
}

/// Aᵀ, row-major.
fn transposed_map(node: &Node, size: usize, out: usize, scale: f64) -> Result<Vec<f32>, String> {
    let mode = node.str("mode").unwrap_or("nearest");
    let rounding = node.str("nearest_mode").unwrap_or("round_prefer_floor");
    let mut map = vec![0f32; size * out];
    let last = size - 1;
    for o in 0..out {
        let at = coordinate(node, o, (size, out), scale)?;
        let mut take = |place: f64, share: f64| map[(place.max(0.0) as usize).min(last) * out + o] += share as f32;
        match (mode, rounding) {
            ("nearest", "floor") => take(at.floor(), 1.0),
            ("nearest", "ceil") => take(at.ceil(), 1.0),
            ("nearest", "round_prefer_floor") => take((at - 0.5).ceil(), 1.0),
            ("nearest", "round_prefer_ceil") => take((at + 0.5).floor(), 1.0),
            ("linear", _) => {
                let (low, share) = (at.floor(), at - at.floor());
                take(low, 1.0 - share);
                take(low + 1.0, share);
            }
            (other, _) => return Err(format!("it resizes by {other}")),
        }
    }
    Ok(map)
}
