//! Which passes make this model slower in this runtime: measured, and left out.
//!
//! ```text
//! all ── without p₁ ── without p₂ ── …      interleaved; gain of leaving p out = time of all ÷ time without p
//!                                           p a pass, or a family of passes that do each other's work
//!
//! largest gain ≥ 1.02 ─► timed again ─► still ≥ 1.02 ─► p is left out, and the others are tried again
//! in the end: original ÷ result < 0.98 ─► the original stays
//! ```
//!
//! A pass that removes an operator can undo a fusion that the runtime knows and makes more of than the operator costs.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::candidates::{Candidate, candidates};
use super::latency::{LatencyOptions, Timed, interleaved, quantile};
use crate::error::Result;
use crate::ir::{Model, Tensor};
use crate::passes::{SimplifyOptions, SimplifyReport, simplify};
use crate::progress::Progress;
use crate::runtime::timing::ratios;
use crate::runtime::{Ready, Rewrites, Runtime, load_as_it_stands};

/// More than two runs of one model differ by.
const GAIN: f64 = 1.02;
/// Models that are in memory at once, with the one that they are compared to.
const AT_ONCE: usize = 4;
const SCREEN: LatencyOptions = LatencyOptions { min_runs: 7, max_runs: 60, budget: Duration::from_millis(1000) };
const FINAL: LatencyOptions = LatencyOptions { min_runs: 15, max_runs: 200, budget: Duration::from_millis(3000) };

/// What was measured.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Tuned {
    /// Where it was timed.
    pub runtime: &'static str,
    /// Passes and families that were left out, with how much faster the model is without each.
    pub without: Vec<(String, f64)>,
    /// Latency of the original ÷ that of the result, and milliseconds of both.
    pub speedup: f64,
    /// Median of the original, in ms.
    pub original_ms: f64,
    /// Median of the result, in ms.
    pub result_ms: f64,
    /// The result was slower, so that the original stays as it is.
    pub kept_original: bool,
}

impl fmt::Display for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tuned { runtime, original_ms, result_ms, speedup, .. } = self;
        for (pass, gain) in &self.without {
            writeln!(f, "  {pass:<28} left out: {gain:.2}× in {runtime} without it")?;
        }
        let kept = if self.kept_original { ": the original stays as it is" } else { "" };
        write!(f, "latency {original_ms:.2} ms ─► {result_ms:.2} ms, {speedup:.2}× in {runtime}, 1 thread{kept}")
    }
}

/// Simplifies `original` by the passes of `options` but for those that make it slower in `runtime` on `inputs`, on one thread.
///
/// # Errors
/// What the runtime says of the original or a result; those of [`simplify`].
pub fn tune(
    original: &Model,
    options: &SimplifyOptions,
    inputs: &[(String, Tensor)],
    runtime: &'static dyn Runtime,
    progress: &dyn Progress,
) -> Result<(Model, SimplifyReport, Tuned)> {
    let load = |model: &Model| load_as_it_stands(runtime, model, inputs, (Rewrites::Runtime, 1));
    let made = |options: &SimplifyOptions| {
        let mut model = original.clone();
        simplify(&mut model, options).map(|report| (model, report))
    };
    let mut chosen = options.clone();
    let mut without = Vec::new();
    let (mut model, mut report) = made(&chosen)?;
    let mut ready = load(&model)?;
    loop {
        let open = candidates(&report);
        progress.start("tuning", open.len() as u64);
        let mut best: Option<(f64, &Candidate)> = None;
        for some in open.chunks(AT_ONCE) {
            let others = some.iter().map(|c| load(&made(&c.left_out_of(&chosen))?.0)).collect::<Result<Vec<_>>>()?;
            let gains = gains(&ready, &others, &SCREEN)?;
            best = gains.into_iter().zip(some).chain(best).max_by(|a, b| a.0.total_cmp(&b.0));
            progress.step(some.len() as u64);
        }
        progress.finish();
        let Some((_, left)) = best.filter(|(gain, _)| *gain >= GAIN) else { break };
        let less = left.left_out_of(&chosen);
        let (other, other_report) = made(&less)?;
        let other_ready = [load(&other)?];
        let gain = gains(&ready, &other_ready, &FINAL)?[0];
        if gain < GAIN {
            break;
        }
        without.push((left.name.clone(), gain));
        let [other_ready] = other_ready;
        (chosen, model, report, ready) = (less, other, other_report, other_ready);
    }
    let first = load(original)?;
    let times = times(&[&first, &ready], &FINAL)?;
    let speedup = quantile(&ratios(&times[0], &times[1]), 0.5);
    let kept_original = speedup < 1.0 / GAIN;
    if kept_original {
        let nodes = original.operator_count();
        (model, report) =
            (original.clone(), SimplifyReport { nodes_before: nodes, nodes_after: nodes, ..Default::default() });
    }
    let [original_ms, result_ms] = [0, 1].map(|i| quantile(&times[i], 0.5));
    Ok((model, report, Tuned { runtime: runtime.name(), without, speedup, original_ms, result_ms, kept_original }))
}

/// How much faster each of `others` is than `all`.
fn gains(all: &Ready, others: &[Ready], options: &LatencyOptions) -> Result<Vec<f64>> {
    let models: Vec<&Ready> = std::iter::once(all).chain(others).collect();
    let times = times(&models, options)?;
    Ok(times[1..].iter().map(|t| quantile(&ratios(&times[0], t), 0.5)).collect())
}

fn times(models: &[&Ready], options: &LatencyOptions) -> Result<Vec<Vec<f64>>> {
    let timed: Vec<Timed> = models.iter().map(|(session, fed)| (&**session, fed.as_slice())).collect();
    interleaved(&timed, options)
}
