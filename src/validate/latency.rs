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
    /// Half of the runs took no longer, in ms.
    pub median_ms: f64,
    /// 95 % of the runs took no longer, in ms.
    pub p95_ms: f64,
}

/// Original against rewritten, interleaved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Latency {
    /// Where it was timed.
    pub runtime: String,
    /// Threads of one run.
    pub threads: usize,
    /// Runs of each model.
    pub runs: usize,
    /// Of the original.
    pub original: Times,
    /// Of the rewritten model.
    pub rewritten: Times,
    /// Original ÷ rewritten: above 1 is faster.
    pub speedup: f64,
    /// The 5th percentile of the pairs of runs.
    pub speedup_low: f64,
    /// The 95th percentile of the pairs of runs.
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

/// Median and 95th percentile of times in ms.
pub fn summary(times: &[f64]) -> Times {
    Times { median_ms: quantile(times, 0.5), p95_ms: quantile(times, 0.95) }
}
