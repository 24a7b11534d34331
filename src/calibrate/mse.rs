//! The clipping range of least expected squared error on an 8-bit grid that holds zero.
//!
//! For a range [lo, hi] ∋ 0 the grid is q(k) = (k − z)·s, k = 0 … 255, s = (hi − lo)/255, z = round(−lo/s). A value x
//! goes to its nearest level, beyond the ends to the last one, so with M₀, M₁, M₂ the count, sum and sum of squares of
//! what falls to level k
//!
//! ```text
//! E = Σₖ Σ (x − q(k))² = Σₖ M₂ − 2·q(k)·M₁ + q(k)²·M₀
//! ```
//!
//! The moments are differences of prefix sums over the histogram, values taken as evenly spread over their bin, so a
//! range costs 256 steps whatever was observed. That is the true rounding error, not s²/12: of a heavy-tailed tensor most
//! values may be smaller than s. Exact zeros cost nothing and take no part.
//!
//! The search shrinks both ends together, then each by itself, on a geometric ladder, and refines by halving steps.

use super::counted::{Rule, counted};
use super::histogram::Histogram;
use super::{Decides, Entry, Range};

/// Highest level of an 8-bit grid.
const TOP: usize = 255;
/// Rungs of the ladder: factors 2^(−i/16), down to 1/256.
const RUNGS: i32 = 128;
const RUNGS_PER_OCTAVE: f64 = 16.0;

pub(super) const ENTRY: Entry = Entry {
    name: "mse",
    parameter: None,
    summary: "the range of least squared error on an 8-bit grid, both ends searched",
    decides: Decides::Rule,
    observer: |_| counted(Mse),
};

/// Range of least expected squared error; contains zero.
struct Mse;

impl Rule for Mse {
    fn range(&self, counts: &Histogram) -> Option<Range> {
        range(counts)
    }
}

/// The range of least squared error.
pub(super) fn range(histogram: &Histogram) -> Option<Range> {
    let whole = histogram.extremes.range()?.with_zero();
    let width = histogram.width();
    let ends = (f64::from(whole.min) / width, f64::from(whole.max) / width);
    let (low, high) = search(&Moments::of(histogram), ends);
    // Rounding to f32 must not leave what was observed.
    Some(Range { min: ((low * width) as f32).max(whole.min), max: ((high * width) as f32).min(whole.max) })
}

/// Mean squared error of the observed values on the 8-bit grid over `range`.
pub(super) fn error(histogram: &Histogram, range: Range) -> f64 {
    let width = histogram.width();
    let ends = (f64::from(range.min) / width, f64::from(range.max) / width);
    Moments::of(histogram).error(ends) * width * width / (histogram.extremes.count as f64).max(1.0)
}

/// The best ends within `widest`, in bins.
fn search(moments: &Moments, widest: (f64, f64)) -> (f64, f64) {
    let mut best = (moments.error(widest), widest);
    let consider = |best: &mut (f64, (f64, f64)), ends: (f64, f64)| {
        let ends = (ends.0.clamp(widest.0, 0.0), ends.1.clamp(0.0, widest.1));
        let error = moments.error(ends);
        if error < best.0 {
            *best = (error, ends);
        }
    };
    let ladder = |rung: i32| 2f64.powf(-f64::from(rung) / RUNGS_PER_OCTAVE);
    for rung in 1..=RUNGS {
        consider(&mut best, (widest.0 * ladder(rung), widest.1 * ladder(rung)));
    }
    for _ in 0..2 {
        let low = best.1.0;
        for rung in 0..=RUNGS {
            consider(&mut best, (low, widest.1 * ladder(rung)));
        }
        let high = best.1.1;
        for rung in 0..=RUNGS {
            consider(&mut best, (widest.0 * ladder(rung), high));
        }
    }
    let mut step = 0.5 / RUNGS_PER_OCTAVE;
    for _ in 0..5 {
        let (low, high) = best.1;
        for (down, up) in [(1.0 - step, 1.0), (1.0 + step, 1.0), (1.0, 1.0 - step), (1.0, 1.0 + step)] {
            consider(&mut best, (low * down, high * up));
        }
        step /= 2.0;
    }
    best.1
}

/// Count, sum and sum of squares of all values before the left edge of each bin; lengths in bins.
struct Moments {
    first: f64,
    bins: Vec<u64>,
    before: Vec<[f64; 3]>,
}

impl Moments {
    fn of(histogram: &Histogram) -> Self {
        let (first, bins) = histogram.bins();
        let first = first as f64;
        let mut sum = [0.0; 3];
        let mut before = vec![sum];
        for (i, count) in bins.iter().enumerate() {
            sum = plus(sum, part(*count, first + i as f64, 1.0));
            before.push(sum);
        }
        Moments { first, bins, before }
    }

    /// Moments of all values below `x`.
    fn below(&self, x: f64) -> [f64; 3] {
        let at = (x - self.first).max(0.0);
        let i = at as usize;
        match self.bins.get(i) {
            Some(count) => plus(self.before[i], part(*count, self.first + i as f64, at - i as f64)),
            None => self.before[self.bins.len()],
        }
    }

    /// Summed squared error of the grid over `low` … `high`, in bins².
    fn error(&self, (low, high): (f64, f64)) -> f64 {
        let all = self.before[self.bins.len()];
        let scale = (high - low) / TOP as f64;
        if scale <= 0.0 {
            return all[2];
        }
        let zero_point = (-low / scale).round();
        let mut error = all[2];
        let mut left = [0.0; 3];
        for level in 0..=TOP {
            let q = (level as f64 - zero_point) * scale;
            let right = if level == TOP { all } else { self.below(q + 0.5 * scale) };
            error += q * (q * (right[0] - left[0]) - 2.0 * (right[1] - left[1]));
            left = right;
        }
        error
    }
}

/// Moments of the first `fraction` of a bin of `count` values that starts at `left`.
#[inline]
fn part(count: u64, left: f64, fraction: f64) -> [f64; 3] {
    let c = count as f64 * fraction;
    [c, c * (left + fraction / 2.0), c * (left * (left + fraction) + fraction * fraction / 3.0)]
}

#[inline]
fn plus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

#[cfg(test)]
mod tests {
    use super::super::tests::normal;
    use super::*;

    fn range_of(values: &[f32]) -> Range {
        let mut observer = (ENTRY.observer)(0.0);
        observer.observe(values);
        observer.range().unwrap()
    }

    /// Mean squared error of quantizing `values` to the 8-bit grid of `range`, value by value.
    fn true_error(values: &[f32], range: Range) -> f64 {
        let (low, high) = (f64::from(range.min), f64::from(range.max));
        let scale = (high - low) / 255.0;
        let zero = (-low / scale).round();
        let error = |v: &f32| {
            let v = f64::from(*v);
            (v - ((v / scale + zero).round().clamp(0.0, 255.0) - zero) * scale).powi(2)
        };
        values.iter().map(error).sum::<f64>() / values.len() as f64
    }

    #[test]
    fn expected_error_is_the_error() {
        let values = normal(50_000, 3);
        let mut histogram = Histogram::default();
        histogram.observe(&values);
        for (low, high) in [(-4.0, 4.0), (-2.0, 3.0), (-0.5, 1.0), (0.0, 2.0)] {
            let expected = error(&histogram, Range::new(low as f32, high as f32));
            let actual = true_error(&values, Range::new(low as f32, high as f32));
            assert!((expected / actual - 1.0).abs() < 0.02, "{low} … {high}: {expected} {actual}");
        }
    }

    #[test]
    fn no_range_of_a_grid_search_is_better() {
        let mut heavy = normal(20_000, 4).into_iter().map(|v| v * v * v).collect::<Vec<_>>();
        heavy.push(300.0);
        let skewed: Vec<f32> = normal(20_000, 6).into_iter().map(|v| if v < 0.0 { v * 0.1 } else { v * 5.0 }).collect();
        let relu: Vec<f32> = normal(20_000, 7).into_iter().map(|v| v.max(0.0)).collect();
        for values in [normal(20_000, 8), heavy, skewed, relu] {
            let found = range_of(&values);
            let whole =
                Range::new(values.iter().copied().fold(0.0, f32::min), values.iter().copied().fold(0.0, f32::max));
            let error = true_error(&values, found);
            for i in 1..=40 {
                for j in 1..=40 {
                    let other = Range::new(whole.min * i as f32 / 40.0, whole.max * j as f32 / 40.0);
                    let other_error = true_error(&values, other);
                    assert!(error < other_error * 1.03, "{found:?} {error} but {other:?} {other_error}");
                }
            }
        }
    }

    #[test]
    fn zero_stays_inside_and_nothing_grows() {
        assert_eq!(range_of(&[0.0; 4]), Range::new(0.0, 0.0));
        let Range { min, max } = range_of(&[2.0, 3.0, 4.0]);
        assert!(min == 0.0 && (3.9..=4.0).contains(&max), "{min} … {max}");
        let Range { min, max } = range_of(&[-1.0]);
        assert!((-1.0..=-0.99).contains(&min) && max == 0.0, "{min} … {max}");
    }
}
