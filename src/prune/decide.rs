//! Decides which weights go.
//!
//! ```text
//! criterion ─► scores ─► how many of each tensor (scope) ─► which, and what the others become (algorithm) ─► plan
//! ```
//!
//! What the user leaves open is chosen by data: several ways are tried on two thirds of the batches, the one whose outputs answer as the
//! float ones do on the others, and come nearest to them, wins ([`judge::best`]), and is gone once more with all of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::judge::{self, Judge, Score};
use super::layer::Layer;
use super::masks::{Masks, packed_share};
use super::options::{PruneOptions, Scope};
use super::plan::{PrunePlan, TensorPlan};
use super::resolve::resolve;
use super::sensitivity::{LayerSensitivity, damages};
use super::way::Way;
use super::widened::widened;
use super::{Goal, Needs, Pattern, Statistics, channel, tensors};
use crate::data::{Dataset, HELD_TO_CHOOSE, Split, spread};
use crate::error::{Error, ErrorKind, Result};
use crate::ir::{GraphEdit, Model};
use crate::progress::Progress;
use crate::recover::without_held;
use crate::runtime::Runtime;
use crate::second_order::Order;

/// What decisions are fitted to, and what runs the model on it.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// The samples.
    pub dataset: &'a Dataset,
    /// What runs the model on them.
    pub runtime: &'a dyn Runtime,
}

/// Batches that are walked with, at most.
pub(super) const WALKED: usize = 2048;
/// Ways compete whose zeros are at most this share fewer than the most.
const FEWER: f64 = 0.01;
/// Samples that are fitted to while ways are compared, at most.
const COMPARED: usize = 512;
/// The share of the weights that stays in a stage, and how many of these there are at most: with more of them the outputs of a network that
/// keeps 5 % come nearer to the float ones (7.3 instead of 5.6 dB), but answer worse (80.3 instead of 83.2 % of 600 images held back).
const STAGE: f64 = 0.6;
const STAGES: f64 = 3.0;
/// How often a compressed size is sought again after solving, and how far it may be off.
const SIZED: usize = 3;
const CLOSE: f64 = 1e-3;
/// Samples that judge, at most.
const JUDGING: usize = 1024;

/// Decides which weights go, from `data` where there are some.
///
/// # Errors
/// Usage, for options that contradict each other, name what does not exist, or need data that are not there; what the data or
/// the runtime refuse.
pub fn decide(model: &Model, options: &PruneOptions, data: Option<Data>, progress: &dyn Progress) -> Result<PrunePlan> {
    options.check()?;
    // What is fitted to the samples that judge training would look better on them than it is.
    let trained = options.recover.is_some() || options.trained_later;
    let rest = data.filter(|_| trained).map(|data| without_held(data.dataset)).transpose()?;
    let data = data.map(|data| Data { dataset: rest.as_ref().unwrap_or(data.dataset), ..data });
    if options.pattern.shrinks() {
        let channels = channel::decide(model, options, data, progress)?;
        let notes = channels.notes.clone();
        return Ok(PrunePlan { options: options.clone(), tensors: Vec::new(), channels: Some(channels), notes });
    }
    let ways = Way::all(options, data.is_some())?;
    // Without data there is nothing to compute.
    let (double, told) = if data.is_some() { widened(model)? } else { (None, None) };
    let model = double.as_ref().unwrap_or(model);
    let all = data.map_or(Vec::new(), |d| d.dataset.some(WALKED));
    let ground = Ground { model, options, data, progress, scores: RefCell::default(), layers: RefCell::default() };
    let planned = match (&ways[..], data) {
        ([way], _) => ground.plan(way, &all).map(|plan| ground.named(way, plan)),
        (ways, Some(data)) => ground.choose(ways, data, &all),
        _ => Err(Error::internal("there is a choice without data")),
    };
    let mut plan = match planned {
        // What the user named is not replaced by something else.
        Err(e) if e.kind() == ErrorKind::Runtime && asks_no_data(options) => {
            let ground = Ground { data: None, ..ground };
            let mut plan = ground.plan(&Way::first(options, false)?, &[])?;
            plan.notes.push(format!("pruned without data, since the model cannot be run in steps: {e}"));
            plan
        }
        planned => planned?,
    };
    tensors::refuse_unchanged(model, &plan.tensors)?;
    plan.notes.extend(told);
    Ok(plan)
}

/// Whether nothing that the user named is decided by data.
fn asks_no_data(options: &PruneOptions) -> bool {
    options.criterion.is_none() && options.algorithm.is_none() && options.scope.is_none_or(|s| s != Scope::Auto)
}

/// What was found before, of every tensor or layer.
type Found<K, T> = RefCell<BTreeMap<K, Rc<[T]>>>;

/// What all ways stand on.
struct Ground<'a> {
    model: &'a Model,
    options: &'a PruneOptions,
    data: Option<Data<'a>>,
    progress: &'a dyn Progress,
    /// By criterion, of every tensor; none of one that is kept or of which the criterion knows nothing.
    scores: Found<&'static str, Vec<f32>>,
    /// By criterion and algorithm, for shares that are measured.
    layers: Found<(&'static str, &'static str), LayerSensitivity>,
}

impl Ground<'_> {
    /// The way whose outputs do best on batches held back ([`judge::best`]), gone with all batches.
    fn choose(&self, ways: &[Way], data: Data, all: &[usize]) -> Result<PrunePlan> {
        let split = Split::of(all, HELD_TO_CHOOSE);
        let some = |batches: &[usize], samples| spread(batches, data.dataset.batches_of(samples));
        let (judging, fit) = (some(&split.judge, JUDGING), some(&split.fit, COMPARED));
        let judge = Judge::new(self.model, data, &judging)?;
        let mut tried = Vec::new();
        for way in ways {
            let plan = self.plan(way, &fit)?;
            let mut pruned = self.model.clone();
            super::apply(&mut pruned, &plan)?;
            let score = judge.score(&pruned, None)?;
            tracing::debug!(
                "{way}: {:.2} dB, SQNR {:.2} dB, agreement {:?}",
                score.errors.score,
                score.errors.sqnr,
                score.agreement
            );
            let zeros: usize = plan.tensors.iter().map(|t| t.zeros).sum();
            tried.push((way, score, zeros));
        }
        // A criterion that knows nothing of some tensors prunes less, and errs less by that alone. A size needs as many zeros as it needs.
        let most = tried.iter().map(|t| t.2).max().unwrap_or(0) as f64;
        tried.retain(|t| matches!(self.options.goal, Goal::Size(_)) || t.2 as f64 >= (1.0 - FEWER) * most);
        let scores: Vec<Score> = tried.iter().map(|t| t.1).collect();
        let best = judge::best(&scores).ok_or_else(|| Error::internal("no way was tried"))?;
        let (way, score, _) = tried[best];
        let mut plan = self.plan(way, all)?;
        let agrees = score.agreement.map_or(String::new(), |(share, _)| format!(", agreement {:.1} %", 100.0 * share));
        let (count, db) = (ways.len(), score.errors.sqnr);
        let on = if all.len() == 1 { "the batch that they were fitted to" } else { "batches that were held back" };
        plan.notes.push(format!("{way}: the best of {count} ways, {db:.1} dB{agrees} on {on}"));
        Ok(plan)
    }

    /// Says which way it went where the user did not.
    fn named(&self, way: &Way, mut plan: PrunePlan) -> PrunePlan {
        let options = self.options;
        if self.data.is_some() && (options.criterion.is_none() || options.algorithm.is_none()) {
            plan.notes.push(format!("{way}: no other way would choose otherwise"));
        }
        plan
    }

    /// What a way decides, the weights that stay fitted to these batches.
    fn plan(&self, way: &Way, batches: &[usize]) -> Result<PrunePlan> {
        let goal = self.options.goal;
        let mut plan = self.plan_for(goal, way, batches)?;
        // Weights that were solved anew compress otherwise than those that the zeros were counted for.
        let (Goal::Size(left), true) = (goal, self.data.is_some()) else { return Ok(plan) };
        let mut aim = left;
        for _ in 0..SIZED {
            let share = packed_share(self.model, &plan.tensors)?;
            if share <= left + CLOSE {
                return Ok(plan);
            }
            aim *= left / share;
            plan = match self.plan_for(Goal::Size(aim), way, batches) {
                Err(e) if e.kind() == ErrorKind::Usage => break,
                plan => plan?,
            };
        }
        let share = packed_share(self.model, &plan.tensors)?;
        if share > left + CLOSE {
            let (share, left) = (100.0 * share, 100.0 * left);
            plan.notes.push(format!("compressed, {share:.1} % of the weights are left, not the {left:.1} % asked for"));
        }
        Ok(plan)
    }

    fn plan_for(&self, wanted: Goal, way: &Way, batches: &[usize]) -> Result<PrunePlan> {
        let Ground { model, options, progress, .. } = *self;
        let mut tensors = tensors::listed(model, options)?;
        let mut scores = self.scores(way, &tensors)?;
        for (t, _) in tensors.iter_mut().zip(&*scores).filter(|(t, s)| t.kept.is_none() && s.is_empty()) {
            t.kept = Some(format!("criterion {} knows nothing of it", way.criterion.name));
        }
        let algorithm = way.algorithm;
        let layers = self.layers(way, (&tensors, &scores))?;
        let (scope, pattern) = (way.scope, options.pattern);
        let stages = stages((wanted, pattern), way);
        let mut notes = Vec::new();
        for (stage, goal) in stages.iter().enumerate() {
            Masks { pattern, goal: *goal, scope, scores: &scores, layers: &layers }.set(model, &mut tensors)?;
            let Some(data) = self.data else { continue };
            let (solvable, refused) = Layer::all(model, &Order::of(model), &tensors);
            let last = stage + 1 == stages.len();
            let mut next = vec![Vec::new(); tensors.len()];
            let seen = |plan: &TensorPlan, i: usize, activations| {
                if !last && way.criterion.needs == Needs::Activations {
                    let statistics = Statistics { activations: Some(activations), ..Statistics::default() };
                    next[i] = way.score((plan, i), (model, options.seed), &statistics);
                }
            };
            resolve(model, (&mut tensors, &solvable), (data, batches), (algorithm, pattern), progress, seen)?;
            if !last {
                // What is gone scores nothing from here on.
                if way.criterion.needs != Needs::Activations {
                    next = self.scored_anew(way, &tensors)?;
                }
                scores = next.into();
                continue;
            }
            let what = if algorithm.solves { "weights" } else { "biases" };
            let solved = |t: &TensorPlan| t.fresh.as_ref().is_some_and(|f| algorithm.solves || !f.biases.is_empty());
            let (count, all) = (tensors.iter().filter(|t| solved(t)).count(), tensors.len());
            notes.push(format!("{what} of {count} of {all} tensors solved anew on {}", data.dataset.describe()));
            let unseen = solvable.iter().map(|l| l.tensor).filter(|i| !solved(&tensors[*i]));
            let why = if algorithm.solves { "what reaches it cannot be solved for" } else { "it has no bias" };
            let refused = refused.into_iter().chain(unseen.map(|i| (i, why.to_string())));
            notes.extend(refused.map(|(i, why)| format!("{} is not solved anew: {why}", tensors[i].node)));
        }
        tensors.iter_mut().for_each(|t| t.count(model));
        Ok(PrunePlan { options: options.clone(), tensors, channels: None, notes })
    }

    /// The scores of the way's criterion, which do not depend on the batches that are fitted to.
    fn scores(&self, way: &Way, tensors: &[TensorPlan]) -> Result<Rc<[Vec<f32>]>> {
        let name = way.criterion.name;
        if let Some(known) = self.scores.borrow().get(name) {
            return Ok(known.clone());
        }
        let scores: Rc<[Vec<f32>]> =
            way.scores((self.model, tensors), self.options.seed, self.data, self.progress)?.into();
        self.scores.borrow_mut().insert(name, scores.clone());
        Ok(scores)
    }

    /// The scores of the tensors as they are solved by now.
    fn scored_anew(&self, way: &Way, tensors: &[TensorPlan]) -> Result<Vec<Vec<f32>>> {
        let mut changed = self.model.clone();
        let mut edit = GraphEdit::new(&mut changed);
        for t in tensors.iter().filter(|t| t.kept.is_none()) {
            t.write(&mut edit)?;
        }
        way.scores((&changed, tensors), self.options.seed, self.data, self.progress)
    }

    /// What each layer alone costs, where the way asks for it.
    fn layers(&self, way: &Way, scored: (&[TensorPlan], &[Vec<f32>])) -> Result<Rc<[LayerSensitivity]>> {
        let Some(data) = self.data.filter(|_| way.scope == Scope::Auto) else { return Ok(Rc::default()) };
        let name = (way.criterion.name, way.algorithm.name);
        if let Some(known) = self.layers.borrow().get(&name) {
            return Ok(known.clone());
        }
        let how = (way.algorithm, &self.options.goal.levels()[..]);
        let layers: Rc<[LayerSensitivity]> = damages(self.model, scored, how, data, self.progress)?.into();
        self.layers.borrow_mut().insert(name, layers.clone());
        Ok(layers)
    }
}

/// The goals on the way to `goal`, and that one last. After each stage the weights that stay are solved and scored again, because
/// they have taken over the work of those that went. One stage is enough where the new scores would decide nothing: for example zeros that
/// `admm` chooses, as many in each layer as its scope says.
fn stages((goal, pattern): (Goal, Pattern), way: &Way) -> Vec<Goal> {
    let asks = (way.algorithm.rescores)(way.scope);
    match (goal, pattern) {
        (Goal::Sparsity(share), Pattern::Unstructured) if asks && share < 1.0 => {
            let left = 1.0 - share;
            let count = (left.ln() / STAGE.ln()).ceil().clamp(1.0, STAGES);
            let stage = |i: usize| Goal::Sparsity(1.0 - left.powf(i as f64 / count));
            (1..count as usize).map(stage).chain([goal]).collect()
        }
        (goal, _) => vec![goal],
    }
}
