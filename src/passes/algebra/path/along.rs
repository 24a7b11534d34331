//! y = s·x + t by one number, or by one per element of an axis, and how an operator that moves elements moves the axis.
//!
//! ```text
//! Transpose                              the axis goes with perm
//! Reshape, Flatten, Squeeze, Unsqueeze   element i lies at (i / S) mod n of an axis of size n with S elements behind it;
//!                                        it fits an axis of m with S' behind it where one is a function of the other
//! Slice, Gather, Split                   the elements that they take; those that they leave keep s = 1, t = 0
//! ```

use std::collections::HashSet;

use super::super::affine::{Affine, Channels};
use crate::analysis::{permutation, shape_of};
use crate::ir::shape::axis_of;
use crate::ir::{Dim, Model, NodeId, ValueId};
use crate::passes::support::length;

/// Operators that take part of their input along an axis.
pub const PARTS: &[&str] = &["Slice", "Gather", "Split"];

#[derive(Debug, Clone, PartialEq)]
pub struct Along {
    /// Counted from the front; `None` where one scale and one shift are meant for all elements.
    pub axis: Option<usize>,
    pub affine: Affine,
}

impl Along {
    pub fn new(axis: usize, affine: Affine) -> Along {
        let uniform = |v: &[f64]| v.iter().all(|x| *x == v[0]);
        if uniform(&affine.scale) && uniform(&affine.shift) {
            let affine = Affine { scale: vec![affine.scale_of(0)], shift: vec![affine.shift_of(0)] };
            return Along { axis: None, affine };
        }
        let n = affine.scale.len().max(affine.shift.len());
        let all = |f: &dyn Fn(usize) -> f64| (0..n).map(f).collect();
        let affine = Affine { scale: all(&|i| affine.scale_of(i)), shift: all(&|i| affine.shift_of(i)) };
        Along { axis: Some(axis), affine }
    }

    /// The scale without the shift.
    pub fn scale_only(&self) -> Along {
        Along { affine: Affine { shift: vec![0.0; self.affine.shift.len()], ..self.affine.clone() }, ..self.clone() }
    }

    pub fn is_positive(&self) -> bool {
        self.affine.scale.iter().all(|s| *s > 0.0)
    }

    /// As one per channel; `None` where the axis is another.
    pub fn per_channel(&self, channels: Channels) -> Option<&Affine> {
        let Some(axis) = self.axis else { return Some(&self.affine) };
        let fits = channels.rank? == axis + channels.from_end + 1 && channels.count == self.affine.scale.len();
        fits.then_some(&self.affine)
    }

    fn moved(&self, axis: usize) -> Along {
        Along { axis: Some(axis), ..self.clone() }
    }

    /// The same through Transpose, from its input to its output or back.
    pub fn transposed(&self, model: &Model, node: NodeId, back: bool) -> Option<Along> {
        let Some(axis) = self.axis else { return Some(self.clone()) };
        let perm = permutation(model, node)?;
        let to = match back {
            true => usize::try_from(*perm.get(axis)?).ok()?,
            false => perm.iter().position(|p| *p == axis as i64)?,
        };
        Some(self.moved(to))
    }

    /// The same on `to`, which has the elements of `from` in their order.
    pub fn reshaped(&self, model: &Model, from: ValueId, to: ValueId) -> Option<Along> {
        let Some(axis) = self.axis else { return Some(self.clone()) };
        let (from, to) = (shape_of(model, from)?, shape_of(model, to)?);
        let (n, (behind, symbols)) = (self.affine.scale.len(), elements(from.get(axis + 1..)?)?);
        (0..to.len()).find_map(|other| {
            let m = length(&to[other]).filter(|m| *m > 0)?;
            let (others_behind, others_symbols) = elements(&to[other + 1..])?;
            if symbols != others_symbols {
                return None;
            }
            let affine = if behind % others_behind == 0 && (m * others_behind) % (behind * n) == 0 {
                self.pick((0..m).map(|c| c / (behind / others_behind) % n))
            } else if others_behind % behind == 0 && (n * behind) % (m * others_behind) == 0 {
                let class = |k: usize| k / (others_behind / behind) % m;
                let first: Vec<usize> = (0..m).map(|c| (0..n).find(|k| class(*k) == c)).collect::<Option<_>>()?;
                let same = |k: usize| self.at(k) == self.at(first[class(k)]);
                (0..n).all(same).then(|| self.pick(first.into_iter()))?
            } else {
                return None;
            };
            Some(Along::new(other, affine))
        })
    }

    fn at(&self, i: usize) -> (f64, f64) {
        (self.affine.scale_of(i), self.affine.shift_of(i))
    }

    fn pick(&self, elements: impl Iterator<Item = usize>) -> Affine {
        let (scale, shift) = elements.map(|i| self.at(i)).unzip();
        Affine { scale, shift }
    }

    /// What reaches output `output` of a node of [`PARTS`].
    pub fn taken(&self, model: &Model, node: NodeId, output: usize) -> Option<Along> {
        let Some(axis) = self.axis else { return Some(self.clone()) };
        let part = Part::of(model, node, output)?;
        match part.axis == axis {
            true if part.drops_axis => {
                let affine = self.pick(part.elements.iter().copied());
                Some(Along { axis: None, affine })
            }
            true => Some(Along::new(axis, self.pick(part.elements.iter().copied()))),
            false => Some(self.moved(axis - usize::from(part.drops_axis && axis > part.axis))),
        }
    }

    /// What the input must be given so that output `output` of a node of [`PARTS`] is given this: only what is taken
    /// (`mask`), or all where nobody else reads it.
    pub fn untaken(&self, model: &Model, node: NodeId, output: usize, mask: bool) -> Option<Along> {
        if !mask && self.axis.is_none() {
            return Some(self.clone());
        }
        let part = Part::of(model, node, output)?;
        let axis = self.axis.map(|a| a + usize::from(part.drops_axis && a >= part.axis));
        if axis.is_some_and(|a| a != part.axis) {
            return (!mask).then(|| Along { axis, ..self.clone() });
        }
        let mut affine = Affine { scale: vec![1.0; part.size], shift: vec![0.0; part.size] };
        for (i, element) in part.elements.iter().enumerate() {
            (affine.scale[*element], affine.shift[*element]) = self.at(i);
        }
        Some(Along::new(part.axis, affine))
    }

    /// What input number `input` of a Concat must be given so that its output `y` is given this.
    pub fn before_concat(&self, model: &Model, node: NodeId, input: usize, y: ValueId) -> Option<Along> {
        let Some(axis) = self.axis else { return Some(self.clone()) };
        let (joined, start, size) = place_in_concat(model, node, input, y)?;
        match joined == axis {
            true => Some(Along::new(axis, self.pick(start..start + size))),
            false => Some(self.clone()),
        }
    }

    /// What the output `y` of a Concat is given where its input number `input` is given this and the others nothing.
    pub fn after_concat(&self, model: &Model, node: NodeId, input: usize, y: ValueId) -> Option<Along> {
        let (joined, start, size) = place_in_concat(model, node, input, y)?;
        if self.axis.is_some_and(|a| a != joined) {
            return None;
        }
        let total = length(model.tensor_type(y).shape?.get(joined)?)?;
        let mut affine = Affine { scale: vec![1.0; total], shift: vec![0.0; total] };
        for i in 0..size {
            (*affine.scale.get_mut(start + i)?, *affine.shift.get_mut(start + i)?) = self.at(i);
        }
        Some(Along::new(joined, affine))
    }
}

/// The axis of a Concat, where an input begins on it and how long it is.
fn place_in_concat(model: &Model, node: NodeId, input: usize, y: ValueId) -> Option<(usize, usize, usize)> {
    let n = model.node(node);
    let axis = axis_of(n.int("axis")?, model.tensor_type(y).rank()?)?;
    let size = |v: &Option<ValueId>| length(shape_of(model, (*v)?)?.get(axis)?);
    let start = n.inputs().get(..input)?.iter().map(size).sum::<Option<usize>>()?;
    Some((axis, start, size(n.inputs().get(input)?).filter(|size| *size > 0)?))
}

/// What a node of [`PARTS`] takes.
pub struct Part {
    pub axis: usize,
    /// Elements of the input's axis.
    pub size: usize,
    pub elements: Vec<usize>,
    drops_axis: bool,
}

impl Part {
    /// `None` where it is not known, nothing, or an element twice.
    pub fn of(model: &Model, node: NodeId, output: usize) -> Option<Part> {
        Self::find(model, node, output).filter(|part| !part.elements.is_empty())
    }

    fn find(model: &Model, node: NodeId, output: usize) -> Option<Part> {
        let n = model.node(node);
        let shape = shape_of(model, n.input(0)?)?;
        let size = |axis: usize| length(&shape[axis]);
        let numbers = |input: usize| model.constant_input(node, input)?.to_i64();
        let axis = |axis: i64| axis_of(axis, shape.len());
        match n.op_type.as_str() {
            "Gather" => {
                let axis = axis(n.int_or("axis", 0))?;
                let (size, indices) = (size(axis)?, model.constant_input(node, 1)?);
                let elements: Vec<usize> = numbers(1)?.into_iter().map(|i| axis_of(i, size)).collect::<Option<_>>()?;
                let distinct = elements.iter().collect::<HashSet<_>>().len() == elements.len();
                (indices.rank() <= 1 && distinct).then(|| Part {
                    axis,
                    size,
                    elements,
                    drops_axis: indices.rank() == 0,
                })
            }
            "Slice" => {
                let (starts, ends) = (numbers(1)?, numbers(2)?);
                let unit = n.input(4).is_none_or(|_| numbers(4).is_some_and(|s| s == [1]));
                let axes = if n.input(3).is_some() { numbers(3)? } else { vec![0] };
                let ([start], [end], [at], true) = (&starts[..], &ends[..], &axes[..], unit) else { return None };
                let axis = axis(*at)?;
                let size = size(axis)?;
                let clamp =
                    |i: i64| (if i < 0 { i.saturating_add(size as i64) } else { i }).clamp(0, size as i64) as usize;
                Some(Part { axis, size, elements: (clamp(*start)..clamp(*end)).collect(), drops_axis: false })
            }
            "Split" => {
                let axis = axis(n.int_or("axis", 0))?;
                let length = |v: ValueId| length(shape_of(model, v)?.get(axis)?);
                let lengths: Vec<usize> = n.outputs().iter().map(|o| length((*o)?)).collect::<Option<_>>()?;
                let size = size(axis).filter(|s| *s == lengths.iter().sum::<usize>())?;
                let start: usize = lengths.get(..output)?.iter().sum();
                Some(Part { axis, size, elements: (start..start + lengths.get(output)?).collect(), drops_axis: false })
            }
            _ => None,
        }
    }
}

/// So many that the product with the length of an axis can still be computed.
const MOST: usize = 1 << 40;

/// How many elements a part of a shape has: a number times these sizes.
fn elements(dims: &[Dim]) -> Option<(usize, Vec<String>)> {
    let (mut count, mut symbols) = (1usize, Vec::new());
    for dim in dims {
        match dim {
            Dim::Symbol(name) => symbols.push(name.clone()),
            dim => count = count.checked_mul(usize::try_from(dim.known()?).ok().filter(|n| *n > 0)?)?,
        }
    }
    symbols.sort();
    (count <= MOST).then_some((count, symbols))
}
