//! Operators that are quantized already.

use super::vjp::quantized::{dequantize, quantize};
use super::{OpDef, QuantRule, cost, infer};

const QUANTIZED: QuantRule = QuantRule::Never("it is quantized already");

const fn op(op_type: &'static str) -> OpDef {
    OpDef::new(op_type, QUANTIZED).of_integers()
}

/// One of ONNX Runtime's own.
const fn microsoft(op_type: &'static str) -> OpDef {
    op(op_type).of_domain("com.microsoft")
}

pub(super) static OPS: &[OpDef] = &[
    op("QuantizeLinear").takes(2).infers(infer::elementwise::quantize).rounds().backward(quantize),
    op("DequantizeLinear").takes(2).infers(infer::elementwise::dequantize).rounds().backward(dequantize),
    op("DynamicQuantizeLinear").infers(infer::elementwise::dynamic_quantize),
    op("QLinearConv").takes(8).infers(infer::window::qlinear_conv).costs(cost::qlinear_conv),
    op("QLinearMatMul").takes(8).infers(infer::product::qlinear_matmul).costs(cost::matmul),
    op("ConvInteger").takes(2).infers(infer::window::conv_integer).costs(cost::conv),
    op("MatMulInteger").takes(2).infers(infer::product::matmul_integer).costs(cost::matmul),
    microsoft("QuantizeLinear"),
    microsoft("DequantizeLinear"),
    microsoft("DynamicQuantizeLSTM").infers(infer::recurrent::recurrent).costs(cost::recurrent),
    microsoft("DynamicQuantizeMatMul").infers(infer::product::matmul).costs(cost::matmul),
    microsoft("MatMulIntegerToFloat").infers(infer::product::matmul_integer_to_float).costs(cost::matmul),
    microsoft("MatMulNBits").infers(infer::product::matmul_n_bits).costs(cost::matmul),
    microsoft("QGemm"),
    microsoft("QLinearAdd"),
    microsoft("QLinearMul"),
    microsoft("QLinearConcat"),
    microsoft("QLinearAveragePool"),
    microsoft("QLinearGlobalAveragePool"),
    microsoft("QLinearSigmoid"),
    microsoft("QLinearLeakyRelu"),
    microsoft("QLinearSoftmax"),
    microsoft("QLinearReduceMean"),
    microsoft("QAttention"),
    microsoft("QEmbedLayerNormalization"),
    microsoft("QLinearConv"),
    microsoft("QLinearWhere"),
    microsoft("QMoE"),
    microsoft("QOrderedAttention"),
    microsoft("QOrderedGelu"),
    microsoft("QOrderedLayerNormalization"),
    microsoft("QOrderedLongformerAttention"),
    microsoft("QOrderedMatMul"),
    microsoft("GatherBlockQuantized"),
    microsoft("MatMulBnb4"),
    microsoft("MatMulFpQ4"),
    microsoft("MatMulInteger16"),
    microsoft("QuantizeBFP"),
    microsoft("DequantizeBFP"),
    microsoft("QuantizeWithOrder"),
    microsoft("DequantizeWithOrder"),
];
