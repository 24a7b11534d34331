//! Pooling.

use super::rule::{REARRANGES, WINDOWED};
use super::{OpDef, QuantRule, channels, infer, vjp};

const NORM: QuantRule = QuantRule::Never("a norm, not a selection");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("MaxPool", REARRANGES)
        .scales(WINDOWED)
        .backward(vjp::pool::max)
        .infers(infer::window::pool)
        .couples(channels::window::POOL),
    OpDef::new("GlobalMaxPool", REARRANGES)
        .scales(WINDOWED)
        .backward(vjp::pool::global_max)
        .infers(infer::window::global_pool)
        .couples(channels::window::POOL),
    OpDef::new("AveragePool", QuantRule::Arithmetic)
        .scales(WINDOWED)
        .backward(vjp::pool::average)
        .infers(infer::window::pool)
        .couples(channels::window::POOL),
    OpDef::new("GlobalAveragePool", QuantRule::Arithmetic)
        .scales(WINDOWED)
        .backward(vjp::pool::global_average)
        .infers(infer::window::global_pool)
        .couples(channels::window::POOL),
    OpDef::new("LpPool", NORM).infers(infer::window::pool).couples(channels::window::POOL),
    OpDef::new("GlobalLpPool", NORM).infers(infer::window::global_pool).couples(channels::window::POOL),
];
