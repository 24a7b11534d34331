//! What pruning each layer alone costs the outputs, at several sparsities, and the shares of all layers that follow.
//!
//! ```text
//! d_l(s) = ‖ŷ − y‖ / ‖y‖ with layer l alone at sparsity s          shares: argmin Σ_l d_l(s_l)²  with  Σ_l n_l·s_l = s·Σ_l n_l
//! ```
//!
//! Between the sparsities that were measured, log d² goes straight with the log of the sum of the scores that are gone, and no zeros cost
//! nothing. The minimum under the constraint has one price of a zero for all layers, which is found by halving.

use std::fmt;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::algorithm::Algorithm;
use super::decide::Data;
use super::judge::Judge;
use super::layer::{Layer, Measure, Sums, steps};
use super::plan::TensorPlan;
use super::resolve::Known;
use super::way::Way;
use super::widened::widened;
use super::{Pattern, PruneOptions, mask, tensors};
use crate::data::{HELD_TO_CHOOSE, spread};
use crate::error::Result;
use crate::ir::{GraphEdit, Model};
use crate::progress::Progress;
use crate::second_order::{Order, Walk};

/// Sparsities that are told of.
const LEVELS: [f64; 4] = [0.5, 0.7, 0.85, 0.95];
/// Samples on which the damage is measured; a ranking needs fewer than a promise.
const MEASURED: usize = 32;
/// Steps in which shares are sought.
const STEPS: usize = 200;
/// Samples on which layers are solved.
const FITTED: usize = 512;

/// The damage of every layer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PruneSensitivity {
    /// Where it was measured.
    pub runtime: String,
    /// As in `100 images of calib`.
    pub data: String,
    /// What scores weights.
    pub criterion: String,
    /// What becomes of the weights that stay.
    pub algorithm: String,
    /// Most sensitive first, at half of the weights gone.
    pub layers: Vec<LayerSensitivity>,
    /// Layers that are not pruned, with the reason.
    pub kept: Vec<(String, String)>,
}

/// One layer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LayerSensitivity {
    /// The first node that reads the tensor.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// Elements of the tensor.
    pub weights: usize,
    /// One a sparsity, in rising order.
    pub levels: Vec<Level>,
    #[serde(skip)]
    pub(super) tensor: usize,
    /// The sums of the scores that go at the shares 0, 1/[`STEPS`], … 1.
    #[serde(skip)]
    gone: Vec<f64>,
}

/// What one sparsity of one layer does to the outputs.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Level {
    /// Share of the weights that are zero, 0 … 1.
    pub sparsity: f64,
    /// Of the worst output.
    pub sqnr_db: f64,
    /// Share of positions with the same arg-max.
    pub agreement: Option<f64>,
}

/// Measures what pruning each layer alone costs, by the criterion and algorithm of `options`.
///
/// # Errors
/// Usage, for names that do not exist; what the data or the runtime refuse.
pub fn sensitivity(
    model: &Model,
    options: &PruneOptions,
    data: Data,
    progress: &dyn Progress,
) -> Result<PruneSensitivity> {
    let (double, _) = widened(model)?;
    let model = double.as_ref().unwrap_or(model);
    let tensors = tensors::listed(model, options)?;
    let sought = Way::first(options, true)?;
    let scores = sought.scores((model, &tensors), options.seed, Some(data), progress)?;
    let mut layers = damages(model, (&tensors, &scores), (sought.algorithm, &LEVELS), data, progress)?;
    let at_half = |l: &LayerSensitivity| l.levels.first().map_or(f64::INFINITY, |l| l.sqnr_db);
    layers.sort_by(|a, b| at_half(a).total_cmp(&at_half(b)));
    let refused = Layer::all(model, &Order::of(model), &tensors).1;
    let refused = refused.into_iter().map(|(i, why)| (tensors[i].node.clone(), why));
    let kept = tensors.iter().filter_map(|t| Some((t.node.clone(), t.kept.clone()?))).chain(refused);
    Ok(PruneSensitivity {
        runtime: data.runtime.name().into(),
        data: data.dataset.describe(),
        criterion: sought.criterion.name.into(),
        algorithm: sought.algorithm.name.into(),
        layers,
        kept: kept.collect(),
    })
}

/// Damages of the tensors that are pruned at these sparsities, in the order of the walk.
pub(super) fn damages(
    model: &Model,
    (tensors, scores): (&[TensorPlan], &[Vec<f32>]),
    (algorithm, levels): (&Algorithm, &[f64]),
    data: Data,
    progress: &dyn Progress,
) -> Result<Vec<LayerSensitivity>> {
    let (measured, fitted) = parts(data);
    let judge = Judge::new(model, data, &measured)?;
    let order = Order::of(model);
    let layers = Layer::all(model, &order, tensors).0;
    let fed: &[Layer] = if algorithm.solves { &layers } else { &[] };
    let mut measure = Measure::new((model, fed), &order, (data, &fitted), Sums::All)?;
    let mut walk = Walk::new((model, 1), &order, (data.dataset, data.runtime), fitted)?;
    let mut judged = judge.floats.walk(model, &order)?;
    let mut found = Vec::new();
    progress.start("pruning layers alone", layers.len() as u64);
    for (place, step) in steps(&order, &layers) {
        let mut moments = vec![Vec::new(); step.len()];
        if algorithm.solves {
            walk.advance(&[model], place)?;
            judged.advance(&[model], place)?;
            moments = measure.of(&walk, &step)?;
        }
        for (layer, moments) in step.iter().zip(&moments) {
            let t = &tensors[layer.tensor];
            let Some(weights) = t.numbers(model) else { continue };
            let scores = &scores[layer.tensor];
            let level = |sparsity: &f64| -> Result<Level> {
                let mut alone = t.clone();
                let zeros = (sparsity * scores.len() as f64).round() as usize;
                alone.mask = mask::lowest(scores, t, Pattern::Unstructured, zeros);
                if algorithm.solves {
                    let known = Known { layer: &layer.solved, plan: &alone, weights: &weights, moments };
                    let mask = algorithm.mask(&known, Pattern::Unstructured);
                    let fresh = known.solved(&mask).map(std::sync::Arc::new);
                    (alone.mask, alone.fresh) = (mask, fresh);
                }
                let mut pruned = model.clone();
                alone.write(&mut GraphEdit::new(&mut pruned))?;
                let score = judge.score(&pruned, algorithm.solves.then_some(&judged))?;
                let agreement = score.agreement.map(|a| a.0);
                Ok(Level { sparsity: *sparsity, sqnr_db: score.errors.sqnr, agreement })
            };
            let levels = levels.par_iter().map(level).collect::<Result<_>>()?;
            let (node, op_type, gone) = (t.node.clone(), t.op_type.clone(), cumulated(scores));
            found.push(LayerSensitivity { node, op_type, weights: scores.len(), levels, tensor: layer.tensor, gone });
            progress.step(1);
        }
    }
    progress.finish();
    Ok(found)
}

/// Batches to measure on and batches to fit to, so that a layer which fits too closely shows.
fn parts(data: Data) -> (Vec<usize>, Vec<usize>) {
    let split = data.dataset.split(HELD_TO_CHOOSE);
    let count = |samples| data.dataset.batches_of(samples);
    (spread(&split.judge, count(MEASURED)), spread(&split.fit, count(FITTED)))
}

/// The sums of the lowest scores at the shares 0, 1/[`STEPS`], … 1.
fn cumulated(scores: &[f32]) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let sums: Vec<f64> = sorted
        .iter()
        .scan(0.0, |sum, s| {
            *sum += f64::from(*s);
            Some(*sum)
        })
        .collect();
    let at = |i: usize| (i * sums.len()).div_ceil(STEPS).checked_sub(1).map_or(0.0, |last| sums[last]);
    (0..=STEPS).map(at).collect()
}

impl LayerSensitivity {
    /// The sum of the scores that go at a sparsity.
    fn scores_gone(&self, sparsity: f64) -> f64 {
        let place = sparsity.clamp(0.0, 1.0) * STEPS as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        self.gone[below] + part * (self.gone[(below + 1).min(STEPS)] - self.gone[below])
    }

    /// d² at a sparsity.
    fn damage(&self, sparsity: f64) -> f64 {
        let (Some(first), Some(last)) = (self.levels.first(), self.levels.last()) else { return 0.0 };
        let at = |s: f64| self.scores_gone(s).max(f64::MIN_POSITIVE).ln();
        let log = |l: &Level| -l.sqnr_db * std::f64::consts::LN_10 / 10.0;
        let slope = |a: &Level, b: &Level| {
            let slope = (log(b) - log(a)) / (at(b.sparsity) - at(a.sparsity));
            // More zeros never cost less.
            if slope.is_finite() { slope.max(0.0) } else { 1.0 }
        };
        let after = self.levels.partition_point(|l| l.sparsity < sparsity);
        let (from, slope) = match after {
            0 => (first, 1.0),
            n if n == self.levels.len() => (last, if n > 1 { slope(&self.levels[n - 2], last) } else { 1.0 }),
            n => (&self.levels[n - 1], slope(&self.levels[n - 1], &self.levels[n])),
        };
        (log(from) + slope * (at(sparsity) - at(from.sparsity))).exp()
    }

    /// The sparsity that is best at a price per zero.
    fn best(&self, damages: &[f64], price: f64) -> f64 {
        let cost = |i: &usize| damages[*i] - price * self.weights as f64 * *i as f64 / STEPS as f64;
        let best = (0..damages.len()).min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(0);
        best as f64 / STEPS as f64
    }
}

/// The sparsity of each layer, so that all together have the share `sparsity` of zeros of `total` weights.
pub(super) fn shares(layers: &[LayerSensitivity], zeros: f64) -> Vec<f64> {
    // No layer goes as a whole.
    let damages = |l: &LayerSensitivity| (0..STEPS - 2).map(|i| l.damage(i as f64 / STEPS as f64)).collect();
    let damages: Vec<Vec<f64>> = layers.iter().map(damages).collect();
    let of = |price: f64| -> Vec<f64> { layers.iter().zip(&damages).map(|(l, d)| l.best(d, price)).collect() };
    let count = |shares: &[f64]| layers.iter().zip(shares).map(|(l, s)| l.weights as f64 * s).sum::<f64>();
    let (mut low, mut high) = (-60f64, 10f64);
    for _ in 0..70 {
        let middle = f64::midpoint(low, high);
        if count(&of(middle.exp())) < zeros { low = middle } else { high = middle }
    }
    let mut shares = of(high.exp());
    // What the grid leaves over is spread evenly.
    let found = count(&shares);
    if found > 0.0 {
        shares.iter_mut().for_each(|s| *s = (*s * zeros / found).min(1.0));
    }
    shares
}

impl fmt::Display for PruneSensitivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "each layer pruned alone, {} and {}, in {} on {}",
            self.criterion, self.algorithm, self.runtime, self.data
        )?;
        let levels = LEVELS.map(|l| format!("{:>7.0} %", 100.0 * l)).concat();
        writeln!(f, "{:>10}{levels}   SQNR of the outputs in dB at so many zeros", "weights")?;
        for l in &self.layers {
            let levels: String = l.levels.iter().map(|l| format!("{:>9.1}", l.sqnr_db)).collect();
            writeln!(f, "{:>10}{levels}   {} ({})", l.weights, l.node, l.op_type)?;
        }
        self.kept.iter().try_for_each(|(node, why)| writeln!(f, "keep      {node}  {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(weights: usize, db: [f64; 4]) -> LayerSensitivity {
        let level = |(sparsity, sqnr_db): (f64, f64)| Level { sparsity, sqnr_db, agreement: None };
        let levels = LEVELS.into_iter().zip(db).map(level).collect();
        let gone = cumulated(&(0..weights).map(|i| i as f32).collect::<Vec<_>>());
        LayerSensitivity { node: "n".into(), op_type: "Conv".into(), weights, levels, tensor: 0, gone }
    }

    #[test]
    fn what_costs_less_loses_more_and_the_total_is_met() {
        let layers = [layer(1000, [50.0, 40.0, 25.0, 10.0]), layer(1000, [30.0, 20.0, 8.0, 2.0])];
        for share in [0.3, 0.5, 0.8] {
            let found = shares(&layers, share * 2000.0);
            assert!(found[0] > found[1] + 0.02, "{found:?}");
            assert!((found[0] + found[1] - 2.0 * share).abs() < 0.01, "{found:?}");
        }
    }
}
