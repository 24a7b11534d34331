//! Recurrent layers.

use super::{OpDef, QuantRule, cost, infer};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("LSTM", QuantRule::Recurrent).takes(3).infers(infer::recurrent::recurrent).costs(cost::recurrent),
    OpDef::new("GRU", QuantRule::Recurrent).takes(3).infers(infer::recurrent::recurrent).costs(cost::recurrent),
    OpDef::new("RNN", QuantRule::Recurrent).takes(3).infers(infer::recurrent::recurrent).costs(cost::recurrent),
];
