//! Pooling.

use super::rule::REARRANGES;
use super::{OpDef, QuantRule};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("MaxPool", REARRANGES),
    OpDef::new("GlobalMaxPool", REARRANGES),
    OpDef::new("AveragePool", QuantRule::Arithmetic),
    OpDef::new("GlobalAveragePool", QuantRule::Arithmetic),
    OpDef::new("LpPool", QuantRule::Never("a norm, not a selection")),
    OpDef::new("GlobalLpPool", QuantRule::Never("a norm, not a selection")),
];
