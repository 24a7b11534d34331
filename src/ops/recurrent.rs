//! Recurrent layers.

use super::{OpDef, QuantRule};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("LSTM", QuantRule::Recurrent),
    OpDef::new("GRU", QuantRule::Recurrent),
    OpDef::new("RNN", QuantRule::Recurrent),
];
