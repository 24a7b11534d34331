//! Reductions.

use super::{OpDef, QuantRule};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("ReduceMean", QuantRule::Never("sums are kept in float")),
    OpDef::new("ReduceSum", QuantRule::Never("sums are kept in float")),
    OpDef::new("ReduceProd", QuantRule::Never("sums are kept in float")),
    OpDef::new("ReduceL1", QuantRule::Never("sums are kept in float")),
    OpDef::new("ReduceL2", QuantRule::Never("sums are kept in float")),
    OpDef::new("ReduceLogSum", QuantRule::Never("sums are kept in float")),
    OpDef::new("ReduceLogSumExp", QuantRule::Never("sums are kept in float")),
    OpDef::new("ReduceSumSquare", QuantRule::Never("sums are kept in float")),
    OpDef::new("Det", QuantRule::Never("sums are kept in float")),
    OpDef::new("ReduceMax", QuantRule::Never("a reduction with no integer operator")),
    OpDef::new("ReduceMin", QuantRule::Never("a reduction with no integer operator")),
];
