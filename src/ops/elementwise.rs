//! Elementwise arithmetic, comparison and logic.

use super::infer::elementwise::{chooses, decides, joint, same};
use super::rule::SUM;
use super::{OpDef, QuantRule, channels, fold, infer, vjp};

const GROWS: QuantRule = QuantRule::Never("its range grows too fast for one scale");
const DECIDES: QuantRule = QuantRule::Never("compares or decides, does not compute");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("Add", QuantRule::Arithmetic)
        .scales(SUM)
        .backward(vjp::elementwise::add)
        .takes(2)
        .adds_up()
        .infers(joint)
        .tells(infer::value::add)
        .folds(fold::arithmetic::add)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Sub", QuantRule::Arithmetic)
        .scales(SUM)
        .backward(vjp::elementwise::sub)
        .takes(2)
        .infers(joint)
        .tells(infer::value::sub)
        .folds(fold::arithmetic::sub)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Mul", QuantRule::Arithmetic)
        .backward(vjp::elementwise::mul)
        .takes(2)
        .infers(joint)
        .tells(infer::value::mul)
        .folds(fold::arithmetic::mul)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Div", QuantRule::Arithmetic)
        .backward(vjp::elementwise::div)
        .takes(2)
        .infers(joint)
        .tells(infer::value::div)
        .folds(fold::arithmetic::div)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Min", QuantRule::Arithmetic)
        .backward(vjp::elementwise::extreme)
        .infers(joint)
        .folds(fold::arithmetic::min)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Max", QuantRule::Arithmetic)
        .backward(vjp::elementwise::extreme)
        .infers(joint)
        .folds(fold::arithmetic::max)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Mean", QuantRule::Arithmetic)
        .backward(vjp::elementwise::mean)
        .infers(joint)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Sum", QuantRule::Arithmetic)
        .scales(SUM)
        .backward(vjp::elementwise::sum)
        .adds_up()
        .infers(joint)
        .folds(fold::arithmetic::sum)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Pow", GROWS)
        .backward(vjp::elementwise::pow)
        .takes(2)
        .infers(joint)
        .folds_rounded(fold::arithmetic::pow)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Exp", GROWS)
        .backward(vjp::elementwise::exp)
        .infers(same)
        .folds_rounded(fold::function::exp)
        .couples(channels::elementwise::SAME),
    OpDef::new("Log", GROWS)
        .backward(vjp::elementwise::log)
        .infers(same)
        .folds_rounded(fold::function::log)
        .couples(channels::elementwise::SAME),
    OpDef::new("Sqrt", GROWS)
        .backward(vjp::elementwise::sqrt)
        .infers(same)
        .folds(fold::function::sqrt)
        .couples(channels::elementwise::SAME),
    OpDef::new("Reciprocal", GROWS)
        .backward(vjp::elementwise::reciprocal)
        .infers(same)
        .folds(fold::function::reciprocal)
        .couples(channels::elementwise::SAME),
    OpDef::new("Erf", GROWS)
        .backward(vjp::elementwise::erf)
        .infers(same)
        .folds_rounded(fold::function::erf)
        .couples(channels::elementwise::SAME),
    OpDef::new("Neg", GROWS)
        .backward(vjp::elementwise::neg)
        .infers(same)
        .folds(fold::function::neg)
        .couples(channels::elementwise::SAME),
    OpDef::new("Abs", GROWS)
        .backward(vjp::elementwise::abs)
        .infers(same)
        .folds(fold::function::abs)
        .couples(channels::elementwise::SAME),
    OpDef::new("Sign", GROWS)
        .backward(vjp::nothing)
        .infers(same)
        .folds(fold::function::sign)
        .couples(channels::elementwise::SAME),
    OpDef::new("Floor", GROWS)
        .backward(vjp::nothing)
        .infers(same)
        .folds(fold::function::floor)
        .couples(channels::elementwise::SAME),
    OpDef::new("Ceil", GROWS)
        .backward(vjp::nothing)
        .infers(same)
        .folds(fold::function::ceil)
        .couples(channels::elementwise::SAME),
    OpDef::new("Round", GROWS)
        .backward(vjp::nothing)
        .infers(same)
        .folds(fold::function::round)
        .couples(channels::elementwise::SAME),
    OpDef::new("Mod", GROWS)
        .takes(2)
        .infers(joint)
        .folds(fold::arithmetic::modulo)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Sin", GROWS)
        .backward(vjp::elementwise::sin)
        .infers(same)
        .folds_rounded(fold::function::sin)
        .couples(channels::elementwise::SAME),
    OpDef::new("Cos", GROWS)
        .backward(vjp::elementwise::cos)
        .infers(same)
        .folds_rounded(fold::function::cos)
        .couples(channels::elementwise::SAME),
    OpDef::new("Tan", GROWS).infers(same).folds_rounded(fold::function::tan).couples(channels::elementwise::SAME),
    OpDef::new("Asin", GROWS).infers(same).couples(channels::elementwise::SAME),
    OpDef::new("Acos", GROWS).infers(same).couples(channels::elementwise::SAME),
    OpDef::new("Atan", GROWS).infers(same).couples(channels::elementwise::SAME),
    OpDef::new("Sinh", GROWS).infers(same).couples(channels::elementwise::SAME),
    OpDef::new("Cosh", GROWS).infers(same).couples(channels::elementwise::SAME),
    OpDef::new("Asinh", GROWS).infers(same).couples(channels::elementwise::SAME),
    OpDef::new("Acosh", GROWS).infers(same).couples(channels::elementwise::SAME),
    OpDef::new("Atanh", GROWS).infers(same).couples(channels::elementwise::SAME),
    OpDef::new("Equal", DECIDES)
        .takes(2)
        .infers(decides)
        .tells(infer::value::equal)
        .folds(fold::logic::equal)
        .couples(channels::elementwise::JOINT),
    OpDef::new("Less", DECIDES).takes(2).infers(decides).folds(fold::logic::less).couples(channels::elementwise::JOINT),
    OpDef::new("Greater", DECIDES)
        .takes(2)
        .infers(decides)
        .folds(fold::logic::greater)
        .couples(channels::elementwise::JOINT),
    OpDef::new("LessOrEqual", DECIDES)
        .takes(2)
        .infers(decides)
        .folds(fold::logic::less_or_equal)
        .couples(channels::elementwise::JOINT),
    OpDef::new("GreaterOrEqual", DECIDES)
        .takes(2)
        .infers(decides)
        .folds(fold::logic::greater_or_equal)
        .couples(channels::elementwise::JOINT),
    OpDef::new("And", DECIDES).takes(2).infers(decides).folds(fold::logic::and).couples(channels::elementwise::JOINT),
    OpDef::new("Or", DECIDES).takes(2).infers(decides).folds(fold::logic::or).couples(channels::elementwise::JOINT),
    OpDef::new("Not", DECIDES)
        .infers(decides)
        .tells(infer::value::not)
        .folds(fold::logic::not)
        .couples(channels::elementwise::SAME),
    OpDef::new("Xor", DECIDES).takes(2).infers(decides).couples(channels::elementwise::JOINT),
    OpDef::new("IsNaN", DECIDES).infers(decides).couples(channels::elementwise::SAME),
    OpDef::new("IsInf", DECIDES).infers(decides).couples(channels::elementwise::SAME),
    OpDef::new("Where", DECIDES)
        .backward(vjp::elementwise::choose)
        .takes(3)
        .infers(chooses)
        .tells(infer::value::choose)
        .folds(fold::logic::choose)
        .couples(channels::elementwise::JOINT),
    OpDef::new("BitShift", DECIDES).takes(2).infers(joint).couples(channels::elementwise::JOINT),
    OpDef::new("BitwiseAnd", DECIDES).takes(2).infers(joint).couples(channels::elementwise::JOINT),
    OpDef::new("BitwiseOr", DECIDES).takes(2).infers(joint).couples(channels::elementwise::JOINT),
    OpDef::new("BitwiseXor", DECIDES).takes(2).infers(joint).couples(channels::elementwise::JOINT),
    OpDef::new("BitwiseNot", DECIDES).infers(same).couples(channels::elementwise::SAME),
];
