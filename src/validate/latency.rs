//! Original against rewritten, timed interleaved.
//!
//! The ratio is the median of the paired ratios; its spread is their 5th to 95th percentile.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::runtime::timing::ratios;
pub use crate::runtime::timing::{LatencyOptions, Timed, interleaved, quantile};

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

/// Times two sessions on one input.
pub fn compare(
    runtime: &str,
    threads: usize,
    original: Timed,
    rewritten: Timed,
    options: &LatencyOptions,
) -> Result<Latency> {
    let times = interleaved(&[original, rewritten], options)?;
    let ratios = ratios(&times[0], &times[1]);
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
