//! Affine and linear operators folded into each other.
//!
//! [`affine`] reads what a node does to each channel, [`linear`] knows where an operator with a weight keeps
//! its channels, [`window`] which elements its kernel sees; a pass joins them. All arithmetic is in `f64` and is rounded
//! once, to the weight's dtype; [`constants`] are decided before any is set.

pub(super) mod affine;
pub(super) mod as_batch_norm;
pub(super) mod batch_norm;
pub(super) mod bias;
pub(super) mod concat_equals;
mod constants;
mod fold;
mod gelu;
pub(super) mod gemm_factors;
pub(super) mod input_affine;
mod linear;
pub(super) mod linear_chain;
pub(super) mod merge_constants;
pub(super) mod parallel;
pub(super) mod path;
mod piece;
pub(super) mod scale;
pub(super) mod scale_after_shift;
mod window;
pub(super) mod zero_sum;
