//! Chains of operators that move or retype elements become one.

pub(super) mod cast_chain;
pub(super) mod concat_chain;
pub(super) mod constant_shape;
pub(super) mod reshape_chain;
pub(super) mod sink_transposes;
pub(super) mod transpose_chain;
pub(super) mod transpose_gemm;
pub(super) mod transpose_rows;
pub(super) mod unit_transpose;
pub(super) mod unsqueeze_chain;
