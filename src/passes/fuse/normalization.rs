//! What the decomposed normalizations share: d divided by the root of its mean square, then scaled and shifted.
//!
//! ```text
//! d = x − mean(x), or x itself        n = d/√(mean(d²) + ε)        y = n·γ + β
//!
//! d ─► Pow(2) ─► ReduceMean ─► Add(ε) ─► Sqrt ─► Div(d, ·) ─► n ─► Mul(γ) ─► Add(β) ─► y
//! ```
//!
//! d² may be Mul(d, d); the division may be Mul by Reciprocal(√·), by Div(1, √·) or by Pow(·, −½), the root Pow(·, ½).

use crate::ir::{DType, Model, NodeId, Tensor, ValueId};
use crate::passes::algebra::affine::{Channels, per_channel};
use crate::passes::support::{length, producer_of, reduced_axes, scalar};

pub(super) struct Normalized {
    pub x: ValueId,
    pub rank: usize,
    /// Whether the mean is taken away.
    pub centred: bool,
    /// Over which the means are, counted from the front.
    pub axes: Vec<usize>,
    pub epsilon: f32,
    /// All nodes but the last.
    pub inner: Vec<NodeId>,
    pub last: NodeId,
}

impl Normalized {
    /// What ends with the division `last`, of float32 and known rank.
    pub fn of(model: &Model, last: NodeId) -> Option<Normalized> {
        let (d, sum, mut inner) = divided(model, last)?;
        let (variance, epsilon) = (0..2).find_map(|i| {
            let mean = producer_of(model, sum, i, &["ReduceMean"])?;
            Some((mean, scalar(model, sum, 1 - i)?))
        })?;
        let square = producer_of(model, variance, 0, &["Pow", "Mul"])?;
        let n = model.node(square);
        let squares = match n.is("Pow") {
            true => scalar(model, square, 1) == Some(2.0),
            false => n.input(1) == Some(d),
        };
        if n.input(0) != Some(d) || !squares {
            return None;
        }
        inner.extend([sum, variance, square]);
        let centred = centred(model, last, d);
        let x = centred.map_or(d, |(x, ..)| x);
        let ty = model.tensor_type(x);
        let rank = ty.rank().filter(|_| ty.dtype == Some(DType::F32))?;
        let axes = kept_axes(model, variance, rank)?;
        if let Some((_, subtract, mean)) = centred {
            if kept_axes(model, mean, rank)? != axes {
                return None;
            }
            inner.extend([subtract, mean]);
        }
        Some(Normalized { x, rank, centred: centred.is_some(), axes, epsilon, inner, last })
    }

    /// The size of an axis of x, where it is known.
    pub fn size(&self, model: &Model, axis: usize) -> Option<usize> {
        length(model.tensor_type(self.x).shape?.get(axis)?)
    }

    /// Takes in the multiplication by γ and the addition of β that follow, as far as they follow: constants of one number for
    /// each of the `size` elements along `axis`.
    pub fn scale_and_shift(&mut self, model: &Model, axis: usize, size: usize) -> (Option<Tensor>, Option<Tensor>) {
        let gamma = self.scale(model, axis, size);
        (gamma, self.take(model, "Add", axis, size))
    }

    /// As [`Self::scale_and_shift`], the multiplication alone.
    pub fn scale(&mut self, model: &Model, axis: usize, size: usize) -> Option<Tensor> {
        self.take(model, "Mul", axis, size)
    }

    fn take(&mut self, model: &Model, op_type: &str, axis: usize, size: usize) -> Option<Tensor> {
        let value = model.node(self.last).output(0)?;
        let node = model.single_reader(value)?;
        if !model.node(node).is(op_type) || model.node(node).graph() != model.node(self.last).graph() {
            return None;
        }
        let channels = Channels { from_end: self.rank - 1 - axis, count: size, rank: Some(self.rank) };
        let at = (0..2).find(|i| model.node(node).input(1 - *i) == Some(value))?;
        if model.constant_input(node, at)?.dtype() != DType::F32 {
            return None;
        }
        let numbers = per_channel(model, node, at, channels)?;
        let number = |i: usize| if numbers.len() == 1 { numbers[0] } else { numbers[i] };
        self.inner.push(std::mem::replace(&mut self.last, node));
        Some(Tensor::from_vec([size], (0..size).map(|i| number(i) as f32).collect::<Vec<_>>()))
    }
}

/// `size` times the same number.
pub(super) fn repeated(number: f32, size: usize) -> Tensor {
    Tensor::from_vec([size], vec![number; size])
}

/// Of `last` as d/√s: d, the node that makes s, and the nodes between.
fn divided(model: &Model, last: NodeId) -> Option<(ValueId, NodeId, Vec<NodeId>)> {
    let n = model.node(last);
    if n.is("Div") {
        let root = root(model, last, 1, 0.5)?;
        return Some((n.input(0)?, root.0, vec![root.1]));
    }
    (0..2).find_map(|i| {
        let d = n.input(1 - i)?;
        if let Some((sum, power)) = root(model, last, i, -0.5) {
            return Some((d, sum, vec![power]));
        }
        let reciprocal = producer_of(model, last, i, &["Reciprocal", "Div"])?;
        // 1 ÷ √·
        let under = usize::from(model.node(reciprocal).is("Div"));
        if under == 1 && scalar(model, reciprocal, 0) != Some(1.0) {
            return None;
        }
        let (sum, root) = root(model, reciprocal, under, 0.5)?;
        Some((d, sum, vec![reciprocal, root]))
    })
}

/// The Add under a power of `exponent` that is input `index` of `node`, and the node that makes the power.
fn root(model: &Model, node: NodeId, index: usize, exponent: f32) -> Option<(NodeId, NodeId)> {
    let power = producer_of(model, node, index, &["Sqrt", "Pow"])?;
    let same = match model.node(power).is("Sqrt") {
        true => exponent == 0.5,
        false => scalar(model, power, 1) == Some(exponent),
    };
    Some((producer_of(model, power, 0, &["Add"])?, power)).filter(|_| same)
}

/// Of `d` as x − mean(x): x, the subtraction, the mean.
fn centred(model: &Model, reader: NodeId, d: ValueId) -> Option<(ValueId, NodeId, NodeId)> {
    let graph = model.node(reader).graph();
    let subtract = model.producer(d).filter(|n| model.node(*n).is("Sub") && model.node(*n).graph() == graph)?;
    let x = model.node(subtract).input(0)?;
    let mean = producer_of(model, subtract, 1, &["ReduceMean"]).filter(|m| model.node(*m).input(0) == Some(x))?;
    Some((x, subtract, mean))
}

/// The axes of a reduction that keeps them, in order.
fn kept_axes(model: &Model, node: NodeId, rank: usize) -> Option<Vec<usize>> {
    let mut axes = reduced_axes(model, node, rank).filter(|_| model.node(node).int_or("keepdims", 1) != 0)?;
    axes.sort_unstable();
    Some(axes)
}
