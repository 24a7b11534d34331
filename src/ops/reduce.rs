//! Reductions.

use super::{OpDef, QuantRule, channels, fold, infer, vjp};

const SUMS: QuantRule = QuantRule::Never("sums are kept in float");
const SELECTS: QuantRule = QuantRule::Never("a reduction with no integer operator");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("ReduceMean", SUMS)
        .backward(vjp::reduce::mean)
        .infers(infer::reduce::reduce)
        .folds_rounded(fold::reduce::mean)
        .couples(channels::reduce::REDUCE),
    OpDef::new("ReduceSum", SUMS)
        .backward(vjp::reduce::sum)
        .infers(infer::reduce::reduce)
        .folds_rounded(fold::reduce::sum)
        .couples(channels::reduce::REDUCE),
    OpDef::new("ReduceProd", SUMS)
        .infers(infer::reduce::reduce)
        .folds_rounded(fold::reduce::prod)
        .couples(channels::reduce::REDUCE),
    OpDef::new("ReduceL1", SUMS)
        .backward(vjp::reduce::l1)
        .infers(infer::reduce::reduce)
        .folds_rounded(fold::reduce::l1)
        .couples(channels::reduce::REDUCE),
    OpDef::new("ReduceL2", SUMS)
        .backward(vjp::reduce::l2)
        .infers(infer::reduce::reduce)
        .folds_rounded(fold::reduce::l2)
        .couples(channels::reduce::REDUCE),
    OpDef::new("ReduceLogSum", SUMS)
        .infers(infer::reduce::reduce)
        .folds_rounded(fold::reduce::log_sum)
        .couples(channels::reduce::REDUCE),
    OpDef::new("ReduceLogSumExp", SUMS)
        .backward(vjp::reduce::log_sum_exp)
        .infers(infer::reduce::reduce)
        .folds_rounded(fold::reduce::log_sum_exp)
        .couples(channels::reduce::REDUCE),
    OpDef::new("ReduceSumSquare", SUMS)
        .backward(vjp::reduce::sum_square)
        .infers(infer::reduce::reduce)
        .folds_rounded(fold::reduce::sum_square)
        .couples(channels::reduce::REDUCE),
    OpDef::new("Det", SUMS),
    OpDef::new("ReduceMax", SELECTS)
        .backward(vjp::reduce::extreme)
        .infers(infer::reduce::reduce)
        .folds(fold::reduce::max)
        .couples(channels::reduce::REDUCE),
    OpDef::new("ReduceMin", SELECTS)
        .backward(vjp::reduce::extreme)
        .infers(infer::reduce::reduce)
        .folds(fold::reduce::min)
        .couples(channels::reduce::REDUCE),
];
