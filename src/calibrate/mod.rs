//! Calibration: from the values that flow through a model to the ranges that quantization needs.
//!
//! ```text
//! values of one tensor ─► Observer::observe ─► state ─► Observer::range ─► Range
//!                               state ⊕ state ─► state           (merge)
//! ```
//!
//! An observer sees the data once, chunk by chunk, and keeps a state whose size does not depend on how much it has
//! seen. States merge exactly: observing all the data, in whatever order and on however many threads, gives the same
//! state and so the same range. NaN and infinities are counted and reported, never folded into a range.
//!
//! A calibrator is one file here and one line in [`CALIBRATORS`].

mod collect;
mod counted;
mod entropy;
mod extremes;
mod histogram;
mod lanes;
mod mean_std;
mod min_max;
mod moments;
mod mse;
mod output_mse;
mod percentile;
mod ranges;
mod search;
mod spec;
mod statistics;

use std::any::Any;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;

pub use collect::collect;
pub use extremes::Extremes;
pub use ranges::{NonFinite, Ranges};
pub use spec::{CALIBRATORS, Calibrator, Decides, Entry, Parameter, parse};
pub use statistics::Statistics;

/// The interval of real values that quantization maps onto its levels; what lies outside is clipped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The smallest number.
    pub min: f32,
    /// The largest number.
    pub max: f32,
}

impl Range {
    /// From `min` to `max`, both in the units of the value.
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

    /// Ranges to choose among by measuring, the preferred one first; empty where there is no choice.
    fn alternatives(&self) -> Vec<Range> {
        Vec::new()
    }

    /// Mean squared error of what was observed on the 8-bit grid over `range`; `None` where no counts are kept.
    fn error(&self, _range: Range) -> Option<f64> {
        None
    }

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `n` values of a standard normal distribution, the same for the same seed.
    pub(super) fn normal(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        (0..n).map(|_| ((-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()) as f32).collect()
    }

    fn examples() -> Vec<Calibrator> {
        let spec = |entry: &Entry| match &entry.parameter {
            Some(parameter) => format!("{}:{}", entry.name, parameter.example),
            None => entry.name.to_owned(),
        };
        CALIBRATORS.iter().map(|entry| parse(&spec(entry)).unwrap()).collect()
    }

    fn observed(calibrator: &Calibrator, parts: &[&[f32]]) -> Box<dyn Observer> {
        let mut observer = calibrator.observer();
        for part in parts {
            observer.observe(part);
        }
        observer
    }

    /// Any float at all, small ones and zeros often.
    fn value() -> impl Strategy<Value = f32> {
        prop_oneof![3 => -4.0f32..4.0, 1 => Just(0.0f32), 1 => any::<f32>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn merging_is_observing(a in prop::collection::vec(value(), 0..300), b in prop::collection::vec(value(), 0..300)) {
            for calibrator in examples() {
                let mut merged = observed(&calibrator, &[&a]);
                merged.merge(&*observed(&calibrator, &[&b])).unwrap();
                let whole = observed(&calibrator, &[&b, &a]);
                prop_assert_eq!(merged.state().unwrap(), whole.state().unwrap(), "{}", calibrator);
                prop_assert_eq!(merged.range(), whole.range(), "{}", calibrator);
                prop_assert_eq!(merged.range().is_some(), a.iter().chain(&b).any(|v| v.is_finite()));
            }
        }

        #[test]
        fn order_and_chunks_do_not_matter(
            mut values in prop::collection::vec(value(), 1..300), at in any::<prop::sample::Index>(), repeat in 1usize..80
        ) {
            // Long enough for the tables of the histogram as well.
            let long: Vec<f32> = values.iter().copied().cycle().take(values.len() * repeat).collect();
            let cut = at.index(long.len());
            values.sort_by(f32::total_cmp);
            let sorted: Vec<f32> = values.iter().flat_map(|v| std::iter::repeat_n(*v, repeat)).collect();
            for calibrator in examples() {
                let cut = observed(&calibrator, &[&long[cut..], &long[..cut]]);
                let whole = observed(&calibrator, &[&sorted]);
                prop_assert_eq!(cut.state().unwrap(), whole.state().unwrap(), "{}", calibrator);
            }
        }

        #[test]
        fn ranges_lie_within_the_observed_and_states_come_back(values in prop::collection::vec(value(), 1..300)) {
            for calibrator in examples() {
                let observer = observed(&calibrator, &[&values]);
                let mut again = calibrator.observer();
                again.restore(serde_json::from_str(&observer.state().unwrap().to_string()).unwrap()).unwrap();
                prop_assert_eq!(again.range(), observer.range(), "{}", calibrator);
                prop_assert_eq!(again.state().unwrap(), observer.state().unwrap(), "{}", calibrator);
                if let Some(Range { min, max }) = observer.range() {
                    let whole = observer.extremes().range().unwrap().with_zero();
                    prop_assert!(whole.min <= min && min <= max && max <= whole.max, "{} {} {}", calibrator, min, max);
                }
            }
        }

        #[test]
        fn percentile_100_is_min_max(values in prop::collection::vec(value(), 0..300)) {
            let of = |spec| observed(&parse(spec).unwrap(), &[&values]).range();
            prop_assert_eq!(of("percentile:100"), of("min-max"));
        }
    }

    #[test]
    fn calibrators_do_not_mix() {
        let mut min_max = parse("min-max").unwrap().observer();
        assert!(min_max.merge(&*parse("mse").unwrap().observer()).is_err());
        assert!(parse("mse").unwrap().observer().restore(serde_json::json!({"min": 1})).is_err());
    }
}
