//! Rewrites of the graph, one file each, and the fixed point over them.
//!
//! A pass states its equation, its picture before and after, and its refusals in its header. It looks at
//! one node at a time through [`for_each`] and answers with an [`Outcome`]; a refusal has a reason and
//! reaches the report. To add one: write the file, add its line to [`PASSES`].
//!
//! - `tidy`: what is dead, duplicate, constant or without effect
//! - `algebra`: affine and linear operators folded into each other
//! - `fuse`: operators that say in several nodes what one can say
//! - `layout`: chains of reshapes, transposes, slices

mod algebra;
mod fuse;
pub mod inline;
pub mod opset;
mod pass;
mod simplify;
mod support;
mod tidy;

pub use pass::{Outcome, Pass, PassReport, Refusal, for_each};
pub use simplify::{SimplifyOptions, SimplifyReport, simplify};

/// Every pass, in the order in which a round runs them; rounds repeat until nothing changes.
#[rustfmt::skip]
pub static PASSES: &[Pass] = &[
    tidy::hoist_constants::PASS,
    tidy::eliminate_identity::PASS,
    fuse::clip::PASS,
    fuse::hard_sigmoid::PASS,
    fuse::pad::PASS,
    algebra::merge_constants::PASS,
    algebra::batch_norm::PASS,
    algebra::scale::PASS,
    algebra::bias::PASS,
    algebra::input_affine::PASS,
    fuse::matmul_add::PASS,
    tidy::dead_nodes::PASS,
]; a refusal has a reason and
//! reaches the report. To add one: write the file, add its line to [`PASSES`].
//!
//! - `tidy`: what is dead, duplicate, constant or without effect
//! - `algebra`: affine and linear operators folded into each other
//! - `fuse`: operators that say in several nodes what one can say
//! - `layout`: chains of reshapes, transposes, slices

mod algebra;
mod fuse;
pub mod inline;
pub mod opset;
mod pass;
mod simplify;
mod support;
mod tidy;

pub use pass::{Outcome, Pass, PassReport, Refusal, for_each};
pub use simplify::{SimplifyOptions, SimplifyReport, simplify};

/// Every pass, in the order in which a round runs them; rounds repeat until nothing changes.
#[rustfmt::skip]
pub static PASSES: &[Pass] = &[
    tidy::hoist_constants::PASS,
    tidy::eliminate_identity::PASS,
    algebra::merge_constants::PASS,
    algebra::batch_norm::PASS,
    algebra::scale::PASS,
    algebra::bias::PASS,
    algebra::input_affine::PASS,
    tidy::dead_nodes::PASS,
];
