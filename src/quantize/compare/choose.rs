//! Makes several plans and takes the one whose outputs come nearest to those of the float model.
//!
//! ```text
//! ranges of least squared error ─► plan ─┐
//! the whole ranges              ─► plan ─┤         ┌─► biases corrected ─┐
//! those of 99.99 percent        ─► plan ─┼─► each ─┤                     ├─► best
//! those chosen by measuring     ─► plan ─┘         └─► as it is ─────────┘
//! ```
//!
//! The best has the highest SQNR of the outputs on a few calibration batches, 10·log₁₀ Σ‖y‖² / Σ‖ŷ − y‖², the smallest of all
//! outputs. What is best layer by layer need not be best for the whole: errors of both signs cancel, or decide a near tie.
//!
//! Where the runtime cannot run the pieces, the first plan stands, with a note.

use super::press::{power, squared_distance};
use super::{as_qdq, correct, each_batch, refine, spread};
use crate::calibrate::{Range, Ranges, Statistics};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};
use crate::progress::Progress;
use crate::quantize::plan::QuantPlan;
use crate::quantize::{QuantOptions, plan};
use crate::runtime::{Runtime, Shaped};

/// So many of the first alternatives are a rule for all values alike.
const PLAIN: usize = 3;
/// Elements of quantized values and of weights that all batches go through together, and bounds of their number.
const ELEMENTS: usize = 80 << 20;
const LEAST: usize = 4;
const MOST: usize = 64;

/// The best plan for `model` that `statistics` allow, and the ranges it was made with. Without a choice of ranges in the
/// statistics nothing is run.
///
/// # Errors
/// Usage, for names in `options` that do not exist; what the data refuse.
pub fn choose(
    model: &Model,
    options: &QuantOptions,
    statistics: &Statistics,
    data: (&Dataset, &dyn Runtime),
    progress: &dyn Progress,
) -> Result<(QuantPlan, Ranges)> {
    let ranges = statistics.ranges();
    let first = plan(model, Some(&ranges), options)?;
    if !statistics.leaves_choice() || first.activations.is_empty() {
        return Ok((first, ranges));
    }
    match tried(model, options, statistics, (first.clone(), ranges.clone()), data, progress) {
        Err(e) if e.kind() == crate::ErrorKind::Runtime => {
            let mut first = first;
            first.notes.push(format!("nothing was measured: {e}"));
            Ok((first, ranges))
        }
        result => result,
    }
}

fn tried(
    model: &Model,
    options: &QuantOptions,
    statistics: &Statistics,
    (first, ranges): (QuantPlan, Ranges),
    data: (&Dataset, &dyn Runtime),
    progress: &dyn Progress,
) -> Result<(QuantPlan, Ranges)> {
    let batches = budget(model, &first, data)?;
    let judge = Judge::new(model, data, batches, progress)?;
    let alternatives = statistics.alternatives();
    let mut candidates = Vec::new();
    for i in 1..PLAIN {
        let mut ranges = ranges.clone();
        let of = |(name, all): (&String, &Vec<Range>)| Some((name.clone(), *all.get(i)?));
        ranges.ranges.extend(alternatives.iter().filter_map(of));
        candidates.push((plan(model, Some(&ranges), options)?, ranges));
    }
    let refined = refine(model, &first, ranges.clone(), &alternatives, data, batches, progress)?;
    candidates.push((plan(model, Some(&refined), options)?, refined));
    candidates.push((first, ranges));
    let mut best: Option<(f64, QuantPlan, Ranges)> = None;
    for (plan, ranges) in candidates {
        let mut corrected = plan.clone();
        correct(model, &mut corrected, data, batches, progress)?;
        for plan in [plan, corrected] {
            let db = judge.sqnr(&plan)?;
            tracing::debug!("a plan reaches {db:.2} dB");
            if best.as_ref().is_none_or(|b| db > b.0) {
                best = Some((db, plan, ranges.clone()));
            }
        }
    }
    let (db, mut plan, ranges) = best.ok_or_else(|| Error::internal("no plan was made"))?;
    plan.notes.push(format!("SQNR of the outputs on {} calibration batches: {db:.1} dB", judge.batches.len()));
    Ok((plan, ranges))
}

/// How many batches are run: fewer of a large model.
fn budget(model: &Model, plan: &QuantPlan, (dataset, runtime): (&Dataset, &dyn Runtime)) -> Result<usize> {
    let taps: Vec<String> = plan.activations.iter().map(|a| a.value.clone()).collect();
    let values = Shaped::new(runtime, model, &taps, 1).run(&dataset.batch(0)?.inputs)?;
    let activations: usize = values.iter().map(|(_, t)| t.len()).sum();
    let elements = activations + model.tensors().map(Tensor::len).sum::<usize>();
    Ok((ELEMENTS / elements.max(1)).clamp(LEAST, MOST))
}

/// The float outputs of a few batches.
struct Judge<'a> {
    model: &'a Model,
    data: (&'a Dataset, &'a dyn Runtime),
    progress: &'a dyn Progress,
    batches: Vec<usize>,
    floats: Vec<Vec<(String, Tensor)>>,
}

impl<'a> Judge<'a> {
    fn new(
        model: &'a Model,
        data: (&'a Dataset, &'a dyn Runtime),
        count: usize,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let batches = spread(data.0, count);
        let session = Shaped::new(data.1, model, &[], 1);
        let floats = each_batch("running the original", &batches, progress, |index| {
            Ok((session.run(&data.0.batch(index)?.inputs)?, 0))
        })?;
        Ok(Judge { model, data, progress, batches, floats })
    }

    /// Of the worst output, in dB.
    fn sqnr(&self, plan: &QuantPlan) -> Result<f64> {
        let model = as_qdq(self.model, plan)?;
        let session = Shaped::new(self.data.1, &model, &[], 1);
        let numbers: Vec<usize> = (0..self.batches.len()).collect();
        let seen = each_batch("comparing", &numbers, self.progress, |i| {
            let made = session.run(&self.data.0.batch(self.batches[i])?.inputs)?;
            let compare = |((_, a), (_, b)): (&(String, Tensor), &(String, Tensor))| {
                let (a, b) = a.to_f32().filter(|_| a.dtype().is_float()).zip(b.to_f32())?;
                (a.len() == b.len()).then(|| (power(&a), squared_distance(&a, &b)))
            };
            Ok((self.floats[i].iter().zip(&made).map(compare).collect::<Vec<_>>(), 0))
        })?;
        let outputs = seen.first().map_or(0, Vec::len);
        let of = |o: usize| {
            let sums = seen.iter().filter_map(|batch| batch[o]).fold((0.0, 0.0), |s, v| (s.0 + v.0, s.1 + v.1));
            (sums.0 > 0.0).then(|| 10.0 * (sums.0 / sums.1.max(f64::MIN_POSITIVE)).log10())
        };
        Ok((0..outputs).filter_map(of).fold(f64::INFINITY, f64::min))
    }
}
