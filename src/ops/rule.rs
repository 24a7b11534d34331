//! [`QuantRule`]: how an operator takes part in quantization.

use crate::ir::{Model, Node, NodeId};

/// How an operator takes part in quantization.
#[derive(Debug, Clone, Copy)]
pub enum QuantRule {
    /// Contracts an activation with a weight.
    Weighted {
        /// Place of the activation.
        input: usize,
        /// Place of the weight.
        weight: usize,
        /// Place of the bias, where the operator can have one.
        bias: Option<usize>,
        /// The weight's output-channel axis, given its rank.
        channel_axis: fn(&Node, usize) -> usize,
        /// Whether the weight may also be an activation.
        both_activations: bool,
        /// Its forms on integers, where the standard has them.
        integer: Option<IntegerForm>,
    },
    /// Looks values up in a table.
    Table {
        /// Place of the table.
        table: usize,
    },
    /// Selects or rearranges its data inputs: the output can keep their scale.
    PassThrough {
        /// Which inputs are data.
        inputs: fn(&Node) -> Vec<usize>,
        /// The bounds to which it cuts the range (Relu, Clip): part of the operator before it.
        clamp: Option<Bounds>,
    },
    /// Elementwise arithmetic and averages, quantized where the target wants it.
    Arithmetic,
    /// The output's range follows from the operator.
    FixedRange {
        /// Its lower end.
        min: f32,
        /// Its upper end.
        max: f32,
    },
    /// Gates.
    Recurrent {
        /// The inputs that hold their weights `[directions, gates·hidden, …]`, for what is read and for the state.
        weights: [usize; 2],
    },
    /// Sums over operands of which any may be a weight, in a way that stays as it is, for this reason.
    Contracts(&'static str),
    /// Stays as it is, for this reason.
    Never(&'static str),
}

/// The constant bounds of a node that clamps; infinite where there is none.
pub type Bounds = fn(&Model, NodeId) -> Option<(f32, f32)>;

impl QuantRule {
    /// The one data input of a node that does nothing but rearrange its elements.
    pub fn rearranged(&self, node: &Node) -> Option<usize> {
        let QuantRule::PassThrough { inputs, clamp: None } = self else { return None };
        match inputs(node).as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// The inputs that hold what is contracted or looked up.
    pub fn weights(&self) -> Vec<usize> {
        match self {
            QuantRule::Weighted { weight, .. } => vec![*weight],
            QuantRule::Table { table } => vec![*table],
            QuantRule::Recurrent { weights } => weights.to_vec(),
            _ => Vec::new(),
        }
    }

    /// The axis of such a weight along which outputs lie, given its rank; a table has none.
    pub fn output_axis(&self, node: &Node, rank: usize) -> Option<usize> {
        match self {
            QuantRule::Weighted { channel_axis, .. } => Some(channel_axis(node, rank)),
            QuantRule::Recurrent { .. } => Some(1),
            _ => None,
        }
    }

    /// The input whose dtype the first output has, where that follows from how the operator computes.
    pub fn dtype_from(&self) -> Option<usize> {
        match self {
            QuantRule::Weighted { input, .. } => Some(*input),
            QuantRule::Table { table } => Some(*table),
            QuantRule::PassThrough { .. }
            | QuantRule::Arithmetic
            | QuantRule::FixedRange { .. }
            | QuantRule::Recurrent { .. } => Some(0),
            QuantRule::Contracts(_) | QuantRule::Never(_) => None,
        }
    }
}

/// Which inputs of a node may be multiplied by one positive number, a channel its own, that then multiplies its output.
#[derive(Debug, Clone, Copy)]
pub struct Homogeneous {
    /// `None` where this node is not so.
    pub inputs: fn(&Model, NodeId) -> Option<Vec<usize>>,
    /// Whether it joins elements of all axes but the first two, so that channels must be the second.
    pub windowed: bool,
}

/// Where the channels of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelAxis {
    /// The axis behind the batch.
    Second,
    /// The last axis.
    Last,
}

/// Max(0, x) and its like.
pub(super) const HOMOGENEOUS: Homogeneous = Homogeneous { inputs: |_, _| Some(vec![0]), windowed: false };
/// Averages and maxima of windows.
pub(super) const WINDOWED: Homogeneous = Homogeneous { inputs: |_, _| Some(vec![0]), windowed: true };
/// Sums of activations; a constant is not multiplied with them.
pub(super) const SUM: Homogeneous = Homogeneous { inputs: activations, windowed: false };

fn activations(model: &Model, id: NodeId) -> Option<Vec<usize>> {
    let inputs = model.node(id).inputs();
    let computed = inputs.iter().all(|v| v.is_some_and(|v| model.constant(v).is_none()));
    computed.then(|| (0..inputs.len()).collect())
}

/// The standard's integer operators for a contraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntegerForm {
    /// Integers in, int32 out.
    pub accumulating: &'static str,
    /// Integers in and out, with all scales.
    pub requantizing: &'static str,
    /// Whether it is a product of matrices `[…, K] × [K, N]` rather than a convolution.
    pub matrices: bool,
}

pub(super) const CONVOLUTION: IntegerForm =
    IntegerForm { accumulating: "ConvInteger", requantizing: "QLinearConv", matrices: false };
pub(super) const PRODUCT: IntegerForm =
    IntegerForm { accumulating: "MatMulInteger", requantizing: "QLinearMatMul", matrices: true };

/// Only the first input is data.
pub(super) fn first(_: &Node) -> Vec<usize> {
    vec![0]
}

/// All inputs are data.
pub(super) fn every(node: &Node) -> Vec<usize> {
    (0..node.inputs().len()).collect()
}

pub(super) const REARRANGES: QuantRule = QuantRule::PassThrough { inputs: first, clamp: None };
pub(super) const JOINS: QuantRule = QuantRule::PassThrough { inputs: every, clamp: None };

/// Cuts its first input to `bounds`.
pub(super) const fn clamps(bounds: Bounds) -> QuantRule {
    QuantRule::PassThrough { inputs: first, clamp: Some(bounds) }
}
