//! Pooling.

use super::rule::REARRANGES;
use super::{OpDef, QuantRule, infer};

const NORM: QuantRule = QuantRule::Never("a norm, not a selection");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("MaxPool", REARRANGES).infers(infer::window::pool),
    OpDef::new("GlobalMaxPool", REARRANGES).infers(infer::window::global_pool),
    OpDef::new("AveragePool", QuantRule::Arithmetic).infers(infer::window::pool),
    OpDef::new("GlobalAveragePool", QuantRule::Arithmetic).infers(infer::window::global_pool),
    OpDef::new("LpPool", NORM).infers(infer::window::pool),
    OpDef::new("GlobalLpPool", NORM).infers(infer::window::global_pool),
];
