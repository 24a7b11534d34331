//! Activation functions.

use super::infer::elementwise::same;
use super::rule::clamps;
use super::{OpDef, QuantRule};
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

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("Relu", clamps(|_, _| Some((0.0, f32::INFINITY)))).infers(same),
    OpDef::new("Clip", clamps(clip_bounds)).infers(same),
    OpDef::new("Sigmoid", QuantRule::FixedRange { min: 0.0, max: 1.0 }).infers(same),
    OpDef::new("Softmax", QuantRule::FixedRange { min: 0.0, max: 1.0 }).infers(same),
    OpDef::new("HardSigmoid", QuantRule::FixedRange { min: 0.0, max: 1.0 }).infers(same),
    OpDef::new("Tanh", QuantRule::FixedRange { min: -1.0, max: 1.0 }).infers(same),
    OpDef::new("Softsign", QuantRule::FixedRange { min: -1.0, max: 1.0 }).infers(same),
    OpDef::new("LeakyRelu", QuantRule::Arithmetic).infers(same),
    OpDef::new("PRelu", QuantRule::Arithmetic).takes(2).infers(same),
    OpDef::new("HardSwish", QuantRule::Arithmetic).infers(same),
    OpDef::new("Elu", QuantRule::Arithmetic).infers(same),
    OpDef::new("Selu", QuantRule::Arithmetic).infers(same),
    OpDef::new("Celu", QuantRule::Arithmetic).infers(same),
    OpDef::new("Gelu", QuantRule::Arithmetic).infers(same),
    OpDef::new("Mish", QuantRule::Arithmetic).infers(same),
    OpDef::new("Softplus", QuantRule::Arithmetic).infers(same),
    OpDef::new("ThresholdedRelu", QuantRule::Arithmetic).infers(same),
    OpDef::new("Swish", QuantRule::Arithmetic).infers(same),
    OpDef::new("Gelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("FastGelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("QuickGelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("BiasGelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("LogSoftmax", QuantRule::Never("its values are logarithms")).infers(same),
    OpDef::new("Hardmax", QuantRule::Never("it outputs zeros and ones")).infers(same),
];
