//! Pruning: decide a [`PrunePlan`], then apply it.
//!
//! ```text
//! decide(model, options, data) ─► PrunePlan (printable: every tensor, what and why not) ─► apply(model, plan)
//! ```
//!
//! A criterion scores every weight, from the weights alone or from data; the lowest scores become zero, over the whole model
//! or tensor by tensor, anywhere or in a [`Pattern`]. An algorithm says what becomes of the weights that stay. Zeros are stored
//! dense, or as `sparse_initializer` where asked and smaller. Whole channels and heads go out of the graph ([`channel`]).

pub mod algorithm;
mod apply;
pub mod channel;
pub mod criterion;
mod decide;
mod exclude;
mod floats;
mod goal;
mod judge;
mod layer;
mod mask;
mod masks;
mod options;
mod pattern;
mod plan;
mod resolve;
mod select;
mod sensitivity;
pub mod shrink;
mod sparse;
mod statistics;
mod tensors;
mod way;
mod widened;

pub use algorithm::ALGORITHMS;
pub use apply::{PruneReport, apply, prune};
pub use channel::criterion::CHANNEL_CRITERIA;
pub use criterion::CRITERIA;
pub use decide::{Data, decide};
pub use goal::{Goal, Threshold};
pub use options::{PruneOptions, Scope};
pub use pattern::Pattern;
pub use plan::{PrunePlan, TensorPlan};
pub use sensitivity::{LayerSensitivity, Level, PruneSensitivity, sensitivity};
pub use statistics::{Activations, Gradients, Needs, Statistics};
