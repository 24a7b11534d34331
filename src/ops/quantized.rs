//! Operators that are quantized already.

use super::vjp::quantized::{dequantize, quantize};
use super::{OpDef, QuantRule, cost, infer};

const QUANTIZED: QuantRule = QuantRule::Never("it is quantized already");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("QuantizeLinear", QUANTIZED).takes(2).infers(infer::elementwise::quantize).rounds().backward(quantize),
    OpDef::new("DequantizeLinear", QUANTIZED)
        .takes(2)
        .infers(infer::elementwise::dequantize)
        .rounds()
        .backward(dequantize),
    OpDef::new("DynamicQuantizeLinear", QUANTIZED).infers(infer::elementwise::dynamic_quantize),
    OpDef::new("QLinearConv", QUANTIZED).takes(8).infers(infer::window::qlinear_conv).costs(cost::qlinear_conv),
    OpDef::new("QLinearMatMul", QUANTIZED).takes(8).infers(infer::product::qlinear_matmul).costs(cost::matmul),
    OpDef::new("ConvInteger", QUANTIZED).takes(2).infers(infer::window::conv_integer).costs(cost::conv),
    OpDef::new("MatMulInteger", QUANTIZED).takes(2).infers(infer::product::matmul_integer).costs(cost::matmul),
    OpDef::new("QuantizeLinear", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("DequantizeLinear", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("DynamicQuantizeLSTM", QUANTIZED).of_domain("com.microsoft").infers(infer::recurrent::recurrent),
    OpDef::new("DynamicQuantizeMatMul", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("MatMulIntegerToFloat", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("MatMulNBits", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QGemm", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QLinearAdd", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QLinearMul", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QLinearConcat", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QLinearAveragePool", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QLinearGlobalAveragePool", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QLinearSigmoid", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QLinearLeakyRelu", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QLinearSoftmax", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QLinearReduceMean", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QAttention", QUANTIZED).of_domain("com.microsoft"),
    OpDef::new("QEmbedLayerNormalization", QUANTIZED).of_domain("com.microsoft"),
];
