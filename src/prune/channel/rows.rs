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

/// Hands `see` what `layers` read on some batches, one after the other in the order in which the model runs them: the number of the layer, and
/// Σ x·xᵀ of every group of its convolution.
pub fn inputs(
    model: &Model,
    layers: &[(usize, &Layer)],
    ground: Ground,
    mut see: impl FnMut(usize, Arc<[Gram]>),
) -> Result<()> {
    let order = Order::of(model);
    let mut walk = Walk::new((model, 1), &order, (ground.dataset, ground.runtime), ground.fitted(SAMPLES))?;
    let mut places: Vec<(usize, usize, &Layer)> =
        layers.iter().filter_map(|(i, l)| Some((order.place(l.node)?, *i, *l))).collect();
    places.sort_unstable_by_key(|(place, i, _)| (*place, *i));
    ground.progress.start("reading layers", layers.len() as u64);
    let mut last: Option<(&Layer, Arc<[Gram]>)> = None;
    for (place, i, layer) in places {
        ground.progress.step(1);
        let alike = |(other, _): &(&Layer, Arc<[Gram]>)| {
            other.contraction.reads_as(&layer.contraction) && other.bias.is_some() == layer.bias.is_some()
        };
        // Those that read the same come one after the other, mostly.
        let grams = match last.take().filter(alike) {
            Some((_, grams)) => grams,
            None => {
                walk.advance(&[model], place)?;
                let sums = measure((&walk, model), &[Sought { layer, wanted: None }], SAMPLE, (1, &|_| 0))?;
                let gram = |m: Moments| Gram { sums: m.gram(layer.bias.is_some()), variance: m.variance() };
                sums.into_iter().flatten().flatten().map(gram).collect()
            }
        };
        see(i, grams.clone());
        last = Some((layer, grams));
    }
    ground.progress.finish();
    Ok(())
}
