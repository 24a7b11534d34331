//! What layers read, of a model walked through once.

use std::sync::Arc;

use super::Ground;
use super::order::Gram;
use crate::error::Result;
use crate::ir::Model;
use crate::second_order::rows::{Sample, Sought, measure};
use crate::second_order::{Layer, Moments, Order, Walk};

pub const SAMPLE: Sample = Sample { each: 64, least: 1 << 15, most: 1 << 17 };
/// Samples that tell what layers read.
const SAMPLES: usize = 512;

/// The inputs of `layers` on some batches: for each of them Σ x·xᵀ of every group of its convolution.
pub fn inputs(model: &Model, layers: &[Layer], ground: Ground) -> Result<Vec<Arc<[Gram]>>> {
    let order = Order::of(model);
    let mut walk = Walk::new((model, 1), &order, (ground.dataset, ground.runtime), ground.fitted(SAMPLES))?;
    let mut places: Vec<(usize, usize)> =
        layers.iter().enumerate().filter_map(|(i, l)| Some((order.place(l.node)?, i))).collect();
    places.sort_unstable();
    let mut found: Vec<Arc<[Gram]>> = vec![Arc::from([]); layers.len()];
    ground.progress.start("reading layers", layers.len() as u64);
    for (n, (place, i)) in places.iter().enumerate() {
        let layer = &layers[*i];
        ground.progress.step(1);
        let alike = |(_, j): &&(usize, usize)| {
            let other = &layers[*j];
            other.contraction.reads_as(&layer.contraction) && other.bias.is_some() == layer.bias.is_some()
        };
        if let Some((_, same)) = places[..n].iter().find(alike) {
            found[*i] = found[*same].clone();
            continue;
        }
        walk.advance(&[model], *place)?;
        let sums = measure((&walk, model), &[Sought { layer, wanted: None }], SAMPLE, (1, &|_| 0))?;
        let gram = |m: Moments| Gram { sums: m.gram(layer.bias.is_some()), variance: m.variance() };
        found[*i] = sums.into_iter().flatten().flatten().map(gram).collect();
    }
    ground.progress.finish();
    Ok(found)
}
