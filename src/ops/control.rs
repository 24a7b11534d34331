//! Control flow.

use super::{OpDef, QuantRule, infer};

const BRANCHES: QuantRule = QuantRule::Never("its branches are quantized, not itself");
const SEQUENCE: QuantRule = QuantRule::Never("a sequence or an optional, not a tensor");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("If", BRANCHES).infers(infer::control::branches),
    OpDef::new("Loop", BRANCHES).takes(2).infers(infer::control::body),
    OpDef::new("Scan", BRANCHES).infers(infer::control::body),
    OpDef::new("SequenceMap", BRANCHES),
    OpDef::new("SequenceAt", SEQUENCE).takes(2),
    OpDef::new("SequenceConstruct", SEQUENCE),
    OpDef::new("SequenceEmpty", SEQUENCE).takes(0),
    OpDef::new("SequenceErase", SEQUENCE),
    OpDef::new("SequenceInsert", SEQUENCE).takes(2),
    OpDef::new("SequenceLength", SEQUENCE),
    OpDef::new("SplitToSequence", SEQUENCE),
    OpDef::new("ConcatFromSequence", SEQUENCE),
    OpDef::new("Optional", SEQUENCE).takes(0),
    OpDef::new("OptionalGetElement", SEQUENCE),
    OpDef::new("OptionalHasElement", SEQUENCE).takes(0),
];
