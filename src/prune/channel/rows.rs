//! What layers read, at all their places, of a model walked through once.

use std::sync::Arc;

use super::Ground;
use super::order::Gram;
use crate::error::Result;
use crate::ir::Model;
use crate::second_order::places::{self, Sums};
use crate::second_order::rows::Sample;
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
    // Those that read the same are read for once.
    let mut alike: Vec<(&Layer, Vec<usize>)> = Vec::new();
    for (i, layer) in layers {
        let same = |(other, _): &&mut (&Layer, Vec<usize>)| {
            other.reads_as(layer) && other.bias.is_some() == layer.bias.is_some()
        };
        match alike.iter_mut().find(same) {
            Some((_, numbers)) => numbers.push(*i),
            None => alike.push((layer, vec![*i])),
        }
    }
    let read: Vec<&Layer> = alike.iter().map(|(layer, _)| *layer).collect();
    ground.progress.start("reading layers", layers.len() as u64);
    let sums = Sums { sample: SAMPLE, outputs: false, parts: (1, &|_| 0) };
    places::each((model, &read), (&mut walk, &order), &sums, |i, found| {
        let (layer, numbers) = &alike[i];
        let gram = |m: Moments| Gram { sums: m.gram(layer.bias.is_some()), variance: m.variance() };
        let grams: Arc<[Gram]> = found.into_iter().flatten().map(gram).collect();
        numbers.iter().for_each(|i| see(*i, grams.clone()));
        ground.progress.step(numbers.len() as u64);
    })?;
    ground.progress.finish();
    Ok(())
}
