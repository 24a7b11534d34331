//! Random numbers: never folded, never shared.

use super::{OpDef, QuantRule};

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("RandomNormal", QuantRule::Never("random numbers")).impure(),
    OpDef::new("RandomNormalLike", QuantRule::Never("random numbers")).impure(),
    OpDef::new("RandomUniform", QuantRule::Never("random numbers")).impure(),
    OpDef::new("RandomUniformLike", QuantRule::Never("random numbers")).impure(),
    OpDef::new("Multinomial", QuantRule::Never("random numbers")).impure(),
    OpDef::new("Bernoulli", QuantRule::Never("random numbers")).impure(),
];
