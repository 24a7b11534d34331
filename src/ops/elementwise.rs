//! Elementwise arithmetic, comparison and logic.

use super::infer::elementwise::{chooses, decides, joint, same};
use super::{OpDef, QuantRule, fold, infer, vjp};

const GROWS: QuantRule = QuantRule::Never("its range grows too fast for one scale");
const DECIDES: QuantRule = QuantRule::Never("compares or decides, does not compute");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("Add", QuantRule::Arithmetic)
        .backward(vjp::elementwise::add)
        .takes(2)
        .adds_up()
        .infers(joint)
        .tells(infer::value::add)
        .folds(fold::arithmetic::add),
    OpDef::new("Sub", QuantRule::Arithmetic)
        .backward(vjp::elementwise::sub)
        .takes(2)
        .infers(joint)
        .tells(infer::value::sub)
        .folds(fold::arithmetic::sub),
    OpDef::new("Mul", QuantRule::Arithmetic)
        .backward(vjp::elementwise::mul)
        .takes(2)
        .infers(joint)
        .tells(infer::value::mul)
        .folds(fold::arithmetic::mul),
    OpDef::new("Div", QuantRule::Arithmetic)
        .backward(vjp::elementwise::div)
        .takes(2)
        .infers(joint)
        .tells(infer::value::div)
        .folds(fold::arithmetic::div),
    OpDef::new("Min", QuantRule::Arithmetic)
        .backward(vjp::elementwise::extreme)
        .infers(joint)
        .folds(fold::arithmetic::min),
    OpDef::new("Max", QuantRule::Arithmetic)
        .backward(vjp::elementwise::extreme)
        .infers(joint)
        .folds(fold::arithmetic::max),
    OpDef::new("Mean", QuantRule::Arithmetic).backward(vjp::elementwise::mean).infers(joint),
    OpDef::new("Sum", QuantRule::Arithmetic).backward(vjp::elementwise::sum).adds_up().infers(joint),
    OpDef::new("Pow", GROWS).backward(vjp::elementwise::pow).takes(2).infers(joint),
    OpDef::new("Exp", GROWS).backward(vjp::elementwise::exp).infers(same),
    OpDef::new("Log", GROWS).backward(vjp::elementwise::log).infers(same),
    OpDef::new("Sqrt", GROWS).backward(vjp::elementwise::sqrt).infers(same).folds(fold::arithmetic::sqrt),
    OpDef::new("Reciprocal", GROWS).backward(vjp::elementwise::reciprocal).infers(same),
    OpDef::new("Erf", GROWS).backward(vjp::elementwise::erf).infers(same),
    OpDef::new("Neg", GROWS).backward(vjp::elementwise::neg).infers(same).folds(fold::arithmetic::neg),
    OpDef::new("Abs", GROWS).backward(vjp::elementwise::abs).infers(same),
    OpDef::new("Sign", GROWS).backward(vjp::nothing).infers(same),
    OpDef::new("Floor", GROWS).backward(vjp::nothing).infers(same).folds(fold::arithmetic::floor),
    OpDef::new("Ceil", GROWS).backward(vjp::nothing).infers(same),
    OpDef::new("Round", GROWS).backward(vjp::nothing).infers(same),
    OpDef::new("Mod", GROWS).takes(2).infers(joint),
    OpDef::new("Sin", GROWS).backward(vjp::elementwise::sin).infers(same),
    OpDef::new("Cos", GROWS).backward(vjp::elementwise::cos).infers(same),
    OpDef::new("Tan", GROWS).infers(same),
    OpDef::new("Asin", GROWS).infers(same),
    OpDef::new("Acos", GROWS).infers(same),
    OpDef::new("Atan", GROWS).infers(same),
    OpDef::new("Sinh", GROWS).infers(same),
    OpDef::new("Cosh", GROWS).infers(same),
    OpDef::new("Asinh", GROWS).infers(same),
    OpDef::new("Acosh", GROWS).infers(same),
    OpDef::new("Atanh", GROWS).infers(same),
    OpDef::new("Equal", DECIDES).takes(2).infers(decides).tells(infer::value::equal).folds(fold::logic::equal),
    OpDef::new("Less", DECIDES).takes(2).infers(decides).folds(fold::logic::less),
    OpDef::new("Greater", DECIDES).takes(2).infers(decides).folds(fold::logic::greater),
    OpDef::new("LessOrEqual", DECIDES).takes(2).infers(decides).folds(fold::logic::less_or_equal),
    OpDef::new("GreaterOrEqual", DECIDES).takes(2).infers(decides).folds(fold::logic::greater_or_equal),
    OpDef::new("And", DECIDES).takes(2).infers(decides).folds(fold::logic::and),
    OpDef::new("Or", DECIDES).takes(2).infers(decides).folds(fold::logic::or),
    OpDef::new("Not", DECIDES).infers(decides).tells(infer::value::not).folds(fold::logic::not),
    OpDef::new("Xor", DECIDES).takes(2).infers(decides),
    OpDef::new("IsNaN", DECIDES).infers(decides),
    OpDef::new("IsInf", DECIDES).infers(decides),
    OpDef::new("Where", DECIDES)
        .backward(vjp::elementwise::choose)
        .takes(3)
        .infers(chooses)
        .tells(infer::value::choose)
        .folds(fold::logic::choose),
    OpDef::new("BitShift", DECIDES).takes(2).infers(joint),
    OpDef::new("BitwiseAnd", DECIDES).takes(2).infers(joint),
    OpDef::new("BitwiseOr", DECIDES).takes(2).infers(joint),
    OpDef::new("BitwiseXor", DECIDES).takes(2).infers(joint),
    OpDef::new("BitwiseNot", DECIDES).infers(same),
];
