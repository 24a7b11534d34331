//! Quantization: decide a [`QuantPlan`], then apply it.
//!
//! ```text
//! plan(model, ranges, options) ─► QuantPlan (printable: every node, what and why not) ─► apply(model, plan)
//! ```
//!
//! Which operators contract a weight, which rearrange, which stay float is data of [`crate::ops`]; where the
//! target wants Q/DQ is data of [`crate::target`]. The forms that a decision can be written in are one file
//! each: `qdq`, `qoperator`, `integer` (static and dynamic), `weight_only`, `n_bits`, `half`, `short_floats`; `product` for those of two
//! activations, `table` for what is looked up, `recurrent` for layers with gates; what a form holds of what is asked for, `forms`. How the
//! integers of a weight share scales is `sharing`, how they lie in the file `storage`.
//!
//! What statistics cannot tell is found by running the model on calibration data: `compare` tries ranges, roundings, biases and whole plans,
//! `measure` times nodes. Under a plan weights can be trained: [`recover`](recover()).

pub mod algorithm;
mod apply;
mod chain;
mod compare;
mod convolution;
mod decide;
mod equalize;
mod filters;
mod forms;
mod grouped;
mod guard;
mod half;
mod integer;
mod measure;
mod n_bits;
mod named;
mod operands;
mod options;
mod outline;
mod pairs;
mod params;
mod plan;
mod product;
mod qdq;
mod qoperator;
mod recover;
mod recurrent;
mod rescale;
mod sharing;
mod short_floats;
mod stopwatch;
mod storage;
mod stored_only;
mod subset;
mod table;
mod tied;
mod weight_only;
mod weights;
mod write;

pub use algorithm::ALGORITHMS;
pub use apply::{QuantReport, apply};
pub use compare::{Rescaled, choose, scale, smooth, weights_alone};
pub use decide::{plan, values_to_observe};
pub use equalize::{Equalized, equalize};
pub use measure::{Measured, measure};
pub use options::{Activations, Format, Granularity, QuantOptions, Switch, Weights};
pub use outline::outline;
pub use pairs::overflows;
pub use params::{QParams, QType};
pub use plan::{Decision, NodePlan, QuantPlan, WeightPlan};
pub use recover::{is_trained, recover};
pub use subset::{stand_in, without};
