//! Pruning: decide a [`PrunePlan`], then apply it.
//!
//! A criterion scores every weight; the lowest scores become zero, over the whole model or tensor by
//! tensor, freely or N of every M. Zeros are stored dense, or as `sparse_initializer` where asked and smaller.

pub mod criterion;
mod mask;
mod options;
mod plan;
mod select;
mod sparse;

pub use criterion::CRITERIA;
pub use options::{Pattern, PruneOptions, Scope};
pub use plan::{PrunePlan, PruneReport, TensorPlan, apply, plan};
