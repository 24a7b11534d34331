//! Mean ± K standard deviations, no wider than what was observed.
//!
//! "Standardize, scale, round" is affine quantization in other words: with s = (max − min)/255 and z = −min/s
//!
//! ```text
//! Q(x) = round(x/s + z) = round((x − μ)/σ · scale + c)        scale = σ/s, c = z + μ/s
//! ```
//!
//! and for the full interval μ ± Kσ, scale = 255/(2K) and c = 255/2: the mean maps to the middle of the levels, and
//! K deviations to either end. A side where the interval passes the observed extreme (after a ReLU, μ − Kσ is below
//! zero) is cut there: nothing was seen beyond, and levels spent on it would be lost.

use serde_json::Value;

use super::moments::Moments;
use super::{Decides, Entry, Extremes, Observer, Parameter, Range, from_json, same_kind, to_json};
use crate::error::Result;

pub(super) const ENTRY: Entry = Entry {
    name: "std",
    parameter: Some(Parameter { symbol: "K", example: 4.0, above: 0.0, at_most: 1000.0 }),
    summary: "mean ± K standard deviations, no wider than what was observed",
    decides: Decides::Rule,
    observer: |k| Box::new(MeanStd { k, moments: Moments::default() }),
};

/// Range μ ± `k`·σ, cut to what was observed.
struct MeanStd {
    k: f64,
    moments: Moments,
}

impl Observer for MeanStd {
    fn observe(&mut self, values: &[f32]) {
        self.moments.observe(values);
    }

    fn merge(&mut self, other: &dyn Observer) -> Result<()> {
        self.moments.merge(&same_kind::<Self>(other)?.moments);
        Ok(())
    }

    fn range(&self) -> Option<Range> {
        let whole = self.moments.extremes.range()?;
        let (mean, deviation) = self.moments.mean_and_deviation()?;
        let end = |k: f64| ((mean + k * deviation) as f32).clamp(whole.min, whole.max);
        Some(Range { min: end(-self.k), max: end(self.k) })
    }

    fn extremes(&self) -> &Extremes {
        &self.moments.extremes
    }

    fn state(&self) -> Result<Value> {
        to_json(&self.moments)
    }

    fn restore(&mut self, state: Value) -> Result<()> {
        self.moments = from_json(state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::normal;
    use super::*;

    fn range(k: f64, values: &[f32]) -> Range {
        let mut observer = (ENTRY.observer)(k);
        observer.observe(values);
        observer.range().unwrap()
    }

    #[test]
    fn is_mean_and_deviations() {
        // 1, 3: mean 2, deviation 1.
        assert_eq!(range(0.5, &[1.0, 3.0, 1.0, 3.0]), Range::new(1.5, 2.5));
        let Range { min, max } = range(2.0, &normal(100_000, 1).iter().map(|v| 3.0 * v + 1.0).collect::<Vec<_>>());
        assert!((min + 5.0).abs() < 0.1 && (max - 7.0).abs() < 0.1, "{min} … {max}");
    }

    #[test]
    fn never_passes_what_was_observed() {
        assert_eq!(range(3.0, &[1.0, 3.0]), Range::new(1.0, 3.0));
        assert_eq!(range(3.0, &[5.0; 9]), Range::new(5.0, 5.0));
    }

    #[test]
    fn standardize_scale_round_is_the_affine_map() {
        let values = normal(1000, 9);
        let mut moments = Moments::default();
        moments.observe(&values);
        let (mean, deviation) = moments.mean_and_deviation().unwrap();
        let k = 2.0;
        let Range { min, max } = range(k, &values);
        let s = f64::from(max - min) / 255.0;
        for v in values.iter().map(|v| f64::from(*v)) {
            let affine = v / s - f64::from(min) / s;
            let standardized = (v - mean) / deviation * (255.0 / (2.0 * k)) + 127.5;
            assert!((affine - standardized).abs() < 1e-3, "{affine} {standardized}");
        }
    }
}
