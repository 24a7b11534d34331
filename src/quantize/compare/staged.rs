//! GPTQ layer after layer: each is rounded for the inputs that those before it, rounded already, give it.
//!
//! ```text
//! Ŵ, b̂ = argmin Σ ‖W·x + b − Ŵ·x̃ − b̂‖²        x as in the float model, x̃ as it is by then
//!
//! H = Σ x̃·x̃ᵀ    C = Σ x̃·xᵀ                     about their means, where the layer has room for a bias
//! W'ᵀ = Wᵀ + (H + λI)⁻¹·(C − H)·Wᵀ              what W had to be for x̃; regularized, since few samples say little
//! Ŵ = GPTQ(W', H)                              scales by least error, weighted by H_kk
//! b̂ = b + W·E[x] − Ŵ·E[x̃]
//! ```
//!
//! So later layers repair what earlier ones do (asymmetric calibration: Li et al., "GPTAQ", ICML 2025). For 8 bits there is too little to
//! repair: there [`super::rounding`] takes the inputs of the float model. The float model and the rounded one are walked side by side
//! ([`Walk`]), and with them the one that is rounded without data: batches that nothing is fitted to say at the end which is nearer.

use std::collections::BTreeSet;
use std::sync::Arc;

use faer::{Mat, MatRef};
use rayon::prelude::*;

use super::judge::energies;
use super::press::pressed;
use super::rounding::{Weights, with_weights};
use super::{Alike, Ground, Layer, contractions};
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Model, NodeId, Tensor};
use crate::ops::{self, QuantRule};
use crate::quantize::algorithm::{self, Algorithm, gptq};
use crate::quantize::apply::shift_bias;
use crate::quantize::plan::{Decision, QuantPlan, Rounded};
use crate::quantize::table::Tables;
use crate::quantize::{QParams, grouped, qdq};
use crate::runtime::{Energies, Score};
use crate::second_order::moments::Centred;
use crate::second_order::walk::{END, Values};
use crate::second_order::{Compensation, Moments, Order, Walk, retargeted};

/// Rows that a matrix is made of, for each of its own, and at least.
const ROWS: usize = 8;
const LEAST: usize = 8192;
/// Damping of H, relative to its mean diagonal; more where there are fewer than [`ENOUGH`] rows for each of its own.
const DAMPING: f64 = 0.01;
const MOST_DAMPING: f64 = 1.0;
const ENOUGH: f64 = 4.0;
/// Damping of the step towards W'.
const CAUTION: f64 = 0.1;
/// Batches whose rows are added up together: the same on every machine, since sums of floats depend on it.
const TOGETHER: usize = 4;
/// Bytes of matrices beyond which a layer is left to the plain rule: two of them, in f64.
const MOST: usize = 512 << 20;

/// What rounding by data came to.
pub struct Staged {
    pub plan: QuantPlan,
    /// Weights that were rounded by data, and those whose matrices were too large for it.
    pub rounded: usize,
    pub left: usize,
    /// How near the outputs come on the batches that judge: of the plan as it was, and of this one.
    pub scores: [Score; 2],
}

/// Rounds the weights of `plan` on the batches `fit`; those of `judge` are walked with, too.
///
/// # Errors
/// What the data or the runtime refuse, and io.
pub fn round(ground: Ground, plan: &QuantPlan, fit: &[usize], judge: &[usize]) -> Result<Staged> {
    let model = ground.model;
    let order = Order::of(model);
    let base = with_activations(model, plan)?;
    let (mut all, large): (Vec<Alike>, Vec<Alike>) =
        contractions(model, plan).into_iter().partition(|a| bytes(a) <= MOST);
    let place = |alike: &Alike| alike.iter().filter_map(|l| order.place(l.node)).min().unwrap_or(END);
    all.sort_by_key(place);
    let batches: BTreeSet<usize> = fit.iter().chain(judge).copied().collect();
    let batches: Vec<usize> = batches.into_iter().collect();
    let mut walk = Walk::new((model, 3), &order, (ground.dataset, ground.runtime), batches)?;
    let mut next = plan.clone();
    let mut done = Weights::new();
    // What is rounded and not yet walked past: by data, and by the plan.
    let mut ahead: Vec<[Put; 2]> = Vec::new();
    for layer in large.iter().flatten() {
        ahead.extend(Put::plain(model, plan, layer).map(|plain| [plain.clone(), plain]));
    }
    ground.progress.start("rounding weights", all.len() as u64);
    for alike in &all {
        let versions = [0, 1].map(|which| put(&base, &ahead, which));
        walk.advance(&[model, &versions[0], &versions[1]], place(alike))?;
        ahead.retain(|[p, _]| order.place(p.node).is_some_and(|at| at >= place(alike)));
        let moments = measure(ground, plan, &walk, alike, fit)?;
        for (layer, found) in alike.iter().zip(rounded(model, plan, alike, moments)) {
            let Some(plain) = Put::plain(model, plan, layer) else { continue };
            let Some((rounded, shift)) = found else {
                ahead.push([plain.clone(), plain]);
                continue;
            };
            ahead.push([Put { node: layer.node, floats: rounded.floats(layer.weight), shift: shift.clone() }, plain]);
            done.insert(layer.node, Arc::new(rounded));
            let node = next.nodes.iter_mut().find(|n| n.id == layer.node);
            if let Some(Decision::Quantize { shift: planned, .. }) = node.map(|n| &mut n.decision) {
                *planned = shift;
            }
        }
        ground.progress.step(1);
    }
    let versions = [0, 1].map(|which| put(&base, &ahead, which));
    walk.advance(&[model, &versions[0], &versions[1]], END)?;
    ground.progress.finish();
    let scores = [2, 1].map(|version| score(&walk, model, version, judge));
    let [plain, ours] = scores;
    let left = large.iter().map(Vec::len).sum();
    Ok(Staged { plan: with_weights(&next, &done), rounded: done.len(), left, scores: [plain?, ours?] })
}

/// What is said of weights whose matrices are too large.
pub fn left(count: usize) -> Option<String> {
    (count > 0).then(|| {
        let most = MOST >> 20;
        format!("{count} weights are too wide to be rounded by data: their matrices would take more than {most} MB")
    })
}

/// The model with all that `plan` does to it but for the weights of contractions.
fn with_activations(model: &Model, plan: &QuantPlan) -> Result<Model> {
    let mut base = model.clone();
    let mut edit = GraphEdit::new(&mut base);
    qdq::activations(&mut edit, plan)?;
    let mut tables = Tables::of(model, plan);
    for node in &plan.nodes {
        if let Decision::Table { dtype, block, .. } = &node.decision {
            tables.write(&mut edit, node, (*dtype, *block))?;
        }
    }
    Ok(base)
}

fn bytes(alike: &Alike) -> usize {
    let c = &alike[0].contraction;
    2 * c.groups * c.depth * c.depth * size_of::<f64>()
}

/// How near version number `version` comes to the first, on these batches.
fn score(walk: &Walk, model: &Model, version: usize, judge: &[usize]) -> Result<Score> {
    let outputs = model.graph(model.main()).outputs();
    let read = outputs.iter().copied().collect();
    let mut seen: Vec<Energies> = Vec::new();
    for i in (0..walk.batches()).filter(|i| judge.contains(&walk.number(*i))) {
        let values = walk.values(i, model, &read)?;
        let (Some(float), Some(other)) = (values.first(), values.get(version)) else { continue };
        seen.push(outputs.iter().map(|v| float.get(v).zip(other.get(v)).and_then(|(a, b)| energies(a, b))).collect());
    }
    Ok(Score::of(&seen))
}

/// H and C of each group, on the batches `fit`.
fn measure(ground: Ground, plan: &QuantPlan, walk: &Walk, alike: &Alike, fit: &[usize]) -> Result<Vec<Centred>> {
    let c = &alike[0].contraction;
    let params = plan.activations.iter().find(|a| a.id == c.input).map(|a| a.params);
    let most = (ROWS * c.depth).max(LEAST).div_ceil(fit.len().max(1));
    let rows = |values: &Values, params: Option<&QParams>| {
        let missing = || Error::runtime(format!("value \"{}\" was not kept", ground.model.name(c.input)));
        let x = values.get(&c.input).ok_or_else(missing)?;
        let x = params.and_then(|p| pressed(x, p)).unwrap_or_else(|| x.clone());
        Ok::<_, Error>(c.rows(&x, most))
    };
    let mut sums: Vec<Moments> = (0..c.groups).map(|_| Moments::new(c.depth, c.depth)).collect();
    let numbers: Vec<usize> = (0..walk.batches()).filter(|i| fit.contains(&walk.number(*i))).collect();
    // Some batches side by side, added up in their order.
    for some in numbers.chunks(TOGETHER) {
        let read = |i: &usize| {
            let values = walk.values(*i, ground.model, &[c.input].into())?;
            let (Some(float), Some(now)) = (values.first(), values.get(1)) else { return Ok(None) };
            Ok(rows(float, None)?.zip(rows(now, params.as_ref())?))
        };
        let seen: Vec<_> = some.par_iter().map(read).collect::<Result<_>>()?;
        let seen: Vec<_> = seen.into_iter().flatten().collect();
        let [float, now]: [Vec<f32>; 2] = [
            seen.iter().flat_map(|((x, _), _)| x.iter().copied()).collect(),
            seen.iter().flat_map(|(_, (x, _))| x.iter().copied()).collect(),
        ];
        let width = c.groups * c.depth;
        let [float, now] = [&float, &now].map(|x| MatRef::from_row_major_slice(x, x.len() / width, width));
        sums.par_iter_mut().enumerate().for_each(|(g, sum)| {
            let [float, now] = [float, now].map(|x| x.subcols(g * c.depth, c.depth));
            sum.add(now, float);
        });
    }
    // Layers that read the same rows are mostly of one operator; where one has no room for a bias, none is centred.
    let centred = is_centred(ground.model, alike);
    Ok(sums.into_iter().map(|m| m.centred(centred)).collect())
}

fn is_centred(model: &Model, alike: &Alike) -> bool {
    let has_bias = |id: NodeId| {
        matches!(ops::of(model.node(id)).map(|op| op.quant), Some(QuantRule::Weighted { bias: Some(_), .. }))
    };
    alike.iter().all(|l| has_bias(l.node))
}

/// For each layer of `alike` its integers, and what its bias changes by.
fn rounded(
    model: &Model,
    plan: &QuantPlan,
    alike: &Alike,
    moments: Vec<Centred>,
) -> Vec<Option<(Rounded, Option<Vec<f32>>)>> {
    let c = &alike[0].contraction;
    let centred = is_centred(model, alike);
    let mut rounding: Vec<Option<Rounding>> = alike.iter().map(|layer| Rounding::new(model, plan, layer)).collect();
    for (group, mut m) in moments.into_iter().enumerate() {
        let scarce = ENOUGH * c.depth as f64 / m.rows().max(1) as f64;
        let damping = (DAMPING * scarce.max(1.0)).min(MOST_DAMPING);
        // The layers side by side, since one factor serves all; what it was made of need not stay.
        let before: Vec<f32> = rounding.iter().flatten().flat_map(|r| r.weights_of(group)).collect();
        let wanted = retargeted(&before, m.h.as_ref(), std::mem::replace(&mut m.g, Mat::new()), damping.max(CAUTION));
        let importance: Vec<f32> = (0..c.depth).map(|k| m.h[(k, k)] as f32).collect();
        let (order, h) = (m.falling(), std::mem::replace(&mut m.h, Mat::new()));
        let compensation = Compensation::in_order(order, move |i, j| h[(i, j)], damping);
        let wanted = wanted.filter(|_| compensation.is_some()).unwrap_or(before);
        let mut at = 0;
        for rounding in rounding.iter_mut().flatten() {
            let count = rounding.layer.contraction.outputs * c.depth;
            rounding.group((group, &m, &importance), &wanted[at..at + count], compensation.as_ref(), centred);
            at += count;
        }
    }
    rounding.into_iter().map(|r| r?.finish(centred)).collect()
}

/// A weight that is being rounded, group after group.
struct Rounding<'a> {
    layer: &'a Layer<'a>,
    algorithm: &'static Algorithm,
    shape: Vec<usize>,
    weights: Vec<f32>,
    params: Vec<Option<QParams>>,
    integers: Vec<i32>,
    shift: Vec<f32>,
}

impl<'a> Rounding<'a> {
    fn new(model: &Model, plan: &QuantPlan, layer: &'a Layer) -> Option<Self> {
        let tensor = model.constant(layer.contraction.weight)?;
        let weights = tensor.to_f32()?.into_owned();
        let c = &layer.contraction;
        let shape = tensor.shape().to_vec();
        let algorithm = algorithm::find(&plan.options.algorithm).ok()?;
        let shared = layer.weight.sharing().groups(&shape);
        // One scale for all is not the affair of one group.
        let params = match layer.weight.axis {
            None => {
                grouped::params(&weights, &[], &shared, &[0], layer.weight, algorithm).into_iter().map(Some).collect()
            }
            Some(_) => vec![None; shared.count()],
        };
        let integers = vec![layer.weight.dtype.middle(); weights.len()];
        let shift = vec![0.0; c.groups * c.outputs];
        Some(Rounding { layer, algorithm, shape, weights, params, integers, shift })
    }

    /// The weights of one group, output channel after output channel.
    fn weights_of(&self, group: usize) -> impl Iterator<Item = f32> {
        let c = &self.layer.contraction;
        let channels = group * c.outputs..(group + 1) * c.outputs;
        channels.flat_map(move |o| (0..c.depth).map(move |k| self.weights[c.element(o, k)]))
    }

    /// The output channels of one group, which are to become `wanted`. Without a compensation its inputs are always zero, and all
    /// roundings alike.
    fn group(
        &mut self,
        (group, m, importance): (usize, &Centred, &[f32]),
        wanted: &[f32],
        compensation: Option<&Compensation>,
        centred: bool,
    ) {
        let c = &self.layer.contraction;
        let channels = group * c.outputs..(group + 1) * c.outputs;
        let row = |o: usize| (0..c.depth).map(move |k| c.element(o, k));
        let before: Vec<f32> = self.weights_of(group).collect();
        self.fit(channels.clone().flat_map(row).zip(wanted.iter().copied()), importance);
        let shared = self.layer.weight.sharing().groups(&self.shape);
        let params = &self.params;
        let of = |o: usize| {
            let from = (o - group * c.outputs) * c.depth;
            let (before, wanted) = (&before[from..from + c.depth], &wanted[from..from + c.depth]);
            let params: Vec<QParams> = row(o).filter_map(|i| params[shared.of(i)]).collect();
            let q = match compensation {
                Some(compensation) => gptq::round((before, wanted), |k| params[k], |q, _, _| q, compensation),
                None => before.iter().zip(&params).map(|(w, p)| p.quantize(*w)).collect(),
            };
            let kept = |k: usize| f64::from(before[k]) * m.t[k] - f64::from(params[k].dequantize(q[k])) * m.x[k];
            let shift = if centred { (0..c.depth).map(kept).sum::<f64>() } else { 0.0 };
            (q, shift as f32)
        };
        let found: Vec<(Vec<i32>, f32)> = channels.clone().into_par_iter().map(of).collect();
        for (o, (q, shift)) in channels.zip(found) {
            q.into_iter().enumerate().for_each(|(k, q)| self.integers[c.element(o, k)] = q);
            self.shift[o] = shift;
        }
    }

    /// Parameters of all groups of scales that hold one of these elements, which are to become what is beside them, H_kk
    /// of each input saying what counts.
    fn fit(&mut self, elements: impl Iterator<Item = (usize, f32)>, of_input: &[f32]) {
        let c = &self.layer.contraction;
        let shared = self.layer.weight.sharing().groups(&self.shape);
        let (mut target, mut importance) = (vec![0f32; self.weights.len()], vec![0f32; self.weights.len()]);
        let mut open = BTreeSet::new();
        for (at, (i, w)) in elements.enumerate() {
            (target[i], importance[i]) = (w, of_input[at % c.depth]);
            open.insert(shared.of(i));
        }
        let open: Vec<usize> = open.into_iter().filter(|g| self.params[*g].is_none()).collect();
        let found = grouped::params(&target, &importance, &shared, &open, self.layer.weight, self.algorithm);
        open.into_iter().zip(found).for_each(|(g, p)| self.params[g] = Some(p));
    }

    fn finish(self, corrected: bool) -> Option<(Rounded, Option<Vec<f32>>)> {
        let params = self.params.into_iter().collect::<Option<Vec<_>>>()?;
        let values = self.layer.weight.dtype.tensor(&self.shape, &self.integers);
        Some((Rounded { params, values }, corrected.then_some(self.shift)))
    }
}

/// A weight as the floats that its integers stand for, and what its bias changes by.
#[derive(Clone)]
struct Put {
    node: NodeId,
    floats: Tensor,
    shift: Option<Vec<f32>>,
}

impl Put {
    /// As the rule of the plan rounds.
    fn plain(model: &Model, plan: &QuantPlan, layer: &Layer) -> Option<Self> {
        let tensor = model.constant(layer.contraction.weight)?;
        let algorithm = algorithm::find(&plan.options.algorithm).ok()?;
        let floats = grouped::floats(&tensor.to_f32()?, tensor.shape(), layer.weight, algorithm);
        let decision = plan.nodes.iter().find(|n| n.id == layer.node).map(|n| &n.decision);
        let shift = decision.and_then(|d| if let Decision::Quantize { shift, .. } = d { shift.clone() } else { None });
        Some(Put { node: layer.node, floats, shift })
    }
}

/// `base` with the first or second of what is ahead.
fn put(base: &Model, ahead: &[[Put; 2]], which: usize) -> Model {
    let mut model = base.clone();
    let mut edit = GraphEdit::new(&mut model);
    for p in ahead.iter().map(|both| &both[which]) {
        let node = edit.node(p.node);
        let Some(QuantRule::Weighted { weight, bias, .. }) = ops::of(node).map(|op| op.quant) else { continue };
        let (graph, name) = (node.graph(), format!("{}_rounded", edit.node_label(p.node)));
        let value = edit.add_initializer(graph, &name, p.floats.clone());
        edit.set_input(p.node, weight, Some(value));
        if let Some((index, shift)) = bias.zip(p.shift.as_ref()) {
            shift_bias(&mut edit, p.node, index, shift);
        }
    }
    model
}
