//! Sums over what layers read, of a model walked through once.

use rayon::prelude::*;

use super::Ground;
use super::layer::Layer;
use crate::error::Result;
use crate::ir::{Model, Tensor};
use crate::second_order::{LeastSquares, Order, Walk};

/// Rows for each weight of an output, and the least and most in all.
const ROWS: usize = 64;
const LEAST: usize = 1 << 15;
const MOST: usize = 1 << 17;
/// Samples that tell what layers read.
const SAMPLES: usize = 512;

/// Rows of a batch, where there are so many batches.
pub fn rows_a_batch(layer: &Layer, batches: usize) -> usize {
    (ROWS * layer.contraction.depth).clamp(LEAST, MOST).div_ceil(batches.max(1))
}

/// The inputs of `layers` on some batches: for each of them the sums of every group of its convolution.
pub fn inputs(model: &Model, layers: &[Layer], ground: Ground) -> Result<Vec<Vec<LeastSquares>>> {
    let order = Order::of(model);
    let mut walk = Walk::new((model, 1), &order, (ground.dataset, ground.runtime), ground.fitted(SAMPLES))?;
    let mut places: Vec<(usize, usize)> =
        layers.iter().enumerate().filter_map(|(i, l)| Some((order.place(l.node)?, i))).collect();
    places.sort_unstable();
    let mut found: Vec<Vec<LeastSquares>> = vec![Vec::new(); layers.len()];
    ground.progress.start("reading layers", layers.len() as u64);
    for (n, (place, i)) in places.iter().enumerate() {
        let layer = &layers[*i];
        ground.progress.step(1);
        let alike = |(_, j): &&(usize, usize)| {
            layers[*j].contraction.reads_as(&layer.contraction) && layers[*j].has_bias() == layer.has_bias()
        };
        if let Some((_, same)) = places[..n].iter().find(alike) {
            found[*i] = found[*same].clone();
            continue;
        }
        walk.advance(&[model], *place)?;
        let most = rows_a_batch(layer, walk.batches());
        let rows = |batch: &usize| -> Result<Option<(Vec<f32>, usize)>> {
            let values = walk.values(*batch, model)?;
            Ok(values.first().and_then(|v| layer.contraction.rows(v.get(&layer.x)?, most)))
        };
        let mut sums = empty(layer, 0);
        for some in (0..walk.batches()).collect::<Vec<_>>().chunks(rayon::current_num_threads()) {
            for rows in some.par_iter().map(rows).collect::<Vec<_>>() {
                if let Some((x, count)) = rows? {
                    add(layer, &mut sums, count, &x, &[]);
                }
            }
        }
        found[*i] = sums;
    }
    ground.progress.finish();
    Ok(found)
}

/// Sums of nothing, one for each group.
pub fn empty(layer: &Layer, outputs: usize) -> Vec<LeastSquares> {
    let c = &layer.contraction;
    (0..c.groups).map(|_| LeastSquares::new(c.depth, outputs, layer.has_bias())).collect()
}

/// Adds rows of inputs and, where there are any, of targets.
pub fn add(layer: &Layer, sums: &mut [LeastSquares], count: usize, x: &[f32], t: &[f32]) {
    let c = &layer.contraction;
    let outputs = if t.is_empty() { 0 } else { c.outputs };
    for (g, sum) in sums.iter_mut().enumerate() {
        let x = (&x[g * c.depth..], c.groups * c.depth);
        let t = (&t[g * outputs..], c.groups * outputs);
        sum.add(count, x, t);
    }
}

/// `a` + `b` − `c`, element by element; `None` where their shapes differ.
pub fn combined(a: &Tensor, b: &Tensor, c: &Tensor) -> Option<Tensor> {
    if a.shape() != b.shape() || b.shape() != c.shape() {
        return None;
    }
    let (a_, b_, c_) = (a.to_f32()?, b.to_f32()?, c.to_f32()?);
    let values: Vec<f32> = a_.iter().zip(b_.iter()).zip(c_.iter()).map(|((a, b), c)| a + b - c).collect();
    Some(Tensor::from_vec(a.shape(), values))
}
