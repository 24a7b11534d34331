//! ONNX Runtime on CPU.
//!
//! It turns `DQ → Conv → Q` into QLinearConv and `DQ → MatMul` into MatMulIntegerToFloat. Measured with 1.32 on x86-64
//! with VNNI: u8 activations and s8 weights per channel are the fast pair (s8 activations 3 to 8× slower); a convolution
//! without Q on its output runs in float (0.71× on PP-OCR recognition); a MatMul is best with Q/DQ on its input alone
//! (2.51× against 2.36× on MiniLM, and more exact). There is no integer ConvTranspose.

use super::{Depthwise, OpPlacement, Output, Preset};

pub(super) static PRESET: Preset = Preset {
    name: "onnxruntime",
    summary: "ONNX Runtime on CPU: QDQ, u8 activations, s8 weights per channel",
    format: "qdq",
    activations: "u8",
    weights: "s8",
    granularity: "channel",
    symmetric_activations: false,
    calibrator: "search",
    contractions: &[
        OpPlacement { op_type: "Conv", output: Output::Always, min_macs: 0, min_depth: 0 },
        OpPlacement { op_type: "Gemm", output: Output::WhenRead, min_macs: 0, min_depth: 0 },
        OpPlacement { op_type: "MatMul", output: Output::Never, min_macs: 0, min_depth: 0 },
    ],
    depthwise: Depthwise::InQuantizedChain,
    activation_products: false,
    arithmetic: &["Add", "Mul", "GlobalAveragePool", "AveragePool", "Concat"],
    tables: true,
    convolutions_as_products: false,
    sparse_initializers: true,
    microsoft: true,
    timed_in: None,
};
