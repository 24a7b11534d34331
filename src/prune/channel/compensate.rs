//! What layers after a cut make up for, solved in closed form, one after the other.
//!
//! ```text
//! float model      x ─► … ─► y ─► (+ s) ─►           y' = W'·x' + b'  with  W', b' = argmin Σ ‖W'·x' + b' − t‖² + λ·‖W' − W‖²
//! pruned model     x' ─► … ─► y' ─► (+ s') ─►        t = y + (s − s'):  the layer also makes up for what its shortcut has lost
//! ```
//!
//! x' is what the pruned model reads once the layers before have been solved (the asymmetric target of He et al., "Channel Pruning for
//! Accelerating Very Deep Neural Networks", ICCV 2017); for a layer that reads what it made before, whose weight the model uses again and
//! again, what is left of x. λ is the one that serves batches best that were held back; a layer that no
//! λ serves keeps its weights.

use std::collections::{BTreeMap, BTreeSet};

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
use crate::second_order::places::{self, Sums};
use crate::second_order::rows::{Sought, Wanted, measure};
use crate::second_order::{Contraction, Layer, Moments, Order, Solved, Walk};

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
    let order = Order::of(model);
    let (mut layers, mut solved) = layers(model, pruned, (kept, exclude));
    layers.sort_by_key(|l| order.place(l.node));
    // For what the float model feeds them its weights are the best, unless they have lost inputs.
    layers.retain(|l| l.is_together(&order) || summed_axis_cut(model, l.node, l.contraction.weight, kept));
    let mut early = early((model, kept), &layers, &order, ground)?;
    let mut walk = Walk::new((model, 2), &order, (ground.dataset, ground.runtime), ground.all())?;
    ground.progress.start("solving for what is left", layers.len() as u64);
    for layer in &layers {
        let Some(place) = order.place(layer.node) else { continue };
        walk.advance(&[model, pruned], place)?;
        let seen = match early.remove(&layer.node) {
            Some(seen) => Some(seen),
            None => sums(model, pruned, layer, (&walk, &order), kept)?,
        };
        let outcome = match seen {
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
    let float: Option<Vec<Contraction>> = layer.nodes().map(|n| Contraction::of(model, n)?.ok()).collect();
    let Some(float) = float else { return Ok(None) };
    let stays = |c: &Contraction| kept.get(&(c.weight, c.channel_axis())).cloned().unwrap_or_default();
    let beside = layer.beside(pruned, order);
    let cut = |t: &Tensor, v: ValueId| cut_value(t, v, kept);
    let wanted = float.iter().zip(&beside).map(|(c, beside)| Wanted::of(model, c, beside).cut(stays(c), &cut));
    let batches = walk.batches();
    let sought = [Sought { read: layer.contractions().collect(), wanted: wanted.collect() }];
    let found = measure((walk, model), &sought, SAMPLE, (2, &|i| part(i, batches)))?;
    Ok(found.into_iter().next().and_then(|parts| halves(layer, parts)))
}

/// To which half a batch belongs: what layers are fitted to, or what is held back.
fn part(i: usize, batches: usize) -> usize {
    usize::from(is_held(i, batches, HELD_OF_CHANNELS))
}

/// Both halves; `None` where there is nothing to fit to.
fn halves(layer: &Layer, parts: Vec<Vec<Moments>>) -> Option<[Vec<Centred>; 2]> {
    let centred = |groups: Vec<Moments>| groups.into_iter().map(|m| m.centred(layer.bias.is_some())).collect();
    let parts: [Vec<Centred>; 2] = parts.into_iter().map(centred).collect::<Vec<_>>().try_into().ok()?;
    parts[0].iter().any(|m| m.rows() > 0).then_some(parts)
}

/// The moments of layers that read what they made before: those of the float model, as far as the layers still have them.
fn early(
    (model, kept): (&Model, &Kept),
    layers: &[Layer],
    order: &Order,
    ground: Ground,
) -> Result<BTreeMap<NodeId, [Vec<Centred>; 2]>> {
    let mut found = BTreeMap::new();
    let again = layers.iter().filter(|l| !l.is_together(order));
    let again: Vec<Layer> = again.filter_map(|l| Layer::of(model, l.node)?.ok()).collect();
    if again.is_empty() {
        return Ok(found);
    }
    let mut walk = Walk::new((model, 1), order, (ground.dataset, ground.runtime), ground.all())?;
    let batches = walk.batches();
    let sums = Sums { sample: SAMPLE, outputs: true, parts: (2, &|i| part(i, batches)) };
    let read: Vec<&Layer> = again.iter().collect();
    places::each((model, &read), (&mut walk, order), &sums, |i, parts| {
        let left = |groups| left(&again[i].contraction, groups, kept);
        found.extend(halves(&again[i], parts).map(|parts| (again[i].node, parts.map(left))));
    })?;
    Ok(found)
}

/// What is left of the moments of a layer's groups.
fn left(c: &Contraction, groups: Vec<Centred>, kept: &Kept) -> Vec<Centred> {
    let stays = |axis: usize, all: usize| kept.get(&(c.weight, axis)).cloned().unwrap_or_else(|| vec![true; all]);
    let inputs = stays(c.input_axis(), c.depth);
    let each = c.depth / inputs.len().max(1);
    let inputs: Vec<bool> = inputs.into_iter().flat_map(|stays| vec![stays; each]).collect();
    let outputs = stays(c.channel_axis(), c.channels());
    let groups = groups.into_iter().zip(outputs.chunks(c.outputs)).filter(|(_, outputs)| outputs.contains(&true));
    groups.map(|(group, outputs)| group.part(&inputs, outputs)).collect()
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
    let moved = moved(model, pruned, kept);
    for id in pruned.graph(pruned.main()).nodes() {
        match Layer::of(pruned, *id) {
            Some(Ok(layer)) if layer.nodes().any(|n| moved.contains(&n)) => match exclude.node(pruned, *id) {
                Some(why) => refused.push((*id, Err(why))),
                None => layers.push(layer),
            },
            Some(Err(why)) if moved.contains(id) => refused.push((*id, Err(why))),
            _ => {}
        }
    }
    (layers, refused)
}

/// The nodes that sum over less than they did, and all behind them.
fn moved(model: &Model, pruned: &Model, kept: &Kept) -> BTreeSet<NodeId> {
    let (mut nodes, mut values) = (BTreeSet::new(), BTreeSet::new());
    for id in pruned.graph(pruned.main()).nodes() {
        let reads_less = model.node(*id).inputs().iter().flatten().any(|v| summed_axis_cut(model, *id, *v, kept));
        let node = pruned.node(*id);
        if reads_less || node.inputs().iter().flatten().any(|v| values.contains(v)) {
            nodes.insert(*id);
            values.extend(node.outputs().iter().flatten().copied());
        }
    }
    nodes
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
