//! Activation functions.

use super::rule::CLAMPS;
use super::{OpDef, QuantRule};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("Relu", CLAMPS),
    OpDef::new("Clip", CLAMPS),
    OpDef::new("Sigmoid", QuantRule::FixedRange { min: 0.0, max: 1.0 }),
    OpDef::new("Softmax", QuantRule::FixedRange { min: 0.0, max: 1.0 }),
    OpDef::new("HardSigmoid", QuantRule::FixedRange { min: 0.0, max: 1.0 }),
    OpDef::new("Tanh", QuantRule::FixedRange { min: -1.0, max: 1.0 }),
    OpDef::new("Softsign", QuantRule::FixedRange { min: -1.0, max: 1.0 }),
    OpDef::new("LeakyRelu", QuantRule::Arithmetic),
    OpDef::new("PRelu", QuantRule::Arithmetic),
    OpDef::new("HardSwish", QuantRule::Arithmetic),
    OpDef::new("Elu", QuantRule::Arithmetic),
    OpDef::new("Selu", QuantRule::Arithmetic),
    OpDef::new("Celu", QuantRule::Arithmetic),
    OpDef::new("Gelu", QuantRule::Arithmetic),
    OpDef::new("Mish", QuantRule::Arithmetic),
    OpDef::new("Softplus", QuantRule::Arithmetic),
    OpDef::new("ThresholdedRelu", QuantRule::Arithmetic),
    OpDef::new("Swish", QuantRule::Arithmetic),
    OpDef::new("Gelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("FastGelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("QuickGelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("BiasGelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("LogSoftmax", QuantRule::Never("its values are logarithms")),
    OpDef::new("Hardmax", QuantRule::Never("it outputs zeros and ones")),
];
