//! Operators that say in several nodes what one can say.

pub(super) mod clip;
pub(super) mod depth_to_space;
pub(super) mod einsum;
pub(super) mod gelu;
pub(super) mod global_pool;
pub(super) mod group_norm;
pub(super) mod hard_sigmoid;
pub(super) mod hard_swish;
pub(super) mod instance_norm;
pub(super) mod layer_norm;
pub(super) mod matmul_add;
pub(super) mod mish;
mod normalization;
pub(super) mod pad;
mod pattern;
mod product;
pub(super) mod reduce_chain;
pub(super) mod rms_norm;
pub(super) mod silu;
pub(super) mod slice_squeeze;
pub(super) mod softmax;
pub(super) mod softplus;
