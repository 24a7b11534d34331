//! Axes, sizes and pads of a node, read and written for another order of the axes.

use super::carry::{At, Carry, Change, inverse};
use crate::ir::shape::axis_of;
use crate::ir::{Attr, DType, Dim, Tensor};
use crate::ops::from_i64;

/// The axis that an attribute names.
pub fn axis_of_node(at: &At, attr: &str, default: Option<i64>, rank: usize) -> Option<usize> {
    axis_of(at.model.node(at.node).int(attr).or(default)?, rank)
}

pub fn scalar_axis(attr: &'static str, axis: usize) -> Change {
    Change::Attr(attr, Attr::Int(axis as i64))
}

/// Constant axes, an attribute or input 1. `whole`: the layout at hand has them; else they come on top of its own.
pub fn axes_of(at: &At, whole: bool) -> Option<Vec<usize>> {
    let axes = match at.model.node(at.node).ints("axes") {
        Some(axes) => axes.to_vec(),
        None => at.model.constant_input(at.node, 1)?.to_i64()?,
    };
    let rank = at.layout.len() + if whole { 0 } else { axes.len() };
    let mut found = axes.iter().map(|a| axis_of(*a, rank)).collect::<Option<Vec<_>>>()?;
    found.sort_unstable();
    found.windows(2).all(|w| w[0] != w[1]).then_some(found)
}

/// Integers written where the node has them, attribute or input, in the dtype that they have there.
pub fn ints_like(at: &At, attr: &'static str, input: usize, ints: Vec<i64>) -> Option<Change> {
    let n = at.model.node(at.node);
    if n.ints(attr).is_some() {
        return Some(Change::Attr(attr, Attr::Ints(ints)));
    }
    let dtype = at.model.constant_input(at.node, input).map_or(DType::I64, Tensor::dtype);
    Some(Change::Input(input, from_i64(dtype, &[ints.len()], ints)?))
}

impl At<'_> {
    pub(super) fn slice(&self) -> Option<Carry> {
        let n = self.model.node(self.node);
        let old = n.ints("starts").is_some();
        let axes = match (n.ints("axes"), n.input(3)) {
            (Some(axes), _) => axes.to_vec(),
            (None, Some(axes)) => self.model.constant(axes)?.to_i64()?,
            (None, None) if old => (0..n.ints("starts")?.len() as i64).collect(),
            (None, None) => (0..self.model.tensor_type(n.input(1)?).known_shape()?.first().copied()? as i64).collect(),
        };
        let places = inverse(self.layout);
        let axes =
            axes.iter().map(|a| Some(places[axis_of(*a, self.layout.len())?] as i64)).collect::<Option<Vec<_>>>()?;
        let change = match (old, n.input(3)) {
            (true, _) => Change::Attr("axes", Attr::Ints(axes)),
            (false, Some(_)) => ints_like(self, "axes", 3, axes)?,
            // Axes are of the type of starts.
            (false, None) => {
                let dtype = self.model.tensor_type(n.input(1)?).dtype?;
                Change::Input(3, from_i64(dtype, &[axes.len()], axes)?)
            }
        };
        self.same(&[0], vec![change])
    }

    pub(super) fn pad(&self) -> Option<Carry> {
        let n = self.model.node(self.node);
        let rank = self.layout.len();
        if n.input(3).is_some() {
            let axes = self.model.constant_input(self.node, 3)?;
            return self.same(&[0], vec![self.places(3, axes)?]);
        }
        let pads = match n.ints("pads") {
            Some(pads) => pads.to_vec(),
            None => self.model.constant_input(self.node, 1)?.to_i64()?,
        };
        if pads.len() != 2 * rank {
            return None;
        }
        let moved = self.layout.iter().chain(self.layout).enumerate();
        let moved = moved.map(|(i, axis)| pads[axis + if i < rank { 0 } else { rank }]).collect();
        self.same(&[0], vec![ints_like(self, "pads", 1, moved)?])
    }

    /// One size for each axis.
    pub(super) fn sizes(&self, input: usize) -> Option<Carry> {
        let sizes = self.model.constant_input(self.node, input)?.to_i64()?;
        let moved = sizes.len() == self.layout.len();
        let moved = moved.then(|| self.layout.iter().map(|a| sizes[*a]).collect())?;
        self.same(&[0], vec![ints_like(self, "", input, moved)?])
    }

    /// Runtimes interpolate along trailing axes: the first two must come out as they went in.
    pub(super) fn resize(&self) -> Option<Carry> {
        let n = self.model.node(self.node);
        let rank = self.layout.len();
        if self.model.onnx_opset() < 11 || n.str("coordinate_transformation_mode") == Some("tf_crop_and_resize") {
            return None;
        }
        if n.ints("axes").is_some() {
            return None;
        }
        if let Some(scales) = self.model.constant_input(self.node, 2).filter(|s| !s.is_empty()) {
            let values = scales.as_slice::<f32>().filter(|s| s.len() == rank)?;
            let moved: Vec<f32> = self.layout.iter().map(|a| values[*a]).collect();
            let fits = moved.len() > 2 && moved[..2] == [1.0, 1.0] && n.input(3).is_none();
            return if fits { self.same(&[0], vec![Change::Input(2, Tensor::from_vec([rank], moved))]) } else { None };
        }
        let sizes = self.model.constant_input(self.node, 3)?.to_i64()?;
        let x = self.model.tensor_type(n.input(0)?).shape?;
        let kept = |axis: &usize| x.get(*axis).and_then(Dim::known) == sizes.get(*axis).copied();
        let fits = rank > 2 && x.len() == rank && sizes.len() == rank && self.layout[..2].iter().all(kept);
        let stretches = n.str("keep_aspect_ratio_policy").is_none_or(|p| p == "stretch");
        if fits && stretches { self.sizes(3) } else { None }
    }

    /// Axes in a constant input at their places in the layout.
    fn places(&self, input: usize, axes: &Tensor) -> Option<Change> {
        let places = inverse(self.layout);
        let moved = axes
            .to_i64()?
            .iter()
            .map(|a| Some(places[axis_of(*a, self.layout.len())?] as i64))
            .collect::<Option<Vec<_>>>()?;
        Some(Change::Input(input, from_i64(axes.dtype(), &[moved.len()], moved)?))
    }
}
