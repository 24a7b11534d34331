//! Activation functions.

use super::rule::CLAMPS;
use super::{OpDef, QuantRule, infer};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("Relu", CLAMPS).infers(infer::elementwise::same),
    OpDef::new("Clip", CLAMPS).infers(infer::elementwise::same),
    OpDef::new("Sigmoid", QuantRule::FixedRange { min: 0.0, max: 1.0 }).infers(infer::elementwise::same),
    OpDef::new("Softmax", QuantRule::FixedRange { min: 0.0, max: 1.0 }).infers(infer::elementwise::same),
    OpDef::new("HardSigmoid", QuantRule::FixedRange { min: 0.0, max: 1.0 }).infers(infer::elementwise::same),
    OpDef::new("Tanh", QuantRule::FixedRange { min: -1.0, max: 1.0 }).infers(infer::elementwise::same),
    OpDef::new("Softsign", QuantRule::FixedRange { min: -1.0, max: 1.0 }).infers(infer::elementwise::same),
    OpDef::new("LeakyRelu", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("PRelu", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("HardSwish", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("Elu", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("Selu", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("Celu", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("Gelu", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("Mish", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("Softplus", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("ThresholdedRelu", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("Swish", QuantRule::Arithmetic).infers(infer::elementwise::same),
    OpDef::new("Gelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("FastGelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("QuickGelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("BiasGelu", QuantRule::Arithmetic).of_domain("com.microsoft"),
    OpDef::new("LogSoftmax", QuantRule::Never("its values are logarithms")).infers(infer::elementwise::same),
    OpDef::new("Hardmax", QuantRule::Never("it outputs zeros and ones")).infers(infer::elementwise::same),
];
