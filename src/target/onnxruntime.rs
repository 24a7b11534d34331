//! ONNX Runtime on CPU.
//!
//! It turns `DQ → Conv → Q` into QLinearConv and `DQ → MatMul` into MatMulIntegerToFloat. Measured with 1.32 on x86-64
//! with VNNI: u8 activations and s8 weights per channel are the fast pair (s8 activations 3 to 8× slower); a convolution
//! without Q on its output runs in float (0.71× on PP-OCR recognition); a MatMul is best with Q/DQ on its input alone
//! (2.51× against 2.36× on MiniLM, and more exact). There is no integer ConvTranspose.
//!
//! Without VNNI (AVX2, AVX-512) its kernels of u8 and s8 add two products in 16 bits, which overflow: see `adds_in_16_bits`.
//!
//! Weights alone: a MatMul with a weight of 4 or 2 bits behind DequantizeLinear, per channel or in blocks, becomes its MatMulNBits, as
//! fast as one written so (384 to 1536 terms, blocks of 32 / 64 / 128: 1.0 to 2.0 / 1.0 to 2.3 / 1.3 to 2.7× float). Before any other
//! operator DequantizeLinear runs at every call (a convolution 0.79×), while Cast and Mul of constants are folded at load (0.99×).
//! Cast from 4 to 8 bits is folded, too, and what follows becomes an integer kernel.
//!
//! Float convolutions take output channels in blocks, of 16 with AVX-512: 64 ─► C ─► 64 channels of 16 × 16 four times over take 0.25 / 0.38 / 0.38 / 0.52
//! / 0.52 / 0.66 / 0.65 ms for C = 16 / 20 / 32 / 36 / 48 / 52 / 64, and 0.55 to 0.59 for the odd ones between 33 and 39. ResNet-20 at 57 % of its
//! multiply-accumulates in such blocks is 1.57×, at 61 % in blocks of 8 1.34×, on one machine in one run.
//!
//! DynamicQuantizeLSTM of u8 weights with one scale a direction, on x86-64 without VNNI, hidden size 64 / 128 / 256: 1.00 to 1.21 / 1.15 to 1.68
//! / 1.43 to 2.85× LSTM (1 and 32 steps, 1 and 8 samples, one and two directions). There is none for GRU and RNN.

use super::{Depthwise, OpPlacement, Output, PassChoice, Preset, off, on};

/// Each measured with 1.32 and its default optimizations, which fuse some of these patterns themselves.
const PASSES: &[PassChoice] = &[
    on("fuse-gelu", 0.99, "1.0× in the erf form, which it fuses itself, 2.1 to 2.7× in the tanh form"),
    on("fuse-hard-swish", 1.22, "1.2 to 1.4× between convolutions, into which it goes, 1.3 to 1.8× alone"),
    on("fuse-hard-sigmoid", 1.36, "1.4 to 2.5×"),
    on("fuse-mish", 1.00, "the same work"),
    on("fuse-softmax", 1.23, "1.5 to 2.0× over the last axis, LogSoftmax 1.2 to 4.8×"),
    on("fuse-layer-norm", 0.96, "1.0× as it fuses it itself, 1.6 to 1.8× without γ and β, 1.8 to 2.2× with Reciprocal"),
    on("fuse-rms-norm", 0.99, "1.0× as it fuses it itself, 1.8 to 2.4× with Reciprocal"),
    on("fuse-instance-norm", 2.62, "2.6 to 3.4×"),
    on("fuse-depth-to-space", 2.12, "2.1 to 4.6×, SpaceToDepth 7 to 11×"),
    on(
        "affine-as-batch-norm",
        1.02,
        "1.04× on PP-OCRv4 recognition, 1.02× on detection: no reordering around an Add between convolutions",
    ),
    off("fuse-silu", 0.57, "Swish takes 1.7 times as long as Sigmoid and Mul"),
    off("fuse-softplus", 0.21, "Softplus takes 5 times as long as Exp, Add and Log"),
    off("fuse-global-pool", 0.56, "GlobalAveragePool and GlobalMaxPool take 1.2 to 1.8 times as long as the reduction"),
    off("fuse-group-norm", 0.48, "GroupNormalization takes twice as long as the decomposed form"),
];

pub(super) static PRESET: Preset = Preset {
    name: "onnxruntime",
    summary: "ONNX Runtime on CPU: QDQ, u8 activations, s8 weights per channel",
    passes: PASSES,
    format: "qdq",
    activations: "u8",
    weights: "s8",
    granularity: "channel",
    narrow_granularity: "block:128",
    symmetric_activations: false,
    calibrator: "search",
    contractions: &[
        OpPlacement { op_type: "Conv", output: Output::Always, min_depth: 0 },
        OpPlacement { op_type: "Gemm", output: Output::Never, min_depth: 0 },
        OpPlacement { op_type: "MatMul", output: Output::Never, min_depth: 0 },
    ],
    depthwise: Depthwise::InQuantizedChain,
    activation_products: false,
    arithmetic: &["Add", "Mul", "GlobalAveragePool", "AveragePool"],
    quantizes_itself: &["Conv", "ConvTranspose", "Gemm"],
    folds_cast: true,
    adds_in_16_bits: true,
    narrow_weights: true,
    n_bits: false,
    takes_dequantize: &["MatMul"],
    tables: true,
    dynamic_lstm: Some(128),
    convolutions_as_products: false,
    channels: 16,
    sparse_initializers: true,
    microsoft: true,
    timed_in: None,
};
