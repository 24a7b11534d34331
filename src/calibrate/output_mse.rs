//! The range by the error of what is computed from the value.
//!
//! ```text
//! [l, h] = argmin Σ ‖y(x_q) − y(x)‖²        y: the values next in line that become integers, x_q: x on the grid over a·[l₀, h₀], a in 0.3 … 1
//! ```
//!
//! Offers many ranges from one histogram, for [`crate::quantize::choose`] to measure; scales of weights are then found by the same error.
//! [`search`](super::search) offers few, and several rules for the whole model compete. Unmeasured it is that of least squared error.

use super::counted::{Rule, counted};
use super::histogram::Histogram;
use super::{Decides, Entry, Range, mse};

pub(super) const ENTRY: Entry = Entry {
    name: "output-mse",
    parameter: None,
    summary: "the range of least error in what is computed from the value, scales of weights alike",
    decides: Decides::Output,
    observer: |_| counted(OutputMse),
};

/// Parts of the whole range, of both ends, and of the lower end alone.
const BOTH: [f32; 8] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3];
const LOWER: [f32; 4] = [0.75, 0.5, 0.25, 0.125];

struct OutputMse;

impl Rule for OutputMse {
    fn range(&self, counts: &Histogram) -> Option<Range> {
        mse::range(counts)
    }

    fn alternatives(&self, counts: &Histogram) -> Vec<Range> {
        let Some((best, whole)) = self.range(counts).zip(counts.extremes.range()) else { return Vec::new() };
        let whole = whole.with_zero();
        let both = BOTH.iter().map(|part| Range { min: whole.min * part, max: whole.max * part });
        let lower = LOWER.iter().map(|part| Range { min: best.min * part, max: best.max });
        [best].into_iter().chain(both).chain(lower).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::normal;
    use super::*;

    #[test]
    fn offers_the_range_of_least_error_first_and_none_beyond_the_observed() {
        let mut observer = (ENTRY.observer)(0.0);
        observer.observe(&normal(10_000, 3));
        let all = observer.alternatives();
        assert_eq!(all.len(), 1 + BOTH.len() + LOWER.len());
        assert_eq!(Some(all[0]), observer.range());
        let whole = observer.extremes().range().unwrap();
        assert_eq!(all[1], whole);
        assert!(all.iter().all(|r| r.min >= whole.min && r.max <= whole.max && r.min <= 0.0));
    }
}
