//! Elementwise arithmetic, comparison and logic.

use super::{OpDef, QuantRule, fold, infer};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("Add", QuantRule::Arithmetic)
        .infers(infer::elementwise::joint)
        .tells(infer::value::add)
        .folds(fold::arithmetic::add),
    OpDef::new("Sub", QuantRule::Arithmetic)
        .infers(infer::elementwise::joint)
        .tells(infer::value::sub)
        .folds(fold::arithmetic::sub),
    OpDef::new("Mul", QuantRule::Arithmetic)
        .infers(infer::elementwise::joint)
        .tells(infer::value::mul)
        .folds(fold::arithmetic::mul),
    OpDef::new("Div", QuantRule::Arithmetic)
        .infers(infer::elementwise::joint)
        .tells(infer::value::div)
        .folds(fold::arithmetic::div),
    OpDef::new("Min", QuantRule::Arithmetic).infers(infer::elementwise::joint).folds(fold::arithmetic::min),
    OpDef::new("Max", QuantRule::Arithmetic).infers(infer::elementwise::joint).folds(fold::arithmetic::max),
    OpDef::new("Mean", QuantRule::Arithmetic).infers(infer::elementwise::joint),
    OpDef::new("Sum", QuantRule::Arithmetic).infers(infer::elementwise::joint),
    OpDef::new("Pow", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::joint),
    OpDef::new("Exp", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Log", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Sqrt", QuantRule::Never("its range grows too fast for one scale"))
        .infers(infer::elementwise::same)
        .folds(fold::arithmetic::sqrt),
    OpDef::new("Reciprocal", QuantRule::Never("its range grows too fast for one scale"))
        .infers(infer::elementwise::same),
    OpDef::new("Erf", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Neg", QuantRule::Never("its range grows too fast for one scale"))
        .infers(infer::elementwise::same)
        .folds(fold::arithmetic::neg),
    OpDef::new("Abs", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Sign", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Floor", QuantRule::Never("its range grows too fast for one scale"))
        .infers(infer::elementwise::same)
        .folds(fold::arithmetic::floor),
    OpDef::new("Ceil", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Round", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Mod", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::joint),
    OpDef::new("Sin", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Cos", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Tan", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Asin", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Acos", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Atan", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Sinh", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Cosh", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Asinh", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Acosh", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Atanh", QuantRule::Never("its range grows too fast for one scale")).infers(infer::elementwise::same),
    OpDef::new("Equal", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::decides)
        .folds(fold::logic::equal),
    OpDef::new("Less", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::decides)
        .folds(fold::logic::less),
    OpDef::new("Greater", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::decides)
        .folds(fold::logic::greater),
    OpDef::new("LessOrEqual", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::decides)
        .folds(fold::logic::less_or_equal),
    OpDef::new("GreaterOrEqual", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::decides)
        .folds(fold::logic::greater_or_equal),
    OpDef::new("And", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::decides)
        .folds(fold::logic::and),
    OpDef::new("Or", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::decides)
        .folds(fold::logic::or),
    OpDef::new("Not", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::decides)
        .folds(fold::logic::not),
    OpDef::new("Xor", QuantRule::Never("compares or decides, does not compute")).infers(infer::elementwise::decides),
    OpDef::new("IsNaN", QuantRule::Never("compares or decides, does not compute")).infers(infer::elementwise::decides),
    OpDef::new("IsInf", QuantRule::Never("compares or decides, does not compute")).infers(infer::elementwise::decides),
    OpDef::new("Where", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::chooses)
        .folds(fold::logic::choose),
    OpDef::new("BitShift", QuantRule::Never("compares or decides, does not compute")).infers(infer::elementwise::joint),
    OpDef::new("BitwiseAnd", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::joint),
    OpDef::new("BitwiseOr", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::joint),
    OpDef::new("BitwiseXor", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::joint),
    OpDef::new("BitwiseNot", QuantRule::Never("compares or decides, does not compute"))
        .infers(infer::elementwise::same),
];
