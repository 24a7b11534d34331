//! Matrix products: MatMul `[…, K, N]`, Gemm `[K, N]` or `[N, K]` with transB.

use super::rule::PRODUCT;
use super::{OpDef, QuantRule, channels, cost, fold, infer, vjp};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new(
        "MatMul",
        QuantRule::Weighted {
            input: 0,
            weight: 1,
            bias: None,
            channel_axis: |_, rank| rank.saturating_sub(1),
            both_activations: true,
            integer: Some(PRODUCT),
        },
    )
    .backward(vjp::product::matmul)
    .infers(infer::product::matmul)
    .folds_rounded(fold::product::matmul)
    .costs(cost::matmul)
    .couples(channels::product::MATMUL),
    OpDef::new(
        "Gemm",
        QuantRule::Weighted {
            input: 0,
            weight: 1,
            bias: Some(2),
            channel_axis: |node, _| if node.int_or("transB", 0) == 0 { 1 } else { 0 },
            both_activations: false,
            integer: Some(PRODUCT),
        },
    )
    .backward(vjp::product::gemm)
    .infers(infer::product::gemm)
    .folds_rounded(fold::product::gemm)
    .costs(cost::gemm)
    .couples(channels::product::GEMM),
    OpDef::new(
        "Einsum",
        QuantRule::Contracts("Einsum has no form on integers, and this one is no product of matrices"),
    ),
];
