//! The clipping threshold whose 256 levels lose the least information (Kullback-Leibler divergence).
//!
//! For a threshold t the window is [−t, t] cut to what was observed: both sides of a signed tensor, one side after a
//! ReLU. P is the histogram in the window with what lies outside added to the outermost bins; Q is what quantization
//! leaves of it: each of 256 levels spreads its count S evenly over its n non-empty bins. With N = ΣP and M = ΣQ
//!
//! ```text
//! KL(P‖Q) = 1/N · (Σ P ln P − Σ_levels P_level · ln(S/n)) + ln(M/N)
//! ```
//!
//! P ln P, S and n are differences of prefix sums, so a threshold costs one logarithm per level and the whole search
//! O(thresholds · levels), where the usual formulation is O(thresholds · bins): under 2 ms at 2048 bins a side.
//! Exact zeros are on every grid and take no part, or the zeros of a ReLU would drown the rest.
//!
//! No window has fewer than four bins per level: below that hardly anything is left to lose within a level, the
//! divergence sees clipping alone improve, and heavy-tailed tensors (hard-swish, attention) would lose nearly all of
//! their signal. So a threshold is at least a quarter (signed) or half (one-sided) of the power of two above the largest
//! magnitude; where outliers lie farther out, `mse` and `percentile` are the calibrators to ask.
//!
//! After S. Migacz, 8-bit Inference with TensorRT, 2017.

use super::counted::{Rule, counted};
use super::histogram::Histogram;
use super::{Decides, Entry, Range};

/// Levels of an 8-bit grid.
const LEVELS: usize = 256;
/// Bins of the narrowest window: four per level.
const NARROWEST: usize = 4 * LEVELS;
/// Thresholds tried: every 1/512 of the largest magnitude, or every bin.
const THRESHOLDS: usize = 512;

pub(super) const ENTRY: Entry = Entry {
    name: "entropy",
    parameter: None,
    summary: "the threshold that keeps most information (KL divergence, as in TensorRT)",
    decides: Decides::Rule,
    observer: |_| counted(Entropy),
};

/// Range [−t, t], cut to what was observed, with the t of least KL divergence.
struct Entropy;

impl Rule for Entropy {
    fn range(&self, counts: &Histogram) -> Option<Range> {
        let whole = counts.extremes.range()?;
        let threshold = (best_threshold(counts) * counts.width()) as f32;
        Some(Range { min: whole.min.max(-threshold), max: whole.max.min(threshold) })
    }
}

/// The best threshold in bins; infinite where there is nothing to choose.
fn best_threshold(histogram: &Histogram) -> f64 {
    let (first, bins) = histogram.bins();
    let sums = Sums::of(&bins);
    let zero = first.unsigned_abs() as usize;
    let reach = zero.max(bins.len() - zero);
    let window = |t: usize| (zero.saturating_sub(t), (zero + t).min(bins.len()));
    let stride = reach.div_ceil(THRESHOLDS).max(1);
    let mut best = (f64::INFINITY, f64::INFINITY);
    let mut t = reach;
    // From the widest down: of equals the widest wins.
    while t > 0 {
        let (from, to) = window(t);
        if to - from < NARROWEST {
            break;
        }
        if let Some(loss) = sums.divergence(from, to).filter(|loss| *loss < best.0) {
            best = (loss, if t == reach { f64::INFINITY } else { t as f64 });
        }
        t = t.saturating_sub(stride);
    }
    best.1
}

/// Prefix sums over the bins: entry i sums the bins before i.
struct Sums<'a> {
    bins: &'a [u64],
    counts: Vec<u64>,
    used: Vec<u32>,
    c_ln_c: Vec<f64>,
}

impl<'a> Sums<'a> {
    fn of(bins: &'a [u64]) -> Self {
        let mut sums = Sums { bins, counts: vec![0], used: vec![0], c_ln_c: vec![0.0] };
        let (mut counts, mut used, mut c_ln_c) = (0, 0, 0.0);
        for count in bins {
            counts += count;
            used += u32::from(*count > 0);
            c_ln_c += x_ln_x(*count as f64);
            sums.counts.push(counts);
            sums.used.push(used);
            sums.c_ln_c.push(c_ln_c);
        }
        sums
    }

    /// KL divergence of the window `from..to`; `None` where the window is empty.
    fn divergence(&self, from: usize, to: usize) -> Option<f64> {
        let total = *self.counts.last()? as f64;
        let inside = (self.counts[to] - self.counts[from]) as f64;
        // What is clipped joins the outermost bins that hold anything.
        let lowest = (from..to).find(|i| self.bins[*i] > 0)?;
        let highest = (from..to).rfind(|i| self.bins[*i] > 0)?;
        let below = self.counts[from] as f64;
        let above = total - self.counts[to] as f64;

        let mut p_ln_p = self.c_ln_c[to] - self.c_ln_c[from];
        let edge = |i: usize, more: f64| x_ln_x(self.bins[i] as f64 + more) - x_ln_x(self.bins[i] as f64);
        p_ln_p +=
            if lowest == highest { edge(lowest, below + above) } else { edge(lowest, below) + edge(highest, above) };

        let mut p_ln_q = 0.0;
        let mut left = from;
        for level in 1..=LEVELS {
            let right = from + level * (to - from) / LEVELS;
            let count = (self.counts[right] - self.counts[left]) as f64;
            if count > 0.0 {
                let mut p = count;
                if (left..right).contains(&lowest) {
                    p += below;
                }
                if (left..right).contains(&highest) {
                    p += above;
                }
                p_ln_q += p * (count / f64::from(self.used[right] - self.used[left])).ln();
            }
            left = right;
        }
        Some((p_ln_p - p_ln_q) / total + (inside / total).ln())
    }
}

fn x_ln_x(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::tests::normal;
    use super::*;

    fn range(values: &[f32]) -> Range {
        let mut observer = (ENTRY.observer)(0.0);
        observer.observe(values);
        observer.range().unwrap()
    }

    /// The definition: build P and Q bin by bin.
    fn divergence_by_definition(bins: &[u64], from: usize, to: usize) -> f64 {
        let mut p: Vec<f64> = bins[from..to].iter().map(|c| *c as f64).collect();
        let mut q = vec![0.0; p.len()];
        for level in 0..LEVELS {
            let (left, right) = (level * p.len() / LEVELS, (level + 1) * p.len() / LEVELS);
            let used = p[left..right].iter().filter(|c| **c > 0.0).count() as f64;
            let sum: f64 = p[left..right].iter().sum();
            for i in left..right {
                q[i] = if p[i] > 0.0 { sum / used } else { 0.0 };
            }
        }
        let lowest = p.iter().position(|c| *c > 0.0).unwrap();
        let highest = p.iter().rposition(|c| *c > 0.0).unwrap();
        p[lowest] += bins[..from].iter().sum::<u64>() as f64;
        p[highest] += bins[to..].iter().sum::<u64>() as f64;
        let (n, m): (f64, f64) = (p.iter().sum(), q.iter().sum());
        p.iter().zip(&q).filter(|(p, _)| **p > 0.0).map(|(p, q)| p / n * (p / n / (q / m)).ln()).sum()
    }

    #[test]
    fn prefix_sums_give_the_divergence_of_the_definition() {
        let mut histogram = Histogram::default();
        histogram.observe(&normal(20_000, 5));
        let (_, bins) = histogram.bins();
        let sums = Sums::of(&bins);
        for (from, to) in [(0, bins.len()), (100, bins.len() - 50), (700, 1500), (900, 1200)] {
            let (fast, slow) = (sums.divergence(from, to).unwrap(), divergence_by_definition(&bins, from, to));
            assert!((fast - slow).abs() < 1e-9, "{from}..{to}: {fast} {slow}");
        }
    }

    #[test]
    fn clips_outliers_of_a_bell_and_keeps_an_even_spread() {
        let mut bell = normal(200_000, 1);
        bell.extend([12.0, -11.0, 13.0]);
        let Range { min, max } = range(&bell);
        assert!((4.0..7.0).contains(&max) && (-7.0..-4.0).contains(&min), "{min} … {max}");

        let even: Vec<f32> = (0..100_000).map(|i| i as f32 / 1000.0 - 50.0).collect();
        let Range { min, max } = range(&even);
        assert!(max > 48.0 && min < -48.0, "{min} … {max}");
    }

    #[test]
    fn one_sided_tensors_keep_their_zero() {
        let relu: Vec<f32> = normal(200_000, 2).into_iter().map(|v| v.max(0.0)).chain([7.5]).collect();
        let Range { min, max } = range(&relu);
        assert_eq!(min, 0.0);
        assert!((4.0..6.0).contains(&max), "{max}");
        assert_eq!(range(&[0.0; 10]), Range::new(0.0, 0.0));
        assert_eq!(range(&[-2.0]), Range::new(-2.0, -2.0));
    }
}
