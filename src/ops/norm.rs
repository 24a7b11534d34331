//! Normalizations.

use super::{OpDef, QuantRule, infer};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("BatchNormalization", QuantRule::Never("normalization is computed in float"))
        .infers(infer::elementwise::same),
    OpDef::new("LayerNormalization", QuantRule::Never("normalization is computed in float"))
        .infers(infer::elementwise::same),
    OpDef::new("InstanceNormalization", QuantRule::Never("normalization is computed in float"))
        .infers(infer::elementwise::same),
    OpDef::new("GroupNormalization", QuantRule::Never("normalization is computed in float"))
        .infers(infer::elementwise::same),
    OpDef::new("RMSNormalization", QuantRule::Never("normalization is computed in float"))
        .infers(infer::elementwise::same),
    OpDef::new("LpNormalization", QuantRule::Never("normalization is computed in float"))
        .infers(infer::elementwise::same),
    OpDef::new("LRN", QuantRule::Never("normalization is computed in float")).infers(infer::elementwise::same),
    OpDef::new("MeanVarianceNormalization", QuantRule::Never("normalization is computed in float"))
        .infers(infer::elementwise::same),
    OpDef::new("SkipLayerNormalization", QuantRule::Never("normalization is computed in float"))
        .of_domain("com.microsoft"),
    OpDef::new("EmbedLayerNormalization", QuantRule::Never("normalization is computed in float"))
        .of_domain("com.microsoft"),
    OpDef::new("SimplifiedLayerNormalization", QuantRule::Never("normalization is computed in float"))
        .of_domain("com.microsoft"),
    OpDef::new("SkipSimplifiedLayerNormalization", QuantRule::Never("normalization is computed in float"))
        .of_domain("com.microsoft"),
    OpDef::new("Attention", QuantRule::Never("attention is computed in float")),
    OpDef::new("Attention", QuantRule::Never("attention is computed in float")).of_domain("com.microsoft"),
    OpDef::new("MultiHeadAttention", QuantRule::Never("attention is computed in float")).of_domain("com.microsoft"),
    OpDef::new("GroupQueryAttention", QuantRule::Never("attention is computed in float")).of_domain("com.microsoft"),
    OpDef::new("RotaryEmbedding", QuantRule::Never("attention is computed in float")),
    OpDef::new("RotaryEmbedding", QuantRule::Never("attention is computed in float")).of_domain("com.microsoft"),
];
