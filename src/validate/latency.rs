//! Interleaved timing: A, B, A, B, …, so that both meet the same machine.
//!
//! The ratio is the median of the paired ratios; its spread is their 5th to 95th percentile.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::ir::Tensor;
use crate::runtime::Session;

#[derive(Debug, Clone, Copy)]
pub struct LatencyOptions {
    pub min_runs: usize,
    pub max_runs: usize,
    /// No further pair is begun after this long.
    pub budget: Duration,
}

impl Default for LatencyOptions {
    fn default() -> Self {
        LatencyOptions { min_runs: 10, max_runs: 100, budget: Duration::from_secs(4) }
    }
}

/// Milliseconds of one model.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Times {
    pub median_ms: f64,
    pub p95_ms: f64,
}

/// Original against rewritten, interleaved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Latency {
    pub runtime: String,
    pub threads: usize,
    pub runs: usize,
    pub original: Times,
    pub rewritten: Times,
    /// Original ÷ rewritten: above 1 is faster.
    pub speedup: f64,
    pub speedup_low: f64,
    pub speedup_high: f64,
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
    while times[0].len() < options.max_runs && (times[0].len() < options.min_runs || begin.elapsed() < options.budget) {
        for ((session, inputs), times) in sessions.iter().zip(&mut times) {
            let start = Instant::now();
            session.run(inputs)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}

/// Times two sessions on one input.
pub fn compare(
    runtime: &str,
    threads: usize,
    original: Timed,
    rewritten: Timed,
    options: &LatencyOptions,
) -> Result<Latency> {
    let times = interleaved(&[original, rewritten], options)?;
    let ratios: Vec<f64> = times[0].iter().zip(&times[1]).map(|(a, b)| a / b).collect();
    Ok(Latency {
        runtime: runtime.to_string(),
        threads,
        runs: ratios.len(),
        original: summary(&times[0]),
        rewritten: summary(&times[1]),
        speedup: quantile(&ratios, 0.5),
        speedup_low: quantile(&ratios, 0.05),
        speedup_high: quantile(&ratios, 0.95),
    })
}

pub fn summary(times: &[f64]) -> Times {
    Times { median_ms: quantile(times, 0.5), p95_ms: quantile(times, 0.95) }
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
}
