//! Interleaved timing: A, B, B, A, A, B, …, so that all meet the same machine.
//!
//! ```text
//! A B B A A B …        ratio of one pair = time of A ÷ time of B, both within one moment
//! ```
//!
//! The order turns, since a scheduler's slice may fall on the second of each pair. Other work on the machine slows a pair's two runs alike: the median of the paired ratios hardly feels it.

use std::time::{Duration, Instant};

use super::Session;
use crate::error::Result;
use crate::ir::Tensor;

/// How often models are run to be timed.
#[derive(Debug, Clone, Copy)]
pub struct LatencyOptions {
    /// Runs of each model at least, however long they take.
    pub min_runs: usize,
    /// Runs of each model at most.
    pub max_runs: usize,
    /// No further pair is begun after this long.
    pub budget: Duration,
}

impl Default for LatencyOptions {
    fn default() -> Self {
        LatencyOptions { min_runs: 10, max_runs: 100, budget: Duration::from_secs(4) }
    }
}

/// Decimals with which a ratio is told: a small one keeps its digits.
#[must_use]
pub fn decimals(ratio: f64) -> usize {
    if ratio < 0.1 { 4 } else { 2 }
}

/// A session and what it is fed.
pub type Timed<'a> = (&'a dyn Session, &'a [(String, Tensor)]);

/// Times of each session on its own inputs, interleaved: one list a session, in milliseconds.
pub fn interleaved(sessions: &[Timed], options: &LatencyOptions) -> Result<Vec<Vec<f64>>> {
    let mut times = vec![Vec::new(); sessions.len()];
    for _ in 0..2 {
        for (session, inputs) in sessions {
            session.run(inputs)?;
        }
    }
    let begin = Instant::now();
    let runs = |times: &[Vec<f64>]| times.first().map_or(options.max_runs, Vec::len);
    while runs(&times) < options.max_runs && (runs(&times) < options.min_runs || begin.elapsed() < options.budget) {
        let turned = runs(&times) % 2 == 1;
        for i in 0..sessions.len() {
            let i = if turned { sessions.len() - 1 - i } else { i };
            let (session, inputs) = &sessions[i];
            let start = Instant::now();
            session.run(inputs)?;
            times[i].push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}

/// Paired ratios first ÷ second: above 1 the second is faster.
pub fn ratios(first: &[f64], second: &[f64]) -> Vec<f64> {
    first.iter().zip(second).map(|(a, b)| a / b).collect()
}

/// The `q` quantile by linear interpolation; 0 of nothing.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = q * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5), 2.5);
        assert_eq!(quantile(&[1.0], 0.95), 1.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn one_slow_moment_does_not_move_the_median_ratio() {
        assert_eq!(quantile(&ratios(&[2.0, 20.0, 2.0], &[1.0, 10.0, 4.0]), 0.5), 2.0);
    }
}
