//! Reductions.

use super::{OpDef, QuantRule, fold, infer};

const SUMS: QuantRule = QuantRule::Never("sums are kept in float");
const SELECTS: QuantRule = QuantRule::Never("a reduction with no integer operator");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("ReduceMean", SUMS).infers(infer::reduce::reduce),
    OpDef::new("ReduceSum", SUMS).infers(infer::reduce::reduce),
    OpDef::new("ReduceProd", SUMS).infers(infer::reduce::reduce).folds(fold::arithmetic::reduce_prod),
    OpDef::new("ReduceL1", SUMS).infers(infer::reduce::reduce),
    OpDef::new("ReduceL2", SUMS).infers(infer::reduce::reduce),
    OpDef::new("ReduceLogSum", SUMS).infers(infer::reduce::reduce),
    OpDef::new("ReduceLogSumExp", SUMS).infers(infer::reduce::reduce),
    OpDef::new("ReduceSumSquare", SUMS).infers(infer::reduce::reduce),
    OpDef::new("Det", SUMS),
    OpDef::new("ReduceMax", SELECTS).infers(infer::reduce::reduce),
    OpDef::new("ReduceMin", SELECTS).infers(infer::reduce::reduce),
];
