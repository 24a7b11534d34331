//! Pooling.

use super::rule::REARRANGES;
use super::{OpDef, QuantRule, infer, vjp};

const NORM: QuantRule = QuantRule::Never("a norm, not a selection");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("MaxPool", REARRANGES).backward(vjp::pool::max).infers(infer::window::pool),
    OpDef::new("GlobalMaxPool", REARRANGES).backward(vjp::pool::global_max).infers(infer::window::global_pool),
    OpDef::new("AveragePool", QuantRule::Arithmetic).backward(vjp::pool::average).infers(infer::window::pool),
    OpDef::new("GlobalAveragePool", QuantRule::Arithmetic)
        .backward(vjp::pool::global_average)
        .infers(infer::window::global_pool),
    OpDef::new("LpPool", NORM).infers(infer::window::pool),
    OpDef::new("GlobalLpPool", NORM).infers(infer::window::global_pool),
];
