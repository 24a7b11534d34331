//! Weights alone, rounded by data: what GPTQ makes of them, where that brings the outputs nearer on batches that are held back.

use super::judge::Judge;
use super::{Ground, awq, staged};
use crate::data::{Dataset, HELD_TO_CHOOSE, spread};
use crate::error::Result;
use crate::ir::Model;
use crate::progress::Progress;
use crate::quantize::algorithm::{self, ByData};
use crate::quantize::plan::QuantPlan;
use crate::quantize::{QuantOptions, plan};
use crate::runtime::Runtime;

/// Samples that weights are fitted to, and that judge them, at most.
const FITTED: usize = 256;
const JUDGED: usize = 64;

/// The plan for weights alone that `dataset` allows. Where the algorithm takes no data nothing is run.
///
/// # Errors
/// Usage, for names in `options` that do not exist; what the data refuse.
pub fn weights_alone(
    model: &Model,
    options: &QuantOptions,
    (dataset, runtime): (&Dataset, &dyn Runtime),
    progress: &dyn Progress,
) -> Result<QuantPlan> {
    let mut plain = plan(model, None, options)?;
    let by_data = algorithm::find(&options.algorithm)?.by_data;
    let wanted = by_data == ByData::Scaled
        || by_data == ByData::Always
        || by_data == ByData::WherePays && options.weights_are_narrow();
    if !wanted || plain.quantized() == 0 {
        return Ok(plain);
    }
    let inputs = dataset.batch(0)?.inputs;
    let sizes = inputs.iter().map(|(name, t)| (name.clone(), t.byte_len())).collect();
    let ground = Ground { model, dataset, runtime, progress, sizes: &sizes };
    let samples = dataset.split(HELD_TO_CHOOSE);
    if by_data == ByData::Scaled {
        return by_scales(ground, plain, &spread(&samples.judge, dataset.batches_of(JUDGED)));
    }
    let tried = || -> Result<QuantPlan> {
        let judge = spread(&samples.judge, dataset.batches_of(JUDGED));
        let found = staged::round(ground, &plain, &spread(&samples.fit, dataset.batches_of(FITTED)), &judge)?;
        let [before, after] = &found.scores;
        let better = by_data == ByData::Always || after.score >= before.score;
        let (batches, count) = (judge.len(), found.rounded);
        let held = if samples.apart() { "held back" } else { "fitted to" };
        let (before, after) = (before.sqnr, after.sqnr);
        let mut best = if better { found.plan } else { plain.clone() };
        best.notes.push(format!("SQNR of the outputs on {batches} calibration batches {held}: {before:.1} dB, with {count} weights rounded by GPTQ {after:.1} dB"));
        best.notes.extend(staged::left(found.left));
        Ok(best)
    };
    match tried() {
        Err(e) if e.kind() == crate::ErrorKind::Runtime => {
            plain.notes.push(format!("nothing was measured: {e}"));
            Ok(plain)
        }
        result => result,
    }
}

/// The plan with the ranges that AWQ finds, in the model that it has scaled; how near that comes is noted.
fn by_scales(ground: Ground, plain: QuantPlan, judge: &[usize]) -> Result<QuantPlan> {
    let (mut plan, rounded) = awq::round(ground.model, &plain, (ground.dataset, ground.runtime), ground.progress)?;
    let outputs = ground.sizes.values().sum();
    let judge = Judge::new(ground, judge.to_vec(), outputs)?;
    let scores = judge.scores(&[&plain, &plan])?;
    let (batches, before, after) = (judge.batches(), scores[0].sqnr, scores[1].sqnr);
    plan.notes.push(format!("SQNR of the outputs on {batches} calibration batches: {before:.1} dB, with the ranges of {rounded} weights found by AWQ {after:.1} dB"));
    Ok(plan)
}
