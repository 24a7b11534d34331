//! Calibration: from the values that flow through a model to the ranges that quantization needs.
//!
//!     values of one tensor ─► Observer::observe ─► state ─► Observer::range ─► Range
//!                                   state ⊕ state ─► state           (merge)
//!
//! An observer sees the data once, chunk by chunk, and keeps a state whose size does not depend on how much it has
//! seen. States merge exactly: observing all the data, in whatever order and on however many threads, gives the same
//! state and so the same range. NaN and infinities are counted and reported, never folded into a range.
//!
//! A calibrator is one file here and one line in [`CALIBRATORS`].

mod extremes;
mod min_max;
mod ranges;
mod spec;
mod statistics;

use std::any::Any;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;

pub use extremes::Extremes;
pub use ranges::{NonFinite, Ranges, SCHEMA_VERSION};
pub use spec::{CALIBRATORS, Calibrator, Entry, Parameter, parse};
pub use statistics::Statistics;

/// The interval of real values that quantization maps onto its levels; what lies outside is clipped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    pub min: f32,
    pub max: f32,
}

impl Range {
    pub fn new(min: f32, max: f32) -> Self {
        Range { min, max }
    }

    /// The same range, widened so that zero is representable, which padding and pruning rely on.
    #[must_use]
    pub fn with_zero(self) -> Self {
        Range { min: self.min.min(0.0), max: self.max.max(0.0) }
    }
}

/// What a calibrator remembers of one value, and the range it draws from that.
///
/// `Any` lets [`Observer::merge`] see whether the other is of its own kind.
pub trait Observer: Any + Send + Sync {
    /// Takes in the values of one tensor; shape does not matter.
    fn observe(&mut self, values: &[f32]);

    /// Takes in what `other` has observed, exactly as if it had been observed here.
    ///
    /// Fails where `other` is of another calibrator.
    fn merge(&mut self, other: &dyn Observer) -> Result<()>;

    /// The range so far; `None` before the first finite value.
    fn range(&self) -> Option<Range>;

    /// Extremes and counts of what was observed, NaN and infinities among them.
    fn extremes(&self) -> &Extremes;

    /// The state as JSON, from which [`Observer::restore`] continues.
    fn state(&self) -> Result<Value>;

    /// Replaces the state by one that [`Observer::state`] gave. Fails on anything else.
    fn restore(&mut self, state: Value) -> Result<()>;
}

/// `other` as the concrete observer that `merge` needs.
fn same_kind<O: Observer>(other: &dyn Observer) -> Result<&O> {
    (other as &dyn Any)
        .downcast_ref()
        .ok_or_else(|| crate::Error::internal("two different calibrators observed the same value"))
}

/// The state of an observer as JSON and back, with the errors named.
fn to_json(state: &impl Serialize) -> Result<Value> {
    serde_json::to_value(state).map_err(|e| crate::Error::internal(e.to_string()))
}

fn from_json<T: for<'a> Deserialize<'a>>(state: Value) -> Result<T> {
    serde_json::from_value(state).map_err(|e| crate::Error::input(format!("calibration state does not fit: {e}")))
}
