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

use rayon::prelude::*;

use super::Ground;
use super::layer::Layer;
use super::rows::{add, combined, empty, rows_a_batch};
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId, Tensor, Use, ValueId};
use crate::ops::{self, QuantRule};
use crate::prune::shrink::{Kept, cut_value};
use crate::second_order::walk::Values;
use crate::second_order::{LeastSquares, Order, Walk};

const DAMPINGS: [f64; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];
/// Where no batch can be held back.
const UNJUDGED: f64 = 1e-2;
/// Every so many batches, one is held back.
const HELD: usize = 4;

/// A layer with its new weights, or why it keeps those it has.
pub type Outcome = std::result::Result<(Layer, Vec<f32>), String>;

/// Solves the layers of `pruned`, the cut `model`, whose inputs are not what they were.
pub fn compensate(model: &Model, pruned: &mut Model, kept: &Kept, ground: Ground) -> Result<Vec<(NodeId, Outcome)>> {
    let (mut layers, mut solved) = layers(model, pruned, kept);
    let order = Order::of(model);
    layers.retain(|l| order.place(l.node).is_some());
    layers.sort_by_key(|l| order.place(l.node));
    let walk = || Walk::new((model, 1), &order, (ground.dataset, ground.runtime), ground.all());
    let (mut float, mut walk) = (walk()?, walk()?);
    ground.progress.start("solving for what is left", layers.len() as u64);
    for layer in &layers {
        let Some(place) = order.place(layer.node) else { continue };
        walk.advance(&[pruned], place)?;
        // One node further, where its output waits.
        float.advance(&[model], place + 1)?;
        let others = others(pruned, layer, &order);
        let outcome = solve(
            pruned,
            layer,
            &others,
            |i| Ok((float.values(i, model)?, walk.values(i, pruned)?)),
            walk.batches(),
            kept,
        )?;
        let outcome = outcome.map(|(damping, weights)| {
            tracing::debug!("{}: damping {damping:e}", pruned.node_label(layer.node));
            layer.set(&mut GraphEdit::new(pruned), &weights);
            (layer.clone(), weights)
        });
        solved.push((layer.node, outcome));
        ground.progress.step(1);
    }
    ground.progress.finish();
    Ok(solved)
}

/// What waits of a batch in the float model and in the pruned one.
type Pair = (Vec<Values>, Vec<Values>);

fn solve(
    pruned: &Model,
    layer: &Layer,
    others: &[ValueId],
    pair: impl Fn(usize) -> Result<Pair> + Sync,
    batches: usize,
    kept: &Kept,
) -> Result<std::result::Result<(f64, Vec<f32>), String>> {
    let c = &layer.contraction;
    let most = rows_a_batch(layer, batches);
    let rows = |(theirs, ours): &Pair| {
        let (theirs, ours) = (theirs.first()?, ours.first()?);
        let mut target = cut_value(theirs.get(&layer.y)?, layer.y, kept)?;
        for other in others {
            target = combined(&target, &cut_value(theirs.get(other)?, *other, kept)?, ours.get(other)?)?;
        }
        let input = ours.get(&layer.x)?;
        let (x, count) = c.rows(input, most)?;
        Some((x, c.at_rows(&target, input.shape(), most)?, count))
    };
    let (mut fit, mut judge) = (empty(layer, c.outputs), empty(layer, c.outputs));
    let numbers: Vec<usize> = (0..batches).collect();
    for some in numbers.chunks(rayon::current_num_threads()) {
        let found: Vec<Result<_>> = some.par_iter().map(|i| Ok((*i, rows(&pair(*i)?)))).collect();
        for found in found {
            let (i, Some((x, t, count))) = found? else {
                return Ok(Err("its values have other shapes than its weight expects".into()));
            };
            let held = i % HELD == HELD - 1 || (batches < HELD && i > 0 && i + 1 == batches);
            add(layer, if held { &mut judge } else { &mut fit }, count, &x, &t);
        }
    }
    Ok(best(pruned, layer, fit, &judge))
}

/// The weights that serve `judge` best, from all sums.
fn best(
    pruned: &Model,
    layer: &Layer,
    mut fit: Vec<LeastSquares>,
    judge: &[LeastSquares],
) -> std::result::Result<(f64, Vec<f32>), String> {
    let c = &layer.contraction;
    let present = layer.weights(pruned).ok_or("its weights are no floats")?;
    let size = c.outputs * layer.width();
    let of_group = |g: usize| &present[g * size..][..size];
    let all = |sums: &[LeastSquares], damping: f64| -> Option<Vec<f32>> {
        let solved = sums.iter().enumerate().map(|(g, sum)| sum.solve(of_group(g), damping));
        Some(solved.collect::<Option<Vec<_>>>()?.concat())
    };
    let error = |weights: &[f32]| -> f64 { judge.iter().zip(weights.chunks(size)).map(|(j, w)| j.error(w)).sum() };
    let unseen = || "nothing reaches it".to_string();
    if judge.iter().all(|j| j.rows == 0) {
        return all(&fit, UNJUDGED).map(|w| (UNJUDGED, w)).ok_or_else(unseen);
    }
    let tried = DAMPINGS.par_iter().filter_map(|d| Some((*d, error(&all(&fit, *d)?))));
    let best = tried.collect::<Vec<_>>().into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).ok_or_else(unseen)?;
    if best.1 >= error(&present) {
        return Err("no other weights serve data held back better".into());
    }
    fit.iter_mut().zip(judge).for_each(|(f, j)| f.merge(j));
    all(&fit, best.0).map(|w| (best.0, w)).ok_or_else(unseen)
}

/// The layers of the main graph whose input, as `kept` says, is not what it was; and those that cannot be solved for.
fn layers(model: &Model, pruned: &Model, kept: &Kept) -> (Vec<Layer>, Vec<(NodeId, Outcome)>) {
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
            Some(Ok(layer)) => layers.push(layer),
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

/// The values of the shape of the layer's output that are added to it, and that are final before it is solved.
fn others(pruned: &Model, layer: &Layer, order: &Order) -> Vec<ValueId> {
    let shape = pruned.tensor_type(layer.y).shape;
    let mut found = Vec::new();
    let mut at = layer.y;
    while let [Use::Node { node, .. }] = pruned.uses(at) {
        let n = pruned.node(*node);
        let others = n.inputs().iter().flatten().filter(|v| **v != at && pruned.constant(**v).is_none());
        let others: Vec<ValueId> = others.copied().collect();
        let fits =
            |v: &ValueId| shape.is_some() && pruned.tensor_type(*v).shape == shape && order.is_there(*v, layer.node);
        if !ops::of(n).is_some_and(|op| op.sums) || !others.iter().all(fits) {
            break;
        }
        found.extend(others);
        let Some(next) = n.output(0) else { break };
        at = next;
    }
    found
}
