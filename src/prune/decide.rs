//! Decides which weights go.
//!
//! ```text
//! criterion ─► scores ─► how many of each tensor (scope) ─► which, and what the others become (algorithm) ─► plan
//! ```
//!
//! What the user leaves open is chosen by data: several ways are tried on two thirds of the batches, the outputs that come nearest to the
//! float ones on the others win, and the way that won is gone once more with all of them.

use super::algorithm::{self, Algorithm, Kind, sparse_gpt};
use super::criterion::{self, Criterion, Scored};
use super::judge::Judge;
use super::layer::Layer;
use super::masks::Masks;
use super::options::{PruneOptions, Scope};
use super::plan::{PrunePlan, TensorPlan};
use super::resolve::{Known, resolve};
use super::sensitivity::damages;
use super::{Goal, Pattern, channel, statistics, tensors};
use crate::data::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::ir::Model;
use crate::progress::Progress;
use crate::runtime::Runtime;
use crate::second_order::Order;

/// What decisions are fitted to, and what runs the model on it.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    pub dataset: &'a Dataset,
    pub runtime: &'a dyn Runtime,
}

/// Batches that are walked with, at most.
const WALKED: usize = 2048;
/// Every so many batches, one is held back while ways are compared.
const HELD: usize = 3;
/// Ways compete whose zeros are at most this share fewer than the most.
const FEWER: f64 = 0.01;
/// Batches that judge.
const JUDGING: usize = 256;

/// Decides which weights go, from `data` where there are some.
///
/// # Errors
/// Usage, for options that contradict each other, name what does not exist, or need data that are not there; what the data or
/// the runtime refuse.
pub fn decide(model: &Model, options: &PruneOptions, data: Option<Data>, progress: &dyn Progress) -> Result<PrunePlan> {
    options.check()?;
    if options.pattern.shrinks() {
        let channels = channel::decide(model, options, data, progress)?;
        let notes = channels.notes.clone();
        return Ok(PrunePlan { options: options.clone(), tensors: Vec::new(), channels: Some(channels), notes });
    }
    let ways = Sought::ways(options, data.is_some())?;
    let count = data.map_or(0, |d| d.dataset.batch_count());
    let all = spread(&(0..count).collect::<Vec<_>>(), WALKED);
    let planned = match (&ways[..], data) {
        ([way], data) => way.plan(model, options, data.map(|d| (d, all)), progress),
        (ways, Some(data)) => choose(model, options, (data, &all), ways, progress),
        _ => Err(Error::internal("there is a choice without data")),
    };
    match planned {
        // What the user named is not replaced by something else.
        Err(e) if e.kind() == ErrorKind::Runtime && options.criterion.is_none() && options.algorithm.is_none() => {
            let options = PruneOptions { scope: None, ..options.clone() };
            let mut plan = Sought::first(&options, false)?.plan(model, &options, None, progress)?;
            plan.notes.push(format!("pruned without data, since the model cannot be run in steps: {e}"));
            Ok(plan)
        }
        planned => planned,
    }
}

/// The way whose outputs come nearest to the float ones on batches held back, gone with all batches.
fn choose(
    model: &Model,
    options: &PruneOptions,
    (data, all): (Data, &[usize]),
    ways: &[Sought],
    progress: &dyn Progress,
) -> Result<PrunePlan> {
    // A single batch cannot be split: it is fitted to and judged on.
    let part = |held: bool| {
        // Two batches: one each.
        let is_held = |i: usize| i % HELD == HELD - 1 || (all.len() == 2 && i == 1);
        let chosen = all.iter().enumerate().filter(|(i, _)| all.len() == 1 || is_held(*i) == held);
        chosen.map(|(_, index)| *index).collect::<Vec<usize>>()
    };
    let (judging, fit) = (part(true), part(false));
    let judge = Judge::new(model, data, spread(&judging, JUDGING))?;
    let mut tried = Vec::new();
    for way in ways {
        let plan = way.plan(model, options, Some((data, fit.clone())), progress)?;
        let mut pruned = model.clone();
        super::apply(&mut pruned, &plan)?;
        let score = judge.score(&pruned)?;
        tracing::debug!("{way}: {:.2} dB, agreement {:?}", score.sqnr_db, score.agreement);
        let zeros: usize = plan.tensors.iter().map(|t| t.zeros).sum();
        tried.push((way, score.sqnr_db, plan, zeros));
    }
    // A criterion that knows nothing of some tensors prunes less, and errs less by that alone.
    let most = tried.iter().map(|t| t.3).max().unwrap_or(0) as f64;
    tried.retain(|t| t.3 as f64 >= (1.0 - FEWER) * most);
    let best = tried.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let Some((way, db, fitted, _)) = best else { return Err(Error::internal("no way was tried")) };
    let mut plan = match all.len() == fit.len() {
        true => fitted,
        false => way.plan(model, options, Some((data, all.to_vec())), progress)?,
    };
    plan.notes.push(format!("{way}: the best of {} ways, {db:.1} dB on batches that were held back", ways.len()));
    Ok(plan)
}

/// At most `count` of these, spread evenly.
fn spread(batches: &[usize], count: usize) -> Vec<usize> {
    let count = count.min(batches.len());
    (0..count).map(|i| batches[i * batches.len() / count]).collect()
}

/// A way to prune.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sought {
    pub criterion: &'static Criterion,
    pub algorithm: &'static Algorithm,
    scope: Scope,
}

impl std::fmt::Display for Sought {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "criterion {}, algorithm {}, scope {}", self.criterion.name, self.algorithm.name, self.scope)
    }
}

/// Criterion, algorithm and scope that are tried where the user names none, the first one where there is no choice.
const TRIED: [(&str, &str, Scope); 4] = [
    ("hessian", "least-squares", Scope::Global),
    ("magnitude", "least-squares", Scope::Global),
    ("hessian", "least-squares", Scope::Layer),
    ("hessian", "sparse-gpt", Scope::Layer),
];

impl Sought {
    /// The ways that `options` leave open.
    fn ways(options: &PruneOptions, data: bool) -> Result<Vec<Sought>> {
        let tried = if data { &TRIED[..] } else { &[("magnitude", "mask", Scope::Global)] };
        let mut ways: Vec<Sought> = Vec::new();
        let blocks = matches!(options.pattern, Pattern::Block { .. });
        for (criterion, algorithm, scope) in tried {
            // The sweep chooses single weights.
            if blocks && options.algorithm.is_none() && *algorithm == "sparse-gpt" {
                continue;
            }
            // A pattern of groups says how much of each tensor goes.
            let fixed = options.pattern.sparsity().map(|_| Scope::Layer);
            let threshold = matches!(options.goal, Goal::Threshold(_)).then_some(Scope::Layer);
            let way = Sought {
                criterion: criterion::find(options.criterion.as_deref().unwrap_or(criterion))?,
                algorithm: algorithm::find(options.algorithm.as_deref().unwrap_or(algorithm))?,
                scope: fixed.or(threshold).or(options.scope).unwrap_or(*scope),
            };
            let same = |w: &Sought| w.to_string() == way.to_string();
            if !ways.iter().any(same) {
                ways.push(way);
            }
        }
        if blocks && ways.iter().any(|w| w.algorithm.kind == Kind::Sweep) {
            return Err(Error::usage("sparse-gpt chooses single weights, not blocks: --algorithm least-squares does"));
        }
        if blocks && ways.iter().any(|w| w.scope == Scope::Auto) {
            return Err(Error::usage("--scope auto shares out single weights, not blocks"));
        }
        if let Some(way) = ways.iter().find(|w| !data && (w.algorithm.kind != Kind::Mask || w.scope == Scope::Auto)) {
            return Err(Error::usage(format!("{way} is decided by data: give --data")));
        }
        Ok(ways)
    }

    /// The first of them.
    pub fn first(options: &PruneOptions, data: bool) -> Result<Sought> {
        Sought::ways(options, data)?.first().copied().ok_or_else(|| Error::internal("there is no way to prune"))
    }

    fn plan(
        &self,
        model: &Model,
        options: &PruneOptions,
        data: Option<(Data, Vec<usize>)>,
        progress: &dyn Progress,
    ) -> Result<PrunePlan> {
        let mut tensors = tensors::listed(model, options)?;
        let only = data.as_ref().map(|(data, _)| *data);
        let scores = self.scores((model, &tensors), options.seed, only, progress)?;
        for (t, _) in tensors.iter_mut().zip(&scores).filter(|(t, s)| t.kept.is_none() && s.is_empty()) {
            t.kept = Some(format!("criterion {} knows nothing of it", self.criterion.name));
        }
        let layers = match (self.scope, only) {
            (Scope::Auto, Some(data)) => damages(model, (&tensors, &scores), self.algorithm.kind, data, progress)?,
            _ => Vec::new(),
        };
        let Sought { scope, .. } = *self;
        let masks = Masks { pattern: options.pattern, goal: options.goal, scope, scores: &scores, layers: &layers };
        masks.set(model, &mut tensors)?;
        let mut notes = Vec::new();
        if let Some((data, batches)) = data {
            let kind = self.algorithm.kind;
            let (layers, refused) = Layer::all(model, &Order::of(model), &tensors);
            let masks = |known: &Known| match kind {
                Kind::Sweep => sparse_gpt::mask(known, options.pattern),
                _ => known.plan.mask.clone(),
            };
            resolve(model, (&mut tensors, &layers), (data, &batches), (&masks, kind), progress)?;
            let what = if kind == Kind::Mask { "biases" } else { "weights" };
            let (count, all) = (layers.len(), tensors.len());
            notes.push(format!("{what} of {count} of {all} tensors solved anew on {}", data.dataset.describe()));
            notes.extend(refused.into_iter().map(|(i, why)| format!("{} is not solved anew: {why}", tensors[i].node)));
        }
        tensors.iter_mut().for_each(|t| t.count(model));
        Ok(PrunePlan { options: options.clone(), tensors, channels: None, notes })
    }

    /// Scores of every tensor; none of one that is kept or of which the criterion knows nothing.
    pub fn scores(
        &self,
        (model, tensors): (&Model, &[TensorPlan]),
        seed: u64,
        data: Option<Data>,
        progress: &dyn Progress,
    ) -> Result<Vec<Vec<f32>>> {
        let mut scores = vec![Vec::new(); tensors.len()];
        statistics::each(self.criterion.needs, (model, tensors), (data, seed), progress, |i, statistics| {
            let weights = tensors[i].numbers(model).filter(|_| tensors[i].kept.is_none());
            if let Some(weights) = weights {
                let scored = Scored { weights: &weights, statistics, seed: seed ^ i as u64 };
                scores[i] = (self.criterion.score)(&scored);
            }
        })?;
        Ok(scores)
    }
}
