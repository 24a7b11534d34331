//! Resize to the nearest element.

use super::{Inputs, MAX_ELEMENTS, input, pick};
use crate::ir::shape::axis_of;
use crate::ir::tensor::element_count;
use crate::ir::{Node, Tensor};
use crate::ops::resize::coordinate;

/// What lies so close to the edge between two elements, a runtime may round to either.
const CLOSE: f64 = 1e-4;

pub fn nearest(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let plain = node.str("mode").is_none_or(|m| m == "nearest")
        && node.str("keep_aspect_ratio_policy").is_none_or(|p| p == "stretch")
        && node.int_or("antialias", 0) == 0;
    // Below 11 the second input is the scales.
    if !plain || inputs.len() < 3 || x.is_empty() {
        return None;
    }
    let axes = match node.ints("axes") {
        Some(axes) => axes.iter().map(|a| axis_of(*a, x.rank())).collect::<Option<Vec<_>>>()?,
        None => (0..x.rank()).collect(),
    };
    let scales = input(inputs, 2).filter(|s| !s.is_empty()).map(|s| s.to_f32());
    let sizes = input(inputs, 3).map(Tensor::to_i64);
    let rounds = node.str("nearest_mode").unwrap_or("round_prefer_floor");
    // For each axis the element that each of the result is taken from.
    let mut taken: Vec<Vec<usize>> = x.shape().iter().map(|n| (0..*n).collect()).collect();
    for (i, axis) in axes.into_iter().enumerate() {
        let length = x.shape()[axis];
        let (scale, size) = match (&scales, &sizes) {
            (Some(scales), None) => {
                let scale = f64::from(*scales.as_ref()?.get(i)?);
                (scale, (length as f64 * scale).floor() as usize)
            }
            (None, Some(sizes)) => {
                let size = usize::try_from(*sizes.as_ref()?.get(i)?).ok()?;
                (size as f64 / length as f64, size)
            }
            _ => return None,
        };
        // By the standard a scale that keeps the size moves values; ONNX Runtime copies them.
        match size == length {
            true if scale == 1.0 => continue,
            true => return None,
            false => {}
        }
        let source = |i: usize| {
            let at = coordinate(node, i, (length, size), scale).ok()?;
            let (edge, up) = match rounds {
                "round_prefer_floor" => (at - 0.5, true),
                "round_prefer_ceil" => (at + 0.5, false),
                "floor" => (at, false),
                "ceil" => (at, true),
                _ => return None,
            };
            let near = (edge - edge.round()).abs();
            let at = if up { edge.ceil() } else { edge.floor() };
            (near == 0.0 || near > CLOSE).then(|| at.clamp(0.0, length as f64 - 1.0) as usize)
        };
        if size > MAX_ELEMENTS {
            return None;
        }
        taken[axis] = (0..size).map(source).collect::<Option<_>>()?;
    }
    let shape: Vec<usize> = taken.iter().map(Vec::len).collect();
    element_count(&shape).filter(|n| *n <= MAX_ELEMENTS.max(x.len()))?;
    let places = taken.iter().zip(x.shape()).fold(vec![0usize], |places, (taken, length)| {
        places.iter().flat_map(|p| taken.iter().map(move |t| p * length + t)).collect()
    });
    Some(vec![pick(x, &shape, &places)?])
}
