//! Rounds weights so that the outputs of their layers err least on a few batches ([`gptq`](crate::quantize::algorithm::gptq)).
//!
//! The inputs are those of the float model. Layers whose rows are the same share their H; those whose matrices fit
//! into memory together share a run of the model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::pieces::Original;
use super::{Alike, Ground, Layer, ROOM, contractions, each};
use crate::error::{Error, Result};
use crate::ir::{Model, NodeId};
use crate::progress::Silent;
use crate::quantize::algorithm::{self, gptq};
use crate::quantize::apply::planned_scales;
use crate::quantize::pairs::Beside;
use crate::quantize::plan::{Decision, QuantPlan, Rounded, WeightPlan};
use crate::quantize::storage;
use crate::quantize::weights::{self, QuantizedWeight};
use crate::runtime::neighbours;
use crate::second_order::{Compensation, Hessian};

/// Rows that a matrix is made of, for each of its own and at least.
const ROWS: usize = 3;
const LEAST: usize = 2048;
/// A matrix of fewer rows than this share of its size is left alone: it would fit noise.
const FEWEST: f64 = 1.0;
const DAMPING: f64 = 0.01;

/// Rounded weights of the layers of `plan` that allow it.
pub type Weights = BTreeMap<NodeId, Arc<Rounded>>;

/// Rounds on `batches`.
///
/// # Errors
/// What the data or the runtime refuse.
pub fn round(ground: Ground, plan: &QuantPlan, batches: &[usize]) -> Result<Weights> {
    let mut rounded = Weights::new();
    for run in runs(ground.model, plan) {
        let hessians = measure(ground, &run, batches)?;
        let found: Vec<_> = run
            .par_iter()
            .zip(&hessians)
            .flat_map_iter(|(alike, hessian)| rounded_by(ground.model, plan, alike, hessian))
            .collect();
        rounded.extend(found);
    }
    Ok(rounded)
}

/// The layers whose matrices are in memory together. What does not fit at all is left out.
pub(super) fn runs<'a>(model: &Model, plan: &'a QuantPlan) -> Vec<Vec<Alike<'a>>> {
    let all = contractions(model, plan).into_iter().filter(|alike| bytes(alike) <= ROOM);
    neighbours(all.collect(), bytes, ROOM)
}

/// `plan` with these weights.
pub fn with_weights(plan: &QuantPlan, weights: &Weights) -> QuantPlan {
    let mut plan = plan.clone();
    for node in &mut plan.nodes {
        if let Decision::Quantize { weight, .. } = &mut node.decision {
            weight.rounded = weights.get(&node.id).cloned();
        }
    }
    plan
}

fn bytes(alike: &Alike) -> usize {
    let c = &alike[0].contraction;
    c.groups * c.depth * c.depth * size_of::<f32>()
}

pub(super) fn measure(ground: Ground, run: &[Alike], batches: &[usize]) -> Result<Vec<Hessian>> {
    let name = |a: &Alike| ground.model.name(a[0].contraction.input).to_string();
    let inputs: Vec<String> = run.iter().map(name).collect();
    let names: BTreeSet<&String> = inputs.iter().collect();
    let original = Original::new(ground.model, &names);
    let session = original.session(ground.runtime);
    let held = ground.held(names.iter().copied());
    let mut hessians: Vec<Hessian> =
        run.iter().map(|a| Hessian::new(a[0].contraction.groups, a[0].contraction.depth)).collect();
    ground.progress.start("rounding weights", batches.len() as u64);
    // A few batches at a time are run side by side, then added up in their order.
    for some in batches.chunks((ROOM / held.max(1)).clamp(1, rayon::current_num_threads())) {
        let values =
            each("", some, held, &Silent, |index| original.values(&session, &ground.dataset.batch(*index)?.inputs))?;
        for floats in &values {
            let add = |((hessian, alike), input): ((&mut Hessian, &Alike), &String)| {
                let missing = || Error::runtime(format!("value \"{input}\" was not observed"));
                let x = floats.get(input).ok_or_else(missing)?;
                let most = (ROWS * hessian.depth).max(LEAST).div_ceil(batches.len());
                if let Some((rows, count)) = alike[0].contraction.rows(x, most) {
                    hessian.add(&rows, count);
                }
                Ok::<_, Error>(())
            };
            hessians.par_iter_mut().zip(run).zip(&inputs).try_for_each(add)?;
        }
        ground.progress.step(some.len() as u64);
    }
    ground.progress.finish();
    Ok(hessians)
}

fn rounded_by(model: &Model, plan: &QuantPlan, alike: &Alike, hessian: &Hessian) -> Vec<(NodeId, Arc<Rounded>)> {
    if (hessian.rows as f64) < FEWEST * hessian.depth as f64 {
        return Vec::new();
    }
    let all: Vec<Option<QuantizedWeight>> = alike.iter().map(|layer| start(model, plan, layer)).collect();
    let mut integers: Vec<Vec<i32>> = vec![Vec::new(); alike.len()];
    for (integers, start) in integers.iter_mut().zip(&all) {
        *integers = start.as_ref().and_then(|q| storage::integers(&q.values)).unwrap_or_default();
    }
    for group in 0..alike[0].contraction.groups {
        let Some(compensation) = Compensation::of(hessian.of_group(group), hessian.depth, DAMPING) else { continue };
        for ((layer, start), integers) in alike.iter().zip(&all).zip(&mut integers) {
            if let Some(start) = start {
                round_group(model, layer, (group, &compensation), &start.scales, integers);
            }
        }
    }
    let found = alike.iter().zip(all).zip(integers);
    let rounded = |((layer, start), integers): ((&Layer, Option<QuantizedWeight>), Vec<i32>)| {
        let start = start?;
        let values = layer.weight.dtype.tensor(start.values.shape(), &integers);
        let params = start.scales.iter().map(|scale| layer.params(*scale)).collect();
        Some((layer.node, Arc::new(Rounded { params, values })))
    };
    found.filter_map(rounded).collect()
}

/// As the rule of the plan rounds, with the scales that were found before if any were.
pub(super) fn start(model: &Model, plan: &QuantPlan, layer: &Layer) -> Option<QuantizedWeight> {
    let tensor = model.constant(layer.contraction.weight)?;
    let values = tensor.to_f32()?;
    let scales = match &layer.weight.rounded {
        Some(rounded) => rounded.params.iter().map(|p| p.scale).collect(),
        None => planned_scales(&values, tensor.shape(), plan, layer.weight, None).ok()?,
    };
    let algorithm = algorithm::find(&plan.options.algorithm).ok()?;
    let WeightPlan { axis, dtype, .. } = layer.weight;
    Some(weights::quantize(&values, tensor.shape(), *axis, scales, *dtype, algorithm))
}

fn round_group(
    model: &Model,
    layer: &Layer,
    (group, compensation): (usize, &Compensation),
    scales: &[f32],
    integers: &mut [i32],
) {
    let c = &layer.contraction;
    let Some(tensor) = model.constant(c.weight) else { return };
    let Some(values) = tensor.to_f32() else { return };
    let beside = layer.weight.pairs.map(|axis| Beside::of(tensor.shape(), axis));
    let fit = |q: i32, k: usize, levels: &[i32]| beside.as_ref().map_or(q, |beside| beside.cut(q, k, levels));
    for o in group * c.outputs..(group + 1) * c.outputs {
        let weights: Vec<f32> = (0..c.depth).map(|k| values[c.element(o, k)]).collect();
        let params = layer.params(scales[if scales.len() > 1 { o } else { 0 }]);
        let q = gptq::round((&weights, &weights), |_| params, fit, compensation);
        q.into_iter().enumerate().for_each(|(k, q)| integers[c.element(o, k)] = q);
    }
}
