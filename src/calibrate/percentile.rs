//! The range that keeps `p` percent of the observed values; half of the rest is clipped on either side.
//!
//! min = quantile((1 − p/100)/2), max = quantile(1 − (1 − p/100)/2), interpolated within a bin of the histogram and
//! never outside what was observed; 100 is min-max. As in ONNX Runtime's percentile calibration, but from counts
//! that need no second pass.

use super::counted::{Rule, counted};
use super::histogram::Histogram;
use super::{Decides, Entry, Parameter, Range};

pub(super) const ENTRY: Entry = Entry {
    name: "percentile",
    parameter: Some(Parameter { symbol: "P", example: 99.99, above: 50.0, at_most: 100.0 }),
    summary: "the range that keeps P percent of the values; 100 is min-max",
    decides: Decides::Rule,
    observer: |p| counted(Percentile { p }),
};

/// Range that keeps `p` percent of the observed values, `p` in (50, 100].
struct Percentile {
    p: f64,
}

impl Rule for Percentile {
    fn range(&self, counts: &Histogram) -> Option<Range> {
        let tail = (100.0 - self.p) / 200.0;
        counts.quantiles(tail, 1.0 - tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(p: f64, values: &[f32]) -> Range {
        let mut observer = (ENTRY.observer)(p);
        observer.observe(values);
        observer.range().unwrap()
    }

    #[test]
    fn keeps_p_percent_of_an_even_spread() {
        let values: Vec<f32> = (0..100_001).map(|i| i as f32 / 1000.0 - 50.0).collect();
        let bin = 100.0 / 2.0 / 1024.0;
        for p in [60.0, 90.0, 99.0, 99.9] {
            let Range { min, max } = range(p, &values);
            let half = p as f32 / 2.0;
            assert!((min + half).abs() < bin && (max - half).abs() < bin, "{p}: {min} … {max}");
        }
        assert_eq!(range(100.0, &values), Range::new(-50.0, 50.0));
    }

    #[test]
    fn clips_one_outlier_in_ten_thousand_and_leaves_relu_zeros_at_zero() {
        let mut values: Vec<f32> = (0..10_000).map(|i| (i as f32 / 100.0 - 50.0).max(0.0)).collect();
        values[7] = 1000.0;
        let Range { min, max } = range(99.9, &values);
        assert_eq!(min, 0.0);
        assert!((max - 50.0).abs() < 0.5, "{max}");
        assert_eq!(range(100.0, &values).max, 1000.0);
    }
}
