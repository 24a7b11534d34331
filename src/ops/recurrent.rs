//! Recurrent layers.

use super::{OpDef, QuantRule, channels, cost, infer};

pub(super) static OPS: &[OpDef] = &[layer("LSTM"), layer("GRU"), layer("RNN")];

const fn layer(op_type: &'static str) -> OpDef {
    OpDef::new(op_type, QuantRule::Recurrent { weights: [1, 2] })
        .takes(3)
        .infers(infer::recurrent::recurrent)
        .costs(cost::recurrent)
        .couples(channels::recurrent::RECURRENT)
}
