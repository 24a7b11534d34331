//! What prepares the columns of a table, of the domain of classical machine learning.

use super::infer::elementwise::{same, single};
use super::{OpDef, QuantRule};

const PREPARES: QuantRule = QuantRule::Never("it prepares the columns of a table, in float");

const fn op(op_type: &'static str) -> OpDef {
    OpDef::new(op_type, PREPARES).of_domain("ai.onnx.ml")
}

pub(super) static OPS: &[OpDef] = &[
    op("Binarizer").infers(same),
    op("Imputer").infers(same),
    op("Normalizer").infers(single),
    op("Scaler").infers(single),
];
