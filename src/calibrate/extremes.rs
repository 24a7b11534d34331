//! Smallest and largest value, and the counts, in one vectorizable pass.
//!
//! Values arrive in chunks that fit the first-level cache, so whoever counts more than extremes (a histogram) reads
//! each chunk a second time at no cost. A chunk is summed as v·0: 0 where all of it is finite and NaN where it is not,
//! and only then are its values looked at one by one.

use serde::{Deserialize, Serialize};

use super::Range;

/// Values handed on at a time: 16 kB, half of a first-level cache.
const CHUNK: usize = 4096;
/// Running minima and maxima side by side, so that the compiler uses vector registers.
const LANES: usize = 16;

/// What every observer knows of its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extremes {
    /// Smallest finite value; meaningless while `count` is 0.
    pub min: f32,
    /// Largest finite value; meaningless while `count` is 0.
    pub max: f32,
    /// Finite values observed.
    pub count: u64,
    /// Of which exactly zero.
    pub zeros: u64,
    /// Values that are not numbers.
    #[serde(default)]
    pub nan: u64,
    /// Infinite values.
    #[serde(default)]
    pub inf: u64,
}

impl Default for Extremes {
    fn default() -> Self {
        // The neutral elements of min and max that JSON can write.
        Extremes { min: f32::MAX, max: f32::MIN, count: 0, zeros: 0, nan: 0, inf: 0 }
    }
}

impl Extremes {
    /// Takes in `values` and hands their finite ones on in order, at most 4096 at a time, after `self` knows of them.
    pub(super) fn observe(&mut self, values: &[f32], mut finite: impl FnMut(&Self, &[f32])) {
        for chunk in values.chunks(CHUNK) {
            let scan = scan(chunk);
            if scan.all_finite {
                self.add(&scan, chunk.len());
                finite(self, chunk);
            } else {
                let kept: Vec<f32> = chunk.iter().copied().filter(|v| v.is_finite()).collect();
                let nan = chunk.iter().filter(|v| v.is_nan()).count();
                self.nan += nan as u64;
                self.inf += (chunk.len() - kept.len() - nan) as u64;
                self.add(&self::scan(&kept), kept.len());
                finite(self, &kept);
            }
        }
    }

    fn add(&mut self, scan: &Scan, count: usize) {
        self.min = self.min.min(scan.min);
        self.max = self.max.max(scan.max);
        self.count += count as u64;
        self.zeros += u64::from(scan.zeros);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count = self.count.saturating_add(other.count);
        self.zeros = self.zeros.saturating_add(other.zeros);
        self.nan = self.nan.saturating_add(other.nan);
        self.inf = self.inf.saturating_add(other.inf);
    }

    /// From the smallest to the largest finite value; `None` before the first.
    pub fn range(&self) -> Option<Range> {
        (self.count > 0).then_some(Range { min: self.min, max: self.max })
    }

    /// Whether a state read from a file can be one that [`Extremes::observe`] leaves.
    pub(super) fn is_sound(&self) -> bool {
        self.zeros <= self.count && (self.count == 0 || self.min <= self.max)
    }
}

struct Scan {
    min: f32,
    max: f32,
    zeros: u32,
    all_finite: bool,
}

fn scan(values: &[f32]) -> Scan {
    let mut min = [f32::MAX; LANES];
    let mut max = [f32::MIN; LANES];
    let mut zeros = [0u32; LANES];
    let mut poison = [0f32; LANES];
    let mut step = |lane: usize, v: f32| {
        min[lane] = if v < min[lane] { v } else { min[lane] };
        max[lane] = if v > max[lane] { v } else { max[lane] };
        zeros[lane] += u32::from(v == 0.0);
        poison[lane] += v * 0.0;
    };
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (lane, v) in block.iter().enumerate() {
            step(lane, *v);
        }
    }
    for (lane, v) in rest.iter().enumerate() {
        step(lane, *v);
    }
    Scan {
        min: min.into_iter().fold(f32::MAX, f32::min),
        max: max.into_iter().fold(f32::MIN, f32::max),
        zeros: zeros.into_iter().sum(),
        all_finite: poison.into_iter().sum::<f32>() == 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_not_a_number_and_leaves_it_out() {
        let mut extremes = Extremes::default();
        let mut handed_on = Vec::new();
        let values = [1.0, f32::NAN, -2.5, f32::INFINITY, 0.0, f32::NEG_INFINITY, -0.0];
        extremes.observe(&values, |_, finite| handed_on.extend_from_slice(finite));
        assert_eq!(extremes, Extremes { min: -2.5, max: 1.0, count: 4, zeros: 2, nan: 1, inf: 2 });
        assert_eq!(handed_on, [1.0, -2.5, 0.0, -0.0]);
    }

    #[test]
    fn finds_the_extremes_wherever_they_stand() {
        for at in [0, 15, 16, 4095, 4096, 9_999] {
            let mut values = vec![0.5; 10_000];
            values[at] = -7.0;
            values[9_999 - at] = 9.0;
            let mut extremes = Extremes::default();
            extremes.observe(&values, |_, _| ());
            assert_eq!(extremes.range(), Some(Range::new(-7.0, 9.0)), "at {at}");
            assert_eq!(extremes.count, 10_000);
        }
        assert_eq!(Extremes::default().range(), None);
    }
}
