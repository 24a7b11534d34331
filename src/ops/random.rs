//! Random numbers: never folded, never shared.

use super::{OpDef, QuantRule};

const RANDOM: QuantRule = QuantRule::Never("random numbers");

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("RandomNormal", RANDOM).takes(0).impure(),
    OpDef::new("RandomNormalLike", RANDOM).impure(),
    OpDef::new("RandomUniform", RANDOM).takes(0).impure(),
    OpDef::new("RandomUniformLike", RANDOM).impure(),
    OpDef::new("Multinomial", RANDOM).impure(),
    OpDef::new("Bernoulli", RANDOM).impure(),
];
