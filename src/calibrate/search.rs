//! Several ranges of one value, among which the model decides.
//!
//! No statistic of a tensor alone tells its best range: where HardSwish or a small weight reads it, its largest errors
//! may not count, and where it is nearly constant over a background, one level's offset counts at every place. So this
//! calibrator offers, from one histogram,
//!
//! ```text
//! least squared error [l, h]      the whole range      99.99, 99.9 percent
//! 0.4·l, 0.2·l with h             0.8 × [l, h]
//! ```
//!
//! and [`crate::quantize::choose`] measures what each does to what the value is for. Unmeasured it is the first.

use super::counted::{Rule, counted};
use super::histogram::Histogram;
use super::{Decides, Entry, Range, mse};

pub(super) const ENTRY: Entry = Entry {
    name: "search",
    parameter: None,
    summary: "of the ranges that the others find, the one that changes what is computed from the value least",
    decides: Decides::Measuring,
    observer: |_| counted(Search),
};

/// Percentages kept by candidates.
const PERCENTAGES: [f64; 2] = [99.99, 99.9];
/// Factors of the range of least squared error, below and above zero.
const FACTORS: [(f32, f32); 3] = [(0.4, 1.0), (0.2, 1.0), (0.8, 0.8)];

struct Search;

impl Rule for Search {
    fn range(&self, counts: &Histogram) -> Option<Range> {
        mse::range(counts)
    }

    fn alternatives(&self, counts: &Histogram) -> Vec<Range> {
        let Some((best, whole)) = self.range(counts).zip(counts.extremes.range()) else { return Vec::new() };
        let whole = whole.with_zero();
        let quantiles = PERCENTAGES.iter().filter_map(|p| {
            let tail = (100.0 - p) / 200.0;
            Some(counts.quantiles(tail, 1.0 - tail)?.with_zero())
        });
        let scaled = FACTORS
            .iter()
            .map(|(low, high)| Range { min: (best.min * low).max(whole.min), max: (best.max * high).min(whole.max) });
        [best, whole].into_iter().chain(quantiles).chain(scaled).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::normal;
    use super::*;

    fn alternatives(values: &[f32]) -> Vec<Range> {
        let mut observer = (ENTRY.observer)(0.0);
        observer.observe(values);
        observer.alternatives()
    }

    #[test]
    fn offers_what_the_others_find_and_less() {
        let mut values = normal(100_000, 5);
        values.push(40.0);
        let found = alternatives(&values);
        assert_eq!(found.len(), 2 + PERCENTAGES.len() + FACTORS.len());
        assert_eq!(found[1].max, 40.0);
        assert!(found[0].max < 40.0, "{:?}", found[0]);
        assert!((found[3].max - 3.29).abs() < 0.1, "{:?}", found[3]);
        assert!((found[5].min / found[0].min - 0.2).abs() < 1e-6 && found[5].max == found[0].max);
    }

    #[test]
    fn nothing_observed_gives_none_and_nothing_leaves_the_observed() {
        assert!(alternatives(&[0.0; 3]).iter().all(|r| *r == Range::new(0.0, 0.0)));
        assert!(alternatives(&[f32::NAN]).is_empty());
        let relu: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        assert!(alternatives(&relu).iter().all(|r| r.min == 0.0 && r.max <= 999.0));
    }
}
