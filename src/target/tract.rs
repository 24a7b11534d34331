//! tract on CPU.
//!
//! It never turns Q/DQ into integer work. Its integer MatMul is fast where the activations have zero point 0 (u8 with 128
//! becomes that); the integer convolution is an eager im2col, and there is no depthwise one. Measured with 0.23.9 on
//! x86-64 with VNNI, MatMulInteger and ConvInteger with the scale applied after: an MLP 3.3×, a transformer encoder
//! 1.24×, ResNet-18 1.20×, MobileNetV2 0.74×. A static Conv is therefore written as a product of matrices, whose operands
//! are copied row by row: all convolutions of ResNet-18 that way are 1.33× to their float form where ConvInteger is 1.15×.
//!
//! Its float kernels fill blocks of 16 output channels with AVX-512: 128 ─► C ─► 128 channels of 8 × 8 four times over take 0.84 / 0.96 / 1.02 / 1.25 / 1.26 / 1.40
//! ms for C = 48 / 56 / 64 / 88 / 96 / 104.

use super::{Depthwise, OpPlacement, Output, PassChoice, Preset, off, on};

/// Each measured with 0.23.9, which makes most of these operators into the decomposed form when it reads them.
const PASSES: &[PassChoice] = &[
    on("fuse-gelu", 1.00, "1.0× in the erf form, 12 to 20× in the tanh form"),
    on("fuse-hard-swish", 1.36, "1.4 to 1.6× between convolutions, 2.6 to 4.9× alone"),
    on("fuse-hard-sigmoid", 1.00, "the same work"),
    on("fuse-mish", 1.00, "the same work"),
    on("fuse-softplus", 1.00, "the same work"),
    on("fuse-softmax", 1.00, "1.8 to 3.1× over the last axis, LogSoftmax 1.0×"),
    on("fuse-layer-norm", 1.00, "the same work"),
    on("fuse-instance-norm", 4.92, "4.9 to 5.5×"),
    on("fuse-group-norm", 1.34, "1.3 to 6.8×"),
    on("fuse-global-pool", 0.98, "the same work"),
    on("fuse-depth-to-space", 1.00, "1.3 to 4.2× in the order DCR, 1.0× in CRD and for SpaceToDepth"),
    on(
        "widen-depthwise",
        1.27,
        "1.3× on rows of 112, 1.5× of 56, 2.2× of 14, 3.5× of 7, 3.5 to 4× with stride 2, copies counted; EfficientNet-Lite0 1.7×",
    ),
    off("fuse-silu", 1.00, "it makes the same of Sigmoid and Mul, and Swish needs opset 24"),
    off("fuse-rms-norm", 1.00, "it makes the same of the decomposed form, and RMSNormalization needs opset 23"),
];

pub(super) static PRESET: Preset = Preset {
    name: "tract",
    summary: "tract on CPU: MatMulInteger and ConvInteger where they pay, activations u8 with zero point 128",
    passes: PASSES,
    format: "integer",
    activations: "u8",
    weights: "s8",
    granularity: "channel",
    narrow_granularity: "block:32",
    symmetric_activations: true,
    calibrator: "mse",
    contractions: &[
        OpPlacement { op_type: "Conv", output: Output::Never, min_depth: 128 },
        OpPlacement { op_type: "Gemm", output: Output::Never, min_depth: 128 },
        OpPlacement { op_type: "MatMul", output: Output::Never, min_depth: 128 },
    ],
    depthwise: Depthwise::Float,
    activation_products: false,
    arithmetic: &[],
    quantizes_itself: &[],
    folds_cast: false,
    adds_in_16_bits: false,
    narrow_weights: false,
    n_bits: true,
    takes_dequantize: &[],
    tables: false,
    dynamic_lstm: None,
    convolutions_as_products: true,
    channels: 16,
    sparse_initializers: false,
    microsoft: false,
    timed_in: Some("tract"),
};
