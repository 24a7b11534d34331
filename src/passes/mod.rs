//! Rewrites of the graph, one file each, and the fixed point over them.
//!
//! A pass states its equation, its picture before and after, and its refusals in its header. It looks at
//! one node at a time through [`for_each`] and answers with an [`Outcome`]; a refusal has a reason and
//! reaches the report. To add one: write the file, add its line to [`PASSES`].
//!
//! - `inline`: functions, decided branches, short loops and what loops only hand on moved into the graph around them
//! - `branch`: If nodes joined, turned round, and relieved of what is around them
//! - `tidy`: what is dead, duplicate, constant or without effect
//! - `algebra`: affine and linear operators folded into each other
//! - `fuse`: operators that say in several nodes what one can say
//! - `layout`: chains of reshapes, transposes, casts, joins; the type of all values
//! - [`opset`]: the version of the standard's operators, raised when something needs it

mod algebra;
mod branch;
mod fuse;
pub mod inline;
mod layout;
pub mod opset;
mod pass;
mod simplify;
mod specialize;
mod support;
mod tidy;

pub use pass::{Outcome, Pass, PassReport, Refusal, for_each};
pub use simplify::{LeftOut, SimplifyOptions, SimplifyReport, simplify};
pub(crate) use specialize::drop_shapes;
pub use specialize::{Specialize, declare_outputs, specialize};
pub(crate) use tidy::merge_initializers::Seen;

/// The passes that are asked for before weights become integers, and before integers are computed with.
const MAKES_WEIGHTS: [&str; 6] = [
    tidy::freeze_inputs::PASS.name,
    inline::functions::PASS.name,
    inline::invariants::PASS.name,
    tidy::eliminate_identity::PASS.name,
    tidy::fold_constants::PASS.name,
    tidy::fold_weights::PASS.name,
];
const FOLD_WEIGHT_CASTS: &str = tidy::fold_weight_casts::PASS.name;
const UNTIE_WEIGHTS: &str = tidy::untie_weights::PASS.name;
const WIDEN_FLOAT16: &str = layout::widen_float16::PASS.name;

/// Every pass, in the order in which a round runs them; rounds repeat until nothing changes.
///
/// First what opens the graph (functions, constants), then what needs single readers, and last what makes
/// sharers of equal values.
#[rustfmt::skip]
pub static PASSES: &[Pass] = &[
    inline::functions::PASS,
    tidy::freeze_inputs::PASS,
    tidy::hoist_constants::PASS,
    tidy::fold_constants::PASS,
    tidy::fold_weights::PASS,
    tidy::fold_weight_casts::PASS,
    tidy::untie_weights::PASS,
    layout::widen_float16::PASS,
    inline::branches::PASS,
    inline::invariants::PASS,
    inline::loops::PASS,
    branch::negated::PASS,
    branch::join::PASS,
    branch::sink::PASS,
    tidy::eliminate_identity::PASS,
    tidy::zero_states::PASS,
    layout::cast_chain::PASS,
    layout::transpose_chain::PASS,
    layout::sink_transposes::PASS,
    layout::transpose_rows::PASS,
    layout::unflatten_gemm::PASS,
    layout::unjoined_transpose::PASS,
    layout::split_gathers::PASS,
    layout::constant_shape::PASS,
    layout::unit_transpose::PASS,
    layout::reshape_chain::PASS,
    layout::unsqueeze_chain::PASS,
    layout::concat_chain::PASS,
    layout::concat_parts::PASS,
    layout::concat_slices::PASS,
    layout::slice_chain::PASS,
    layout::broadcast_expand::PASS,
    layout::transpose_gemm::PASS,
    fuse::einsum::PASS,
    fuse::clip::PASS,
    fuse::hard_sigmoid::PASS,
    fuse::hard_swish::PASS,
    fuse::gelu::PASS,
    fuse::silu::PASS,
    fuse::softplus::PASS,
    fuse::mish::PASS,
    fuse::softmax::PASS,
    fuse::instance_norm::PASS,
    fuse::layer_norm::PASS,
    fuse::rms_norm::PASS,
    fuse::group_norm::PASS,
    fuse::global_pool::PASS,
    fuse::depth_to_space::PASS,
    fuse::pad::PASS,
    fuse::slice_squeeze::PASS,
    fuse::reduce_chain::PASS,
    algebra::zero_sum::PASS,
    algebra::merge_constants::PASS,
    algebra::gemm_factors::PASS,
    algebra::batch_norm::PASS,
    algebra::scale::PASS,
    algebra::bias::PASS,
    algebra::input_affine::PASS,
    algebra::scale_after_shift::PASS,
    algebra::linear_chain::PASS,
    algebra::parallel::PASS,
    algebra::path::PASS,
    algebra::concat_equals::PASS,
    fuse::matmul_add::PASS,
    algebra::as_batch_norm::PASS,
    layout::depthwise_rows::PASS,
    tidy::correct_shapes::PASS,
    tidy::dead_nodes::PASS,
    tidy::merge_initializers::PASS,
    tidy::common_subexpressions::PASS,
];
