//! Makes several plans and takes the one whose outputs come nearest to those of the float model.
//!
//! ```text
//! ranges chosen by measuring    ─► plan ─┐
//! ranges of least squared error ─► plan ─┤
//! those of 99.99 percent        ─► plan ─┼─► biases corrected ─► best ─┐
//! the whole ranges              ─► plan ─┘                             ├─► better
//!                                                      as it was ──────┘
//! ```
//!
//! The better one is then tried with weights rounded by data ([`super::rounding`]) and corrections for these.
//!
//! Ranges, corrections and weights are fitted to some batches; others, which are held back, judge the plans ([`super::judge`]). What is
//! best layer by layer need not be best for the whole: errors of both signs cancel, or decide a near tie. What
//! was judged is what is written.
//!
//! Nodes that make most of the error that is left stay in float ([`super::dominant`]), but where few bits were asked for.
//!
//! By `output-mse` only the measured ranges take part, and weights get the scales of least error of their outputs ([`super::weight_ranges`]).
//!
//! Where the runtime cannot run the pieces, the plan of least squared error stands, with a note.

use std::collections::BTreeMap;

use super::biases::{layers, uncorrected};
use super::judge::Judge;
use super::{Ground, correct, dominant, refine, rounding, staged, weight_ranges};
use crate::calibrate::{Range, Ranges, Statistics};
use crate::data::{Dataset, HELD_TO_CHOOSE, Split, spread};
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};
use crate::progress::Progress;
use crate::quantize::algorithm::{self, ByData};
use crate::quantize::chain::settled;
use crate::quantize::plan::QuantPlan;
use crate::quantize::{QuantOptions, Switch, plan};
use crate::runtime::{EXACT_DB, Runtime, Score, Shaped};

/// So many of the first alternatives are a rule for all values alike.
const PLAIN: usize = 3;
/// Elements of quantized values and of weights that all batches of one kind go through together, and bounds of their number.
const ELEMENTS: usize = 40 << 20;
const LEAST: usize = 3;
const MOST: usize = 64;
/// What corrections must bring on the batches held back, in dB: they fit many numbers to few samples, and less is lost again on others.
const WORTH: f64 = 1.0;
/// Biases are corrected on so many times the batches: a mean of every channel needs more samples than one number for the whole.
const BIASES: usize = 2;
/// The plans are judged on so many times the batches.
const JUDGING: usize = 2;

/// The best plan for `model` that `statistics` allow, and the ranges it was made with. Without a choice of ranges in the
/// statistics nothing is run, unless weights are to be rounded by data.
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
    let by_data = algorithm::find(&options.algorithm)?.by_data;
    let asked = by_data == ByData::Always || options.bias_correction == Switch::On;
    let asked = asked || by_data == ByData::WherePays && options.weights_are_narrow();
    if first.activations.is_empty() || !(statistics.leaves_choice() || asked) {
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

/// The best of several plans, judged on batches held back.
fn tried(
    model: &Model,
    options: &QuantOptions,
    statistics: &Statistics,
    (first, ranges): (QuantPlan, Ranges),
    (dataset, runtime): (&Dataset, &dyn Runtime),
    progress: &dyn Progress,
) -> Result<(QuantPlan, Ranges)> {
    let sizes = sizes(model, &first, dataset, runtime)?;
    let elements = sizes.values().sum::<usize>() / size_of::<f32>() + model.tensors().map(Tensor::len).sum::<usize>();
    let count = (ELEMENTS / elements.max(1)).clamp(LEAST, MOST);
    let ground = Ground { model, dataset, runtime, progress, sizes: &sizes };
    let samples = dataset.split(HELD_TO_CHOOSE);
    let judge = Judge::new(ground, spread(&samples.judge, JUDGING * count), largest(&sizes))?;
    let trial = Trial { ground, options, statistics, samples, judge, count };

    let all = trial.ranges((&first, ranges))?;
    let Best { mut plan, ranges, mut score, corrects } = trial.best(all)?;
    if statistics.calibrator().by_output() {
        (plan, score) = trial.with_scales_of_outputs(plan, score)?;
    }
    if matches!(algorithm::find(&options.algorithm)?.by_data, ByData::WherePays | ByData::Always) {
        (plan, score) = trial.with_weights_by_data(plan, score, corrects)?;
    }
    if statistics.leaves_choice() && !options.weights_are_narrow() {
        (plan, score) = dominant::leave_out(ground, (plan, score), &trial.judge)?;
    }
    plan.notes.push(trial.told(&score));
    plan.judged = Some(score.score);
    Ok((plan, ranges))
}

/// What plans are made of, fitted to and judged by.
struct Trial<'a> {
    ground: Ground<'a>,
    options: &'a QuantOptions,
    statistics: &'a Statistics,
    samples: Split,
    judge: Judge<'a>,
    /// Batches of one kind that go through together.
    count: usize,
}

/// The best plan so far.
struct Best {
    plan: QuantPlan,
    ranges: Ranges,
    score: Score,
    /// What corrections of biases must bring; `None` where none can be made.
    corrects: Option<f64>,
}

impl Trial<'_> {
    /// The batches that biases, scales and weights are fitted to.
    fn fitted_to(&self) -> Vec<usize> {
        spread(&self.samples.fit, BIASES * self.count)
    }

    /// What corrections of biases must bring, in dB; `None` where they are not wanted.
    fn worth(&self) -> Option<f64> {
        match self.options.bias_correction {
            Switch::Auto => (self.statistics.leaves_choice() && self.samples.apart()).then_some(WORTH),
            Switch::On => Some(f64::NEG_INFINITY),
            Switch::Off => None,
        }
    }

    fn score(&self, plan: &QuantPlan) -> Result<Score> {
        Ok(self.judge.scores(&[plan])?.remove(0))
    }

    /// Ranges that plans are made with, where there is a choice; one set of them otherwise.
    fn ranges(&self, (first, ranges): (&QuantPlan, Ranges)) -> Result<Vec<Ranges>> {
        if !self.statistics.leaves_choice() {
            return Ok(vec![ranges]);
        }
        let batches = spread(&self.samples.fit, self.count);
        let mut all = candidates(self.ground, self.statistics, (first, &ranges), &batches)?;
        if self.statistics.calibrator().by_output() {
            all.truncate(1);
        }
        Ok(all)
    }

    /// The best plan with one of these ranges, its biases corrected where that brings enough.
    fn best(&self, mut all: Vec<Ranges>) -> Result<Best> {
        let plans = all.iter().map(|ranges| plan(self.ground.model, Some(ranges), self.options));
        let mut plans: Vec<QuantPlan> = plans.collect::<Result<_>>()?;
        let wanted = self.worth();
        let corrected = wanted.is_some() && correct(self.ground, &mut plans, &self.fitted_to())?;
        let corrects = wanted.filter(|_| corrected);
        let mut scores = self.judge.scores(&plans.iter().collect::<Vec<_>>())?;
        for score in &scores {
            tracing::debug!("a plan reaches {:.2} dB, SQNR {:.2} dB", score.score, score.sqnr);
        }
        let best = (0..plans.len()).max_by(|a, b| scores[*a].score.total_cmp(&scores[*b].score).then(b.cmp(a)));
        let best = best.ok_or_else(|| Error::internal("no plan was made"))?;
        let (mut plan, ranges, mut score) = (plans.swap_remove(best), all.swap_remove(best), scores.swap_remove(best));
        if let Some(worth) = corrects {
            let plain = uncorrected(&plan);
            let without = self.score(&plain)?;
            tracing::debug!("the plan reaches {:.2} dB without its corrections", without.score);
            if score.score < without.score + worth {
                (plan, score) = (plain, without);
            }
        }
        Ok(Best { plan, ranges, score, corrects })
    }

    /// The plan with the scales of weights that err least in the outputs of their layers, where that pays.
    fn with_scales_of_outputs(&self, mut plan: QuantPlan, score: Score) -> Result<(QuantPlan, Score)> {
        let (mut other, count) = weight_ranges::fit(self.ground, &plan, &self.fitted_to())?;
        let better = self.score(&other)?;
        if better.score >= score.score {
            other.notes.push(format!("scales of {count} weights found by the error of their outputs"));
            return Ok((other, better));
        }
        let lost = score.score - better.score;
        plan.notes
            .push(format!("scales found by the error of outputs lose {lost:.1} dB on batches held back: not taken"));
        Ok((plan, score))
    }

    /// The plan with weights rounded by data, where that pays or is asked for.
    fn with_weights_by_data(&self, plan: QuantPlan, score: Score, corrects: Option<f64>) -> Result<(QuantPlan, Score)> {
        let by_data = algorithm::find(&self.options.algorithm)?.by_data;
        // Few bits leave more to gain than to overfit.
        let worth = if self.options.weights_are_narrow() { 0.0 } else { WORTH };
        Ok(match rounded(self.ground, &plan, (&self.fitted_to(), corrects), &self.judge)? {
            Some((other, better)) if by_data == ByData::Always || better.score >= score.score + worth => {
                (other, better)
            }
            _ => (plan, score),
        })
    }

    /// How near the outputs come, and on what that was measured.
    fn told(&self, score: &Score) -> String {
        let kind = match self.samples.apart() {
            true => "calibration batches that were held back",
            false if self.worth().is_some() => "calibration batch, to which it was fitted",
            false => "calibration batch, to which it was fitted; biases are not corrected without more",
        };
        let count = self.judge.batches();
        match score.sqnr < EXACT_DB {
            true => format!("SQNR of the outputs on {count} {kind}: {:.1} dB", score.sqnr),
            false => format!("no output of floats moved on {count} {kind}"),
        }
    }
}

/// Ranges that plans are made with: those chosen by measuring, the best of each value, and some by one rule for all.
fn candidates(
    ground: Ground,
    statistics: &Statistics,
    (plan, ranges): (&QuantPlan, &Ranges),
    batches: &[usize],
) -> Result<Vec<Ranges>> {
    let alternatives = statistics.alternatives();
    let refined = refine(ground, plan, ranges.clone(), (statistics, &alternatives), batches)?;
    let by_rule = (1..PLAIN).rev().map(|i| {
        let of = |(name, all): (&String, &Vec<Range>)| Some((name.clone(), *all.get(i)?));
        let mut plain = ranges.clone();
        plain.ranges.extend(alternatives.iter().filter_map(of));
        plain
    });
    Ok([refined, ranges.clone()].into_iter().chain(by_rule).collect())
}

/// The plan with weights rounded by data, and corrections for these where they bring enough; `None` where no weight can be.
fn rounded(
    ground: Ground,
    plan: &QuantPlan,
    (batches, corrects): (&[usize], Option<f64>),
    judge: &Judge,
) -> Result<Option<(QuantPlan, Score)>> {
    if plan.options.weights_are_narrow() {
        let staged::Staged { mut plan, rounded, left, .. } = staged::round(ground, plan, batches, &[])?;
        let score = judge.scores(&[&plan])?.remove(0);
        tracing::debug!("with weights rounded by data it reaches {:.2} dB", score.score);
        plan.notes.push(format!("{rounded} weights rounded by GPTQ"));
        plan.notes.extend(staged::left(left));
        return Ok((rounded > 0).then_some((plan, score)));
    }
    let weights = rounding::round(ground, plan, batches)?;
    if weights.is_empty() {
        return Ok(None);
    }
    let mut plans = vec![uncorrected(&rounding::with_weights(plan, &weights))];
    if corrects.is_some() {
        plans.push(plans[0].clone());
        correct(ground, &mut plans[1..], batches)?;
    }
    let mut scores = judge.scores(&plans.iter().collect::<Vec<_>>())?;
    for score in &scores {
        tracing::debug!("with weights rounded by data it reaches {:.2} dB", score.score);
    }
    let pays = |worth: f64| scores[1].score >= scores[0].score + worth;
    let best = usize::from(corrects.is_some_and(pays));
    let (mut plan, score) = (plans.swap_remove(best), scores.swap_remove(best));
    plan.notes.push(format!("{} weights rounded by GPTQ", weights.len()));
    Ok(Some((plan, score)))
}

/// Bytes of each value that is looked at, in one batch.
fn sizes(model: &Model, plan: &QuantPlan, dataset: &Dataset, runtime: &dyn Runtime) -> Result<BTreeMap<String, usize>> {
    let mut taps: Vec<String> = plan.activations.iter().map(|a| a.value.clone()).collect();
    let layers = layers(model, plan);
    let clamped = |y| model.name(settled(model, y)).to_string();
    let others = layers.iter().map(|l| clamped(l.y)).filter(|name| !taps.contains(name));
    taps.extend(others.collect::<Vec<_>>());
    let inputs = dataset.batch(0)?.inputs;
    let values = Shaped::new(runtime, model, &taps).run(&inputs)?;
    let mut sizes: BTreeMap<String, usize> =
        values.iter().chain(&inputs).map(|(n, t)| (n.clone(), t.byte_len())).collect();
    for layer in layers {
        // A clamp changes no size.
        if let Some(bytes) = sizes.get(&clamped(layer.y)).copied() {
            sizes.insert(layer.name, bytes);
        }
    }
    Ok(sizes)
}

/// What a run of the whole holds: of the values it makes, some at a time.
fn largest(sizes: &BTreeMap<String, usize>) -> usize {
    8 * sizes.values().copied().max().unwrap_or(0)
}
