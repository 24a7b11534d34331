//! Control flow.

use super::{OpDef, QuantRule};

const BRANCHES: QuantRule = QuantRule::Never("its branches are quantized, not itself");
const SEQUENCE: QuantRule = QuantRule::Never("a sequence or an optional, not a tensor");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("If", BRANCHES),
    OpDef::new("Loop", BRANCHES),
    OpDef::new("Scan", BRANCHES),
    OpDef::new("SequenceMap", BRANCHES),
    OpDef::new("SequenceAt", SEQUENCE),
    OpDef::new("SequenceConstruct", SEQUENCE),
    OpDef::new("SequenceEmpty", SEQUENCE),
    OpDef::new("SequenceErase", SEQUENCE),
    OpDef::new("SequenceInsert", SEQUENCE),
    OpDef::new("SequenceLength", SEQUENCE),
    OpDef::new("SplitToSequence", SEQUENCE),
    OpDef::new("ConcatFromSequence", SEQUENCE),
    OpDef::new("Optional", SEQUENCE),
    OpDef::new("OptionalGetElement", SEQUENCE),
    OpDef::new("OptionalHasElement", SEQUENCE),
];
