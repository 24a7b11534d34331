//! Reductions.

use super::{OpDef, QuantRule, fold, infer};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("ReduceMean", QuantRule::Never("sums are kept in float")).infers(infer::reduce::reduce),
    OpDef::new("ReduceSum", QuantRule::Never("sums are kept in float")).infers(infer::reduce::reduce),
    OpDef::new("ReduceProd", QuantRule::Never("sums are kept in float"))
        .infers(infer::reduce::reduce)
        .folds(fold::arithmetic::reduce_prod),
    OpDef::new("ReduceL1", QuantRule::Never("sums are kept in float")).infers(infer::reduce::reduce),
    OpDef::new("ReduceL2", QuantRule::Never("sums are kept in float")).infers(infer::reduce::reduce),
    OpDef::new("ReduceLogSum", QuantRule::Never("sums are kept in float")).infers(infer::reduce::reduce),
    OpDef::new("ReduceLogSumExp", QuantRule::Never("sums are kept in float")).infers(infer::reduce::reduce),
    OpDef::new("ReduceSumSquare", QuantRule::Never("sums are kept in float")).infers(infer::reduce::reduce),
    OpDef::new("Det", QuantRule::Never("sums are kept in float")),
    OpDef::new("ReduceMax", QuantRule::Never("a reduction with no integer operator")).infers(infer::reduce::reduce),
    OpDef::new("ReduceMin", QuantRule::Never("a reduction with no integer operator")).infers(infer::reduce::reduce),
];
