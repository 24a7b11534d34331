//! Activation functions.

use super::infer::elementwise::same;
use super::rule::{HOMOGENEOUS, Homogeneous, clamps};
use super::{OpDef, QuantRule, channels, fold, vjp};
use crate::ir::{Model, NodeId};

/// Constant bounds of a Clip, given as inputs or, in older opsets, as attributes.
pub fn clip_bounds(model: &Model, node: NodeId) -> Option<(f32, f32)> {
    let n = model.node(node);
    let bound = |input: usize, attr: &str, open: f32| match n.input(input) {
        Some(v) => model.constant(v).filter(|t| t.dtype().is_float())?.scalar_f32(),
        None => Some(n.float_or(attr, open)),
    };
    Some((bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?))
}

/// A Clip to [0, ∞) is a Relu.
const RECTIFIES: Homogeneous = Homogeneous {
    inputs: |model, id| (clip_bounds(model, id)? == (0.0, f32::INFINITY)).then(|| vec![0]),
    windowed: false,
};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("Relu", clamps(|_, _| Some((0.0, f32::INFINITY))))
        .scales(HOMOGENEOUS)
        .backward(vjp::activation::relu)
        .infers(same)
        .folds(fold::function::relu)
        .couples(channels::elementwise::SAME),
    OpDef::new("Clip", clamps(clip_bounds))
        .scales(RECTIFIES)
        .backward(vjp::activation::clip)
        .infers(same)
        .folds(fold::arithmetic::clip)
        .couples(channels::elementwise::SAME),
    OpDef::new("Sigmoid", QuantRule::FixedRange { min: 0.0, max: 1.0 })
        .backward(vjp::activation::sigmoid)
        .infers(same)
        .folds_rounded(fold::function::sigmoid)
        .couples(channels::elementwise::SAME),
    OpDef::new("Softmax", QuantRule::FixedRange { min: 0.0, max: 1.0 })
        .backward(vjp::activation::softmax)
        .infers(same)
        .couples(channels::norm::SOFTMAX),
    OpDef::new("HardSigmoid", QuantRule::FixedRange { min: 0.0, max: 1.0 })
        .backward(vjp::activation::hard_sigmoid)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("Tanh", QuantRule::FixedRange { min: -1.0, max: 1.0 })
        .backward(vjp::activation::tanh)
        .infers(same)
        .folds_rounded(fold::function::tanh)
        .couples(channels::elementwise::SAME),
    OpDef::new("Softsign", QuantRule::FixedRange { min: -1.0, max: 1.0 })
        .backward(vjp::activation::softsign)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("LeakyRelu", QuantRule::Arithmetic)
        .scales(HOMOGENEOUS)
        .backward(vjp::activation::leaky_relu)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("PRelu", QuantRule::Arithmetic)
        .scales(HOMOGENEOUS)
        .backward(vjp::activation::prelu)
        .takes(2)
        .infers(same)
        .couples(channels::elementwise::JOINT),
    OpDef::new("HardSwish", QuantRule::Arithmetic)
        .backward(vjp::activation::hard_swish)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("Elu", QuantRule::Arithmetic)
        .backward(vjp::activation::elu)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("Selu", QuantRule::Arithmetic)
        .backward(vjp::activation::selu)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("Celu", QuantRule::Arithmetic)
        .half_from(i64::MAX)
        .backward(vjp::activation::celu)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("Gelu", QuantRule::Arithmetic)
        .backward(vjp::activation::gelu)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("Mish", QuantRule::Arithmetic)
        .backward(vjp::activation::mish)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("Softplus", QuantRule::Arithmetic)
        .backward(vjp::activation::softplus)
        .infers(same)
        .folds_rounded(fold::function::softplus)
        .couples(channels::elementwise::SAME),
    OpDef::new("ThresholdedRelu", QuantRule::Arithmetic)
        .backward(vjp::activation::thresholded_relu)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("Swish", QuantRule::Arithmetic)
        .backward(vjp::activation::swish)
        .infers(same)
        .couples(channels::elementwise::SAME),
    OpDef::new("Gelu", QuantRule::Arithmetic).of_domain("com.microsoft").couples(channels::elementwise::SAME),
    OpDef::new("FastGelu", QuantRule::Arithmetic).of_domain("com.microsoft").couples(channels::elementwise::SAME),
    OpDef::new("QuickGelu", QuantRule::Arithmetic).of_domain("com.microsoft").couples(channels::elementwise::SAME),
    OpDef::new("BiasGelu", QuantRule::Arithmetic).of_domain("com.microsoft").couples(channels::elementwise::JOINT),
    OpDef::new("LogSoftmax", QuantRule::Never("its values are logarithms"))
        .backward(vjp::activation::log_softmax)
        .infers(same)
        .couples(channels::norm::SOFTMAX),
    OpDef::new("Hardmax", QuantRule::Never("it outputs zeros and ones"))
        .backward(vjp::nothing)
        .infers(same)
        .couples(channels::norm::SOFTMAX),
];
