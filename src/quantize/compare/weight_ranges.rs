//! The scale of each channel of a weight by the error of its output, not by that of the weight.
//!
//! ```text
//! s_c = argmin (ŵ_c − w_c)·H·(ŵ_c − w_c)ᵀ        ŵ_c = s·round(w_c / s), s in 0.5 … 1 × the scale that clips none, H = Σ x·xᵀ
//! ```
//!
//! With one scale for the whole weight the errors of all channels are added up. Weights that meet what is nearly always zero may be clipped
//! for the sake of the others; what the squared error of the weight cannot know.

use std::sync::Arc;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::rounding::{self, Weights, measure, with_weights};
use super::{Ground, Layer};
use crate::error::Result;
use crate::ir::Model;
use crate::quantize::plan::{QuantPlan, Rounded};
use crate::quantize::weights::QuantizedWeight;
use crate::quantize::{QParams, pairs};
use crate::second_order::Hessian;

/// Scales that are tried, and the smallest, relative to the one that clips none.
const STEPS: usize = 20;
const LEAST: f32 = 0.5;

/// `plan` with weights of 8 bits to the scales that err least on `batches`, rounded to the nearest level; how many.
///
/// # Errors
/// What the data or the runtime refuse.
pub(super) fn fit(ground: Ground, plan: &QuantPlan, batches: &[usize]) -> Result<(QuantPlan, usize)> {
    let mut found = Weights::new();
    for run in rounding::runs(ground.model, plan) {
        let hessians = measure(ground, &run, batches)?;
        let of = |(alike, hessian): (&super::Alike, &Hessian)| -> Vec<_> {
            let rounded = |layer: &Layer| {
                let start = rounding::start(ground.model, plan, layer).filter(|_| !layer.weight.is_grouped())?;
                Some((layer.node, Arc::new(best(ground.model, layer, hessian, &start)?)))
            };
            alike.iter().filter_map(rounded).collect()
        };
        found.extend(run.par_iter().zip(&hessians).flat_map_iter(of).collect::<Vec<_>>());
    }
    Ok((with_weights(plan, &found), found.len()))
}

/// The best of all scales for every channel, or for all channels where they share one.
fn best(model: &Model, layer: &Layer, hessian: &Hessian, start: &QuantizedWeight) -> Option<Rounded> {
    let c = &layer.contraction;
    let tensor = model.constant(c.weight)?;
    let weights = tensor.to_f32()?;
    let channels = c.groups * c.outputs;
    let scale = |o: usize| start.scales[if start.scales.len() > 1 { o } else { 0 }];
    let mut kept: Vec<(f64, f32)> = vec![(f64::INFINITY, 1.0); start.scales.len()];
    // What does not fit beside its neighbour is cut, which counts as any other error.
    let levels = |factor: &dyn Fn(usize) -> f32| {
        let mut levels = vec![0i32; weights.len()];
        for o in 0..channels {
            let p = layer.params(scale(o) * factor(o));
            (0..c.depth).for_each(|k| levels[c.element(o, k)] = p.quantize(weights[c.element(o, k)]));
        }
        if let Some(axis) = layer.weight.pairs {
            pairs::cut(&mut levels, tensor.shape(), axis);
        }
        levels
    };
    for step in 0..STEPS {
        let factor = 1.0 - (1.0 - LEAST) * step as f32 / STEPS as f32;
        let levels = levels(&|_| factor);
        let mut errors = vec![0f64; start.scales.len()];
        for group in 0..c.groups {
            let of = group * c.outputs..(group + 1) * c.outputs;
            let off = |o: usize| {
                let p = layer.params(scale(o) * factor);
                let (weights, levels) = (&weights, &levels);
                (0..c.depth).map(move |k| p.dequantize(levels[c.element(o, k)]) - weights[c.element(o, k)])
            };
            let off: Vec<f32> = of.clone().flat_map(off).collect();
            for (o, error) in of.zip(costs(&off, hessian.of_group(group), c.depth)) {
                errors[if start.scales.len() > 1 { o } else { 0 }] += error;
            }
        }
        for (kept, error) in kept.iter_mut().zip(errors) {
            if error < kept.0 {
                *kept = (error, factor);
            }
        }
    }
    let params: Vec<QParams> = kept.iter().zip(&start.scales).map(|((_, f), s)| layer.params(s * f)).collect();
    let levels = levels(&|o| kept[if kept.len() > 1 { o } else { 0 }].1);
    Some(Rounded { values: layer.weight.dtype.tensor(tensor.shape(), &levels), params })
}

/// e·H·eᵀ of each row e.
fn costs(rows: &[f32], h: &[f32], depth: usize) -> Vec<f64> {
    let count = rows.len() / depth;
    let mut product = vec![0f32; rows.len()];
    let [e, h] = [(rows, count), (h, depth)].map(|(v, r)| MatRef::from_row_major_slice(v, r, depth));
    matmul(MatMut::from_row_major_slice_mut(&mut product, count, depth), Accum::Replace, e, h, 1.0, Par::Seq);
    let dot = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum();
    rows.chunks(depth).zip(product.chunks(depth)).map(dot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_quadratic_forms() {
        let h = [2.0, 1.0, 1.0, 3.0];
        assert_eq!(costs(&[1.0, 0.0, 1.0, -1.0], &h, 2), [2.0, 3.0]);
    }
}
