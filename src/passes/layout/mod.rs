//! Chains of operators that move or retype elements become one, and what changes the type of all.

pub(super) mod broadcast_expand;
pub(super) mod cast_chain;
pub(super) mod concat_chain;
pub(super) mod concat_parts;
pub(super) mod concat_slices;
pub(super) mod constant_shape;
mod cuts;
pub(super) mod depthwise_rows;
pub(super) mod reshape_chain;
pub(super) mod sink_transposes;
pub(super) mod slice_chain;
pub(super) mod split_gathers;
pub(super) mod transpose_chain;
pub(super) mod transpose_gemm;
pub(super) mod transpose_rows;
pub(super) mod unflatten_gemm;
pub(super) mod unit_transpose;
pub(super) mod unjoined_transpose;
pub(super) mod unsqueeze_chain;
pub(super) mod widen_float16;
