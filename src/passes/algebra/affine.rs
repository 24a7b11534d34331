//! What a node does to each channel of a tensor: y = s·x + t.
//!
//! ```text
//! BatchNormalization   s = γ/√(σ² + ε)   t = β − s·μ
//! Mul c                s = c             t = 0
//! Div c                s = 1/c           t = 0
//! Add c                s = 1             t = c
//! Sub c   (c − x)      s = 1 (−1)        t = −c (c)
//! Neg                  s = −1            t = 0
//! ```
//!
//! The constant must be one number or one per channel once it is broadcast against the tensor.

use crate::ir::{Model, NodeId};

/// One step of arithmetic each, where an operand is constant.
pub(super) const ARITHMETIC: &[&str] = &["Mul", "Div", "Add", "Sub"];

/// One scale and one shift per channel; a single one is meant for all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Affine {
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
}

/// Where the channels of the tensor are that the affine node reads.
#[derive(Debug, Clone, Copy)]
pub(in crate::passes) struct Channels {
    /// Axis counted from the last one, which is 0.
    pub from_end: usize,
    pub count: usize,
    /// Rank of the tensor, where known.
    pub rank: Option<usize>,
}

impl Affine {
    /// Whether it adds nothing.
    pub fn is_scale_only(&self) -> bool {
        self.shift.iter().all(|t| *t == 0.0)
    }

    /// Whether it multiplies by 1.
    pub fn is_shift_only(&self) -> bool {
        self.scale.iter().all(|s| *s == 1.0)
    }

    /// The factor of a channel.
    pub fn scale_of(&self, channel: usize) -> f64 {
        pick(&self.scale, channel)
    }

    /// The term of a channel.
    pub fn shift_of(&self, channel: usize) -> f64 {
        pick(&self.shift, channel)
    }

    /// What `node` does to its input number `data`; `None` where that is not affine per channel.
    pub fn of(model: &Model, node: NodeId, data: usize, channels: Channels) -> Option<Affine> {
        let n = model.node(node);
        if n.is("BatchNormalization") {
            return batch_norm(model, node, channels).filter(|_| data == 0);
        }
        if n.is("Neg") {
            return Some(Affine { scale: vec![-1.0], shift: vec![0.0] });
        }
        if model.onnx_opset() < 7 || data > 1 {
            return None;
        }
        let c = per_channel(model, node, 1 - data, channels)?;
        let (scale, shift) = match (n.op_type.as_str(), data) {
            ("Mul", _) => (c, vec![0.0]),
            ("Div", 0) if c.iter().all(|c| *c != 0.0) => (c.iter().map(|c| 1.0 / c).collect(), vec![0.0]),
            ("Add", _) => (vec![1.0], c),
            ("Sub", 0) => (vec![1.0], c.iter().map(|c| -c).collect()),
            ("Sub", _) => (vec![-1.0], c),
            _ => return None,
        };
        Some(Affine { scale, shift })
    }
}

/// Whether what `node` makes is shaped as its input number `data`, its channels being those of what it makes: certainly no
/// broadcast by the constant.
pub(super) fn keeps_shape(model: &Model, node: NodeId, data: usize, channels: Channels) -> bool {
    let n = model.node(node);
    if n.is_one_of(&["BatchNormalization", "Neg"]) {
        return true;
    }
    let (Some(x), Some(constant)) = (n.input(data), model.constant_input(node, 1 - data)) else { return false };
    let x = model.tensor_type(x).shape;
    // Of two ranks the greater one is that of the result.
    let lower = constant.rank() == 0 || channels.rank.is_some_and(|rank| constant.rank() < rank);
    let no_higher = x.as_ref().is_some_and(|x| constant.rank() <= x.len());
    let size = x.as_ref().and_then(|x| x.iter().rev().nth(channels.from_end)?.known());
    (lower || no_higher) && (constant.len() == 1 || size == Some(channels.count as i64))
}

fn pick(values: &[f64], channel: usize) -> f64 {
    if values.len() == 1 { values[0] } else { values[channel] }
}

fn batch_norm(model: &Model, node: NodeId, channels: Channels) -> Option<Affine> {
    let n = model.node(node);
    let at_axis_1 = channels.rank.is_some_and(|r| r >= 2 && channels.from_end == r - 2);
    let trains = n.int_or("training_mode", 0) != 0 || n.outputs().iter().skip(1).flatten().next().is_some();
    if trains || !at_axis_1 || n.int_or("spatial", 1) == 0 {
        return None;
    }
    let parameter = |i| model.constant_input(node, i)?.to_f64().filter(|p| p.len() == channels.count);
    let (gamma, beta, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = f64::from(n.float_or("epsilon", 1e-5));
    let scale: Vec<f64> = gamma.iter().zip(variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let shift = (0..beta.len()).map(|c| beta[c] - scale[c] * mean[c]).collect();
    Some(Affine { scale, shift })
}

/// The constant input, as one number or one per channel.
pub(in crate::passes) fn per_channel(
    model: &Model,
    node: NodeId,
    input: usize,
    channels: Channels,
) -> Option<Vec<f64>> {
    let tensor = model.constant_input(node, input).filter(|t| t.dtype().is_float())?;
    let shape = tensor.shape();
    // A constant of higher rank than the tensor raises the rank of the result.
    let rank_kept = match channels.rank {
        Some(rank) => shape.len() <= rank,
        None => shape.len() <= channels.from_end + 1,
    };
    let axis_fits = |(from_end, d): (usize, &usize)| *d == 1 || (from_end == channels.from_end && *d == channels.count);
    if !rank_kept || tensor.is_empty() || !shape.iter().rev().enumerate().all(axis_fits) {
        return None;
    }
    tensor.to_f64()
}
