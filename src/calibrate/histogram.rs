//! Counts in equal bins around zero, whose width doubles when a value falls outside.
//!
//! ```text
//! −2048·w …  −w   0   w  … 2048·w        w = 2ᵉ, the smallest that reaches the largest magnitude seen
//! └─ negative ─┘ └─ positive ─┘
//! ```
//!
//! A value belongs to bin ⌊|v|/w⌋ of its side: |v|/w is exact since w is a power of two, and ⌊⌊y⌋/2⌋ = ⌊y/2⌋, so
//! doubling w (adding pairs of bins) gives the very counts that the wider bins would have had from the start. The
//! exponent depends on the largest magnitude alone. Hence order, chunks and merging leave no trace: the state is a
//! function of the multiset of values.

use serde::{Deserialize, Serialize};

use super::lanes::Lanes;
use super::{Extremes, Range};
use crate::error::{Error, Result};

/// Bins on each side of zero. With w the smallest power of two, at least half of them are used on the wider side.
pub(super) const SIDE: usize = 2048;
pub(super) const BINS: usize = 2 * SIDE;
pub(super) const SIDE_BITS: i32 = SIDE.trailing_zeros() as i32;
/// Bounds of the exponent: 1/w must be a normal f32.
const MIN_EXPONENT: i32 = -126;

/// Entries 0..2048 count the values > 0 by magnitude, 2048..4096 those < 0.
pub(super) type Counts = [u64; BINS];

/// Extremes and counts of one value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Compact", into = "Compact")]
pub(super) struct Histogram {
    pub extremes: Extremes,
    /// Bins are 2^exponent wide.
    exponent: i32,
    counts: Box<Counts>,
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        (&self.extremes, self.exponent, sides(&self.counts)) == (&other.extremes, other.exponent, sides(&other.counts))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { extremes: Extremes::default(), exponent: MIN_EXPONENT, counts: Box::new([0; BINS]) }
    }
}

impl Histogram {
    /// Counts these values.
    pub fn observe(&mut self, values: &[f32]) {
        let Histogram { extremes, exponent, counts } = self;
        let zeros = extremes.zeros;
        let mut lanes = Lanes::new();
        extremes.observe(values, |extremes, chunk| {
            let wanted = exponent_for(extremes);
            if wanted > *exponent || !lanes.have_room(chunk) {
                lanes.empty_into(counts);
                grow(exponent, counts, wanted);
            }
            lanes.count(chunk, exp2(-*exponent), extremes.min < 0.0);
        });
        lanes.empty_into(counts);
        // Counted with the smallest positive values; they have a count of their own.
        counts[0] -= extremes.zeros - zeros;
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.extremes.merge(&other.extremes);
        let mut theirs = other.counts.clone();
        grow(&mut { other.exponent }, &mut theirs, self.exponent);
        grow(&mut self.exponent, &mut self.counts, other.exponent);
        for (own, more) in self.counts.iter_mut().zip(theirs.iter()) {
            *own = own.saturating_add(*more);
        }
    }

    /// Width of a bin, in units of the value.
    pub fn width(&self) -> f64 {
        2f64.powi(self.exponent)
    }

    /// The non-zero values in ascending bins, from that of the smallest (or from zero) to that of the largest; zeros
    /// are in `extremes`. The first of the returned bins starts at the returned multiple of the width.
    pub fn bins(&self) -> (i64, Vec<u64>) {
        let (positive, negative) = sides(&self.counts);
        let used = |side: &[u64]| side.iter().rposition(|c| *c > 0).map_or(0, |last| last + 1);
        let negatives = used(negative);
        let mut bins: Vec<u64> = negative[..negatives].iter().rev().copied().collect();
        bins.extend_from_slice(&positive[..used(positive)]);
        (-(negatives as i64), bins)
    }

    /// The values below which the fractions `low` and `high` of all observed values lie, zeros included.
    ///
    /// Values are taken as evenly spread over their bin. Fractions of 0 and 1 give the extremes themselves.
    pub fn quantiles(&self, low: f64, high: f64) -> Option<Range> {
        let whole = self.extremes.range()?;
        let (first, bins) = self.bins();
        let quantile = |fraction: f64| {
            let wanted = fraction * self.extremes.count as f64;
            let mut below = 0.0;
            for (i, count) in bins.iter().enumerate() {
                let left = first + i as i64;
                if left == 0 {
                    below += self.extremes.zeros as f64;
                    if below >= wanted {
                        return 0.0;
                    }
                }
                let count = *count as f64;
                if below + count >= wanted && count > 0.0 {
                    return (left as f64 + (wanted - below) / count) * self.width();
                }
                below += count;
            }
            f64::from(whole.max)
        };
        let inside = |v: f64| (v as f32).clamp(whole.min, whole.max);
        Some(Range {
            min: if low <= 0.0 { whole.min } else { inside(quantile(low)) },
            max: if high >= 1.0 { whole.max } else { inside(quantile(high)) },
        })
    }
}

/// The positive and the negative side.
fn sides(counts: &Counts) -> (&[u64], &[u64]) {
    counts.split_at(SIDE)
}

/// The smallest exponent whose bins reach every value in `extremes`.
fn exponent_for(extremes: &Extremes) -> i32 {
    let largest = extremes.max.max(-extremes.min).max(0.0);
    let log2 = (largest.to_bits() >> 23) as i32 - 127; // ⌊log₂⌋; below every exponent for subnormals, which is enough
    (log2 + 1 - SIDE_BITS).max(MIN_EXPONENT)
}

/// 2^exponent for exponents −126 … 127.
fn exp2(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

/// Widens the bins to 2^`wanted`; narrower is not possible and leaves them as they are.
fn grow(exponent: &mut i32, counts: &mut Counts, wanted: i32) {
    let doublings = wanted - *exponent;
    if doublings <= 0 {
        return;
    }
    let shift = doublings.min(SIDE_BITS);
    for side in counts.chunks_mut(SIDE) {
        for i in 1..SIDE {
            let count = std::mem::take(&mut side[i]);
            side[i >> shift] = side[i >> shift].saturating_add(count);
        }
    }
    *exponent = wanted;
}

/// A histogram in JSON: each side up to its last count, a run of n empty bins written as −n.
#[derive(Serialize, Deserialize)]
struct Compact {
    #[serde(flatten)]
    extremes: Extremes,
    exponent: i32,
    negative: Vec<i64>,
    positive: Vec<i64>,
}

impl From<Histogram> for Compact {
    fn from(histogram: Histogram) -> Self {
        let (positive, negative) = sides(&histogram.counts);
        Compact {
            exponent: histogram.exponent,
            negative: run_lengths(negative),
            positive: run_lengths(positive),
            extremes: histogram.extremes,
        }
    }
}

fn run_lengths(side: &[u64]) -> Vec<i64> {
    let mut out = Vec::new();
    for count in side {
        match (count, out.last_mut()) {
            (0, Some(run)) if *run < 0 => *run -= 1,
            (0, _) => out.push(-1),
            (count, _) => out.push(i64::try_from(*count).unwrap_or(i64::MAX)),
        }
    }
    if out.last().is_some_and(|run| *run < 0) {
        out.pop();
    }
    out
}

impl TryFrom<Compact> for Histogram {
    type Error = Error;

    fn try_from(compact: Compact) -> Result<Self> {
        let mut counts = Box::new([0; BINS]);
        let (positive, negative) = counts.split_at_mut(SIDE);
        expand(&compact.positive, positive)?;
        expand(&compact.negative, negative)?;
        let Extremes { count, zeros, .. } = compact.extremes;
        let total = counts.iter().try_fold(zeros, |sum, count| sum.checked_add(*count));
        if total != Some(count) || !compact.extremes.is_sound() {
            return Err(Error::input("histogram's counts do not add up to its count"));
        }
        if compact.exponent != exponent_for(&compact.extremes) {
            return Err(Error::input("histogram's bin width does not fit its extremes"));
        }
        Ok(Histogram { extremes: compact.extremes, exponent: compact.exponent, counts })
    }
}

fn expand(runs: &[i64], side: &mut [u64]) -> Result<()> {
    let mut at = 0usize;
    for run in runs {
        match u64::try_from(*run) {
            Ok(count) => {
                *side.get_mut(at).ok_or_else(|| Error::input(format!("histogram has more than {SIDE} bins")))? = count;
                at += 1;
            }
            Err(_) => at = at.saturating_add(usize::try_from(run.unsigned_abs()).unwrap_or(usize::MAX)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.observe(values);
        histogram
    }

    #[test]
    fn width_is_the_smallest_power_of_two_that_reaches() {
        for (value, exponent) in [(1.0, -10), (1.9, -10), (2.0, -9), (-2047.9, 0), (2048.0, 1), (f32::MAX, 117)] {
            assert_eq!(of(&[value]).exponent, exponent, "{value}");
        }
        assert_eq!(of(&[1e-45, -1e-39, 0.0]).exponent, MIN_EXPONENT);
        assert_eq!(of(&[]).exponent, MIN_EXPONENT);
    }

    #[test]
    fn bins_lie_around_zero_without_the_zeros() {
        let histogram = of(&[-2.0, -0.0, 0.0, 0.5, 1023.0]);
        assert_eq!(histogram.width(), 0.5);
        let (first, bins) = histogram.bins();
        assert_eq!((first, bins.len()), (-5, 5 + 2047)); // bin 4 of the negative side is −2.5 < v ≤ −2
        assert_eq!((bins[0], bins[5], bins[6], bins[5 + 2046]), (1, 0, 1, 1));
        assert_eq!(bins.iter().sum::<u64>(), 3);
    }

    #[test]
    fn widening_step_by_step_is_starting_wide() {
        let values: Vec<f32> =
            (0..3000).map(|i| (i as f32 * 0.01).exp() * if i % 3 == 0 { -1e-6 } else { 1e-6 }).collect();
        let mut descending = values.clone();
        descending.reverse();
        assert_eq!(of(&values), of(&descending));
        let long: Vec<f32> = values.iter().copied().cycle().take(30_000).collect();
        let mut parts = Histogram::default();
        long.chunks(3000).for_each(|part| parts.observe(part));
        assert_eq!(of(&long), parts);
    }

    #[test]
    fn json_is_short_and_checked() {
        let histogram = of(&[-1.0, 0.0, 0.0, 1.5]);
        let json = serde_json::to_string(&histogram).unwrap();
        assert!(json.ends_with("\"exponent\":-10,\"negative\":[-1024,1],\"positive\":[-1536,1]}"), "{json}");
        assert_eq!(serde_json::from_str::<Histogram>(&json).unwrap(), histogram);
        for (from, to) in
            [("\"zeros\":2", "\"zeros\":3"), ("-1536", "-9999"), (":-10", ":-9"), ("[-1024", "[-9223372036854775808")]
        {
            assert!(serde_json::from_str::<Histogram>(&json.replace(from, to)).is_err(), "{from} to {to}");
        }
    }
}
