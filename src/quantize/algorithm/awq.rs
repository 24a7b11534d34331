//! Weights that meet large inputs are made large, so that they lose less (activation-aware weight quantization, Lin et al., MLSys 2024).
//!
//! ```text
//! y = x·W = (x/s)·(s·W)        s_k = a_k^α / √(max a^α · min a^α)    a_k = mean |x_k|    α = argmin ‖(x/s)·Q(s·W) − x·W‖²  in 0 … 1
//! ```
//!
//! Scales of weights are shared along the inputs, so an input channel that is multiplied by s_k before rounding errs about 1/s_k as much.
//! The search and what becomes of 1/s is [`crate::quantize::scale`]; the parameters of each group are then those of least squared error of its
//! products, every weight counting by the mean square of what it meets ([`super::clip`]), or the whole range where that is nearer.

use super::{Algorithm, ByData, clip, round_to_nearest};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "awq",
    summary: "input channels scaled by how large they are before weights alone are rounded, where there are data",
    fit: clip::fit,
    by_data: ByData::Scaled,
    ..round_to_nearest::ALGORITHM
};
