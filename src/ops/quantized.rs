//! Operators that are quantized already.

use super::{OpDef, QuantRule, infer};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("QuantizeLinear", QuantRule::Never("it is quantized already")).infers(infer::elementwise::quantize),
    OpDef::new("DequantizeLinear", QuantRule::Never("it is quantized already")).infers(infer::elementwise::like_second),
    OpDef::new("DynamicQuantizeLinear", QuantRule::Never("it is quantized already")),
    OpDef::new("QLinearConv", QuantRule::Never("it is quantized already")),
    OpDef::new("QLinearMatMul", QuantRule::Never("it is quantized already")),
    OpDef::new("ConvInteger", QuantRule::Never("it is quantized already")),
    OpDef::new("MatMulInteger", QuantRule::Never("it is quantized already")),
    OpDef::new("QuantizeLinear", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("DequantizeLinear", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("DynamicQuantizeLSTM", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("DynamicQuantizeMatMul", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("MatMulIntegerToFloat", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("MatMulNBits", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QGemm", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QLinearAdd", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QLinearMul", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QLinearConcat", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QLinearAveragePool", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QLinearGlobalAveragePool", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QLinearSigmoid", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QLinearLeakyRelu", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QLinearSoftmax", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QLinearReduceMean", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QAttention", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
    OpDef::new("QEmbedLayerNormalization", QuantRule::Never("it is quantized already")).of_domain("com.microsoft"),
];
