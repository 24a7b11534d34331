//! What layers after a cut make up for, solved in closed form, one after the other.
//!
//! ```text
//! float model      x ─► … ─► y ─► (+ s) ─►           y' = W'·x' + b'  with  W', b' = argmin Σ ‖W'·x' + b' − t‖² + λ·‖W' − W‖²
//! pruned model     x' ─► … ─► y' ─► (+ s') ─►        t = y + (s − s'):  the layer also makes up for what its shortcut has lost
//! ```
//!
//! x' is what the pruned model reads once the layers before have been solved (the asymmetric target of He et al., "Channel Pruning for
//! Accelerating Very Deep Neural Networks", ICCV 2017). λ is the one that serves batches best that were held back; a layer that no
//! λ serves keeps its weights.

use std::collections::BTreeSet;

use faer::Mat;
use rayon::prelude::*;

use super::ground::Ground;
use super::rows::SAMPLE;
use crate::data::{HELD_OF_CHANNELS, is_held};
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId, Tensor, ValueId};
use crate::ops::{self, QuantRule};
use crate::prune::exclude::Exclude;
use crate::prune::shrink::{Kept, cut_value};
use crate::second_order::moments::Centred;
use crate::second_order::rows::{Sought, Wanted, measure};
use crate::second_order::{Contraction, Layer, Order, Solved, Walk};

const DAMPINGS: [f64; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];
/// Where no batch can be held back.
const UNJUDGED: f64 = 1e-2;

/// What a layer's weights become, or why it keeps those it has.
pub type Outcome = std::result::Result<Solved, String>;

/// Solves the layers of `pruned`, the cut `model`, whose inputs are not what they were; not those that are left out.
pub fn compensate(
    model: &Model,
    pruned: &mut Model,
    (kept, exclude): (&Kept, &Exclude),
    ground: Ground,
) -> Result<Vec<(NodeId, Outcome)>> {
    let (mut layers, mut solved) = layers(model, pruned, (kept, exclude));
    let order = Order::of(model);
    layers.sort_by_key(|l| order.place(l.node));
    let mut walk = Walk::new((model, 2), &order, (ground.dataset, ground.runtime), ground.all())?;
    ground.progress.start("solving for what is left", layers.len() as u64);
    for layer in &layers {
        let Some(place) = order.place(layer.node) else { continue };
        walk.advance(&[model, pruned], place)?;
        let outcome = match sums(model, pruned, layer, (&walk, &order), kept)? {
            Some([fit, judge]) => best(pruned, layer, fit, &judge),
            None => Err("its values have other shapes than its weight expects".into()),
        };
        let outcome = outcome.and_then(|(damping, numbers)| {
            tracing::debug!("{}: damping {damping:e}", pruned.node_label(layer.node));
            let solved = layer.solved(pruned, &numbers).ok_or("its weight is no constant")?;
            solved.put(&mut GraphEdit::new(pruned));
            Ok(solved)
        });
        solved.push((layer.node, outcome));
        ground.progress.step(1);
    }
    ground.progress.finish();
    Ok(solved)
}

/// The moments of a layer, by group: those that it is fitted to and those held back. `None` where the shapes of its values are others.
fn sums(
    model: &Model,
    pruned: &Model,
    layer: &Layer,
    (walk, order): (&Walk, &Order),
    kept: &Kept,
) -> Result<Option<[Vec<Centred>; 2]>> {
    let Some(Ok(float)) = Contraction::of(model, layer.node) else { return Ok(None) };
    let stays = kept.get(&(float.weight, float.channel_axis())).cloned().unwrap_or_default();
    let beside = layer.beside(pruned, order);
    let cut = |t: &Tensor, v: ValueId| cut_value(t, v, kept);
    let wanted = Wanted::of(model, &float, &beside).cut(stays, &cut);
    let batches = walk.batches();
    let held = |i: usize| is_held(i, batches, HELD_OF_CHANNELS);
    let sought = [Sought { layer, wanted: Some(wanted) }];
    let found = measure((walk, model), &sought, SAMPLE, (2, &|i| usize::from(held(i))))?;
    let mut parts = found.into_iter().flatten().map(|groups| {
        let centred = groups.into_iter().map(|m| m.centred(layer.bias.is_some()));
        centred.collect::<Vec<Centred>>()
    });
    let (fit, judge) = (parts.next(), parts.next());
    Ok(fit.zip(judge).filter(|(fit, _)| fit.iter().any(|m| m.rows() > 0)).map(|(fit, judge)| [fit, judge]))
}

/// The numbers that serve `judge` best, from all sums, and their damping.
fn best(
    pruned: &Model,
    layer: &Layer,
    mut fit: Vec<Centred>,
    judge: &[Centred],
) -> std::result::Result<(f64, Vec<f32>), String> {
    let (c, width) = (&layer.contraction, layer.width());
    let numbers = layer.numbers(pruned).ok_or("its weights are no floats")?;
    let present: Vec<f32> = numbers.chunks(width).flat_map(|row| &row[..c.depth]).copied().collect();
    let size = c.outputs * c.depth;
    let missing = |sums: &[Centred]| -> Vec<Mat<f64>> {
        sums.iter().zip(present.chunks(size)).map(|(m, w)| m.missing(w)).collect()
    };
    let solved = |sums: &[Centred], missing: &[Mat<f64>], damping: f64| -> Option<Vec<f32>> {
        let each = sums.iter().zip(missing).zip(present.chunks(size));
        Some(each.map(|((m, missing), w)| m.nearest(w, missing, damping)).collect::<Option<Vec<_>>>()?.concat())
    };
    // What the bias changes by: nothing where there is none.
    let shifts = |sums: &[Centred], weights: &[f32]| -> Vec<f64> {
        let rows = weights.chunks(c.depth).enumerate();
        rows.map(|(o, row)| sums[o / c.outputs].shift(o % c.outputs, row)).collect()
    };
    let error = |weights: &[f32], shifts: &[f64]| -> f64 {
        let each = judge.iter().zip(weights.chunks(size).zip(shifts.chunks(c.outputs)));
        each.map(|(m, (w, s))| m.error(w, s)).sum()
    };
    let unseen = || "nothing reaches it".to_string();
    if fit.iter().all(Centred::is_still) {
        return Err(unseen());
    }
    let damping = if judge.iter().all(|m| m.rows() == 0) {
        UNJUDGED
    } else {
        let missing = missing(&fit);
        let tried = DAMPINGS.par_iter().filter_map(|d| {
            let weights = solved(&fit, &missing, *d)?;
            Some((*d, error(&weights, &shifts(&fit, &weights))))
        });
        let best = tried.collect::<Vec<_>>().into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).ok_or_else(unseen)?;
        if best.1 >= error(&present, &vec![0.0; c.channels()]) {
            return Err("no other weights serve data held back better".into());
        }
        best.0
    };
    fit.iter_mut().zip(judge).for_each(|(f, j)| f.merge(j));
    let weights = solved(&fit, &missing(&fit), damping).ok_or_else(unseen)?;
    let biases = numbers.chunks(width).map(|row| row.get(c.depth).copied().unwrap_or(0.0));
    let biases = biases.zip(shifts(&fit, &weights)).map(|(b, shift)| b + shift as f32);
    let rows = weights.chunks(c.depth).zip(biases);
    Ok((
        damping,
        rows.flat_map(|(row, bias)| row.iter().copied().chain(layer.bias.is_some().then_some(bias))).collect(),
    ))
}

/// The layers of the main graph whose input, as `kept` says, is not what it was; and those that cannot be solved for.
fn layers(model: &Model, pruned: &Model, (kept, exclude): (&Kept, &Exclude)) -> (Vec<Layer>, Vec<(NodeId, Outcome)>) {
    let (mut layers, mut refused) = (Vec::new(), Vec::new());
    let mut moved: BTreeSet<ValueId> = BTreeSet::new();
    for id in pruned.graph(pruned.main()).nodes() {
        let node = pruned.node(*id);
        let layer = Layer::of(pruned, *id);
        let reads_less = model.node(*id).inputs().iter().flatten().any(|v| summed_axis_cut(model, *id, *v, kept));
        if !reads_less && !node.inputs().iter().flatten().any(|v| moved.contains(v)) {
            continue;
        }
        moved.extend(node.outputs().iter().flatten());
        match layer {
            Some(Ok(layer)) => match exclude.node(pruned, *id) {
                Some(why) => refused.push((*id, Err(why))),
                None => layers.push(layer),
            },
            Some(Err(why)) => refused.push((*id, Err(why))),
            None => {}
        }
    }
    (layers, refused)
}

/// Whether the value is the node's weight and has lost positions of an axis that is summed over.
fn summed_axis_cut(model: &Model, id: NodeId, value: ValueId, kept: &Kept) -> bool {
    let node = model.node(id);
    let Some(QuantRule::Weighted { weight, channel_axis, .. }) = ops::of(node).map(|op| op.quant) else { return false };
    let Some(rank) = model.constant(value).map(Tensor::rank).filter(|_| node.input(weight) == Some(value)) else {
        return false;
    };
    let made = channel_axis(node, rank);
    (0..rank).any(|axis| axis != made && kept.contains_key(&(value, axis)))
}
