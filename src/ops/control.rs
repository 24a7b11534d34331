//! Control flow.

use super::{OpDef, QuantRule};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("If", QuantRule::Never("its branches are quantized, not itself")),
    OpDef::new("Loop", QuantRule::Never("its branches are quantized, not itself")),
    OpDef::new("Scan", QuantRule::Never("its branches are quantized, not itself")),
    OpDef::new("SequenceMap", QuantRule::Never("its branches are quantized, not itself")),
    OpDef::new("SequenceAt", QuantRule::Never("a sequence or an optional, not a tensor")),
    OpDef::new("SequenceConstruct", QuantRule::Never("a sequence or an optional, not a tensor")),
    OpDef::new("SequenceEmpty", QuantRule::Never("a sequence or an optional, not a tensor")),
    OpDef::new("SequenceErase", QuantRule::Never("a sequence or an optional, not a tensor")),
    OpDef::new("SequenceInsert", QuantRule::Never("a sequence or an optional, not a tensor")),
    OpDef::new("SequenceLength", QuantRule::Never("a sequence or an optional, not a tensor")),
    OpDef::new("SplitToSequence", QuantRule::Never("a sequence or an optional, not a tensor")),
    OpDef::new("ConcatFromSequence", QuantRule::Never("a sequence or an optional, not a tensor")),
    OpDef::new("Optional", QuantRule::Never("a sequence or an optional, not a tensor")),
    OpDef::new("OptionalGetElement", QuantRule::Never("a sequence or an optional, not a tensor")),
    OpDef::new("OptionalHasElement", QuantRule::Never("a sequence or an optional, not a tensor")),
];
