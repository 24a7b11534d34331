//! Normalizations.

use super::infer::elementwise::same;
use super::{ChannelAxis, OpDef, QuantRule, channels, fold, vjp};

const NORMALIZES: QuantRule = QuantRule::Never("normalization is computed in float");
const ATTENDS: QuantRule = QuantRule::Never("attention is computed in float");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("BatchNormalization", NORMALIZES)
        .ends_affine(ChannelAxis::Second)
        .backward(vjp::norm::batch)
        .takes(5)
        .infers(same)
        .folds_rounded(fold::norm::batch_norm)
        .couples(channels::norm::BATCH_NORM),
    OpDef::new("LayerNormalization", NORMALIZES)
        .ends_affine(ChannelAxis::Last)
        .backward(vjp::norm::layer)
        .takes(2)
        .infers(same)
        .folds_rounded(fold::norm::layer_norm)
        .couples(channels::norm::LAYER_NORM),
    OpDef::new("InstanceNormalization", NORMALIZES)
        .backward(vjp::norm::instance)
        .takes(3)
        .infers(same)
        .couples(channels::norm::INSTANCE_NORM),
    OpDef::new("GroupNormalization", NORMALIZES).backward(vjp::norm::group).takes(3).infers(same),
    OpDef::new("RMSNormalization", NORMALIZES)
        .ends_affine(ChannelAxis::Last)
        .backward(vjp::norm::rms)
        .takes(2)
        .infers(same)
        .couples(channels::norm::LAYER_NORM),
    OpDef::new("LpNormalization", NORMALIZES).infers(same),
    OpDef::new("LRN", NORMALIZES).infers(same),
    OpDef::new("MeanVarianceNormalization", NORMALIZES).infers(same),
    OpDef::new("SkipLayerNormalization", NORMALIZES).of_domain("com.microsoft").infers(same),
    OpDef::new("EmbedLayerNormalization", NORMALIZES).of_domain("com.microsoft"),
    // ONNX Runtime's own, which it has in the domain of the standard.
    OpDef::new("SimplifiedLayerNormalization", NORMALIZES).takes(2).infers(same).couples(channels::norm::LAYER_NORM),
    OpDef::new("SimplifiedLayerNormalization", NORMALIZES).of_domain("com.microsoft").infers(same),
    OpDef::new("SkipSimplifiedLayerNormalization", NORMALIZES).of_domain("com.microsoft").infers(same),
    OpDef::new("Attention", ATTENDS).takes(3),
    OpDef::new("Attention", ATTENDS).of_domain("com.microsoft"),
    OpDef::new("MultiHeadAttention", ATTENDS).of_domain("com.microsoft"),
    OpDef::new("GroupQueryAttention", ATTENDS).of_domain("com.microsoft"),
    OpDef::new("RotaryEmbedding", ATTENDS).takes(3),
    OpDef::new("RotaryEmbedding", ATTENDS).of_domain("com.microsoft").infers(same),
];
