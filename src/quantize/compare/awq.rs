//! The search of [AWQ](crate::quantize::algorithm): factors of input channels, and the ranges of weights that meet them.
//!
//! ```text
//! scale    x, W ─► α of least error ─► W·s, with 1/s in what makes x or in a Mul        the model computes the same
//! round    rows of x/s ─► for each weight the nearer of: whole ranges, ranges clipped by E[x²]
//! ```
//!
//! Both take rows of the float model's activations. Factors that are not folded cost a Mul, so they must pay: [`PAYS`] dB.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use super::press::power;
use super::products::{BATCHES, Seen, bytes, groups_of, product, sample, side_by_side};
use super::rescaled::{Found, Method, Rescaled, rescale};
use super::rounding::{Weights, with_weights};
use super::{Alike, Layer, ROOM};
use crate::data::{Dataset, HELD_TO_CHOOSE, Split, spread};
use crate::error::Result;
use crate::ir::Model;
use crate::progress::Progress;
use crate::quantize::algorithm::{self, Algorithm, ByData, NEAREST};
use crate::quantize::plan::{QuantPlan, Rounded};
use crate::quantize::{Format, QuantOptions, grouped, plan};
use crate::runtime::{Runtime, neighbours};

/// Strengths α that are tried: 0, 1/20, …, 1.
const STEPS: usize = 20;
/// What the error of the products must fall by for a multiplication more.
const PAYS: f64 = 0.2;

/// Scales the activations of `model` whose products `options` would quantize by AWQ, where it pays; nothing for other algorithms.
///
/// # Errors
/// What the data or the runtime refuse; usage, for names in `options` that do not exist.
pub fn scale(
    model: &mut Model,
    options: &QuantOptions,
    data: (&Dataset, &dyn Runtime),
    progress: &dyn Progress,
) -> Result<Vec<Rescaled>> {
    let wanted = algorithm::find(&options.algorithm)?.by_data == ByData::Scaled;
    if !wanted || options.effective_format() != Format::WeightOnly {
        return Ok(Vec::new());
    }
    let planned = plan(model, None, options)?;
    let method =
        Method { doing: "scaling weights", done: "awq scaled", suffix: "scaled", least: PAYS, batches: whole(data.0) };
    rescale(model, &planned, &method, data, progress, |model, group, seen| Products::of(model, group, seen)?.best())
}

/// `plan` with the weights of its products rounded to the ranges that their inputs ask for; how many.
///
/// # Errors
/// What the data or the runtime refuse.
pub(super) fn round(
    model: &Model,
    plan: &QuantPlan,
    data: (&Dataset, &dyn Runtime),
    progress: &dyn Progress,
) -> Result<(QuantPlan, usize)> {
    let algorithm = algorithm::find(&plan.options.algorithm)?;
    let mut rounded = Weights::new();
    for run in neighbours(groups_of(model, plan), bytes, ROOM) {
        let seen = sample(model, &run, &whole(data.0), data, ("rounding weights", progress))?;
        let of = |(group, seen): (&Alike, &Seen)| -> Vec<_> {
            let found = |layer: &Layer| Some((layer.node, Arc::new(nearer(model, layer, seen, algorithm)?)));
            group.iter().filter_map(found).collect()
        };
        rounded.extend(run.par_iter().zip(&seen).flat_map_iter(of).collect::<Vec<_>>());
    }
    Ok((with_weights(plan, &rounded), rounded.len()))
}

/// Batches that are not held back: fitted to, and judged on.
fn whole(dataset: &Dataset) -> Split {
    let fit = spread(&dataset.split(HELD_TO_CHOOSE).fit, BATCHES);
    Split { judge: fit.clone(), fit }
}

/// The weight of `layer` with whole ranges or clipped ones: what multiplies `seen` with the smaller error.
fn nearer(model: &Model, layer: &Layer, seen: &Seen, algorithm: &Algorithm) -> Option<Rounded> {
    let c = &layer.contraction;
    let tensor = model.constant(c.weight)?;
    let weights = tensor.to_f32()?;
    let groups = layer.weight.sharing().groups(tensor.shape());
    let mut squares = vec![0f32; c.depth];
    seen.rows.chunks(c.depth).for_each(|row| squares.iter_mut().zip(row).for_each(|(s, x)| *s += x * x));
    let mut importance = vec![0f32; weights.len()];
    for k in 0..c.depth {
        (0..c.outputs).for_each(|o| importance[c.element(o, k)] = squares[k]);
    }
    let every: Vec<usize> = (0..groups.count()).collect();
    let tried = [NEAREST, algorithm].map(|rule| {
        let params = grouped::params(&weights, &importance, &groups, &every, layer.weight, rule);
        let levels: Vec<i32> = weights.iter().enumerate().map(|(i, w)| params[groups.of(i)].quantize(*w)).collect();
        let off: Vec<f32> =
            (0..weights.len()).map(|i| params[groups.of(i)].dequantize(levels[i]) - weights[i]).collect();
        let error = product(&seen.rows, &side_by_side(std::slice::from_ref(layer), &[off.into()]), c.depth);
        (power(&error), params, levels)
    });
    let best = tried.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(Rounded { params: best.1, values: layer.weight.dtype.tensor(tensor.shape(), &best.2) })
}

/// The products of one activation, and what is seen of that.
struct Products<'a> {
    group: &'a Alike<'a>,
    seen: &'a Seen,
    shapes: Vec<Vec<usize>>,
    weights: Vec<Cow<'a, [f32]>>,
    /// Mean |x| of each channel.
    means: Vec<f32>,
}

impl<'a> Products<'a> {
    fn of(model: &'a Model, group: &'a Alike<'a>, seen: &'a Seen) -> Option<Self> {
        let depth = group[0].contraction.depth;
        let tensors = group.iter().map(|l| model.constant(l.contraction.weight)).collect::<Option<Vec<_>>>()?;
        let shapes = tensors.iter().map(|t| t.shape().to_vec()).collect();
        let weights = tensors.iter().map(|t| t.to_f32()).collect::<Option<Vec<_>>>()?;
        let mut means = vec![0f32; depth];
        seen.rows.chunks(depth).for_each(|row| means.iter_mut().zip(row).for_each(|(m, x)| *m += x.abs()));
        let count = (seen.rows.len() / depth).max(1) as f32;
        means.iter_mut().for_each(|m| *m /= count);
        (!seen.rows.is_empty()).then_some(Products { group, seen, shapes, weights, means })
    }

    fn best(&self) -> Option<Found> {
        let plain = self.error(&vec![1.0; self.means.len()]);
        let tried = (1..=STEPS).map(|step| {
            let strength = step as f64 / STEPS as f64;
            let factors = self.factors(strength);
            let gain_db = 10.0 * (plain / self.error(&factors).max(f64::MIN_POSITIVE)).log10();
            Found { factors, strength, gain_db }
        });
        tried.max_by(|a, b| a.gain_db.total_cmp(&b.gain_db))
    }

    fn factors(&self, strength: f64) -> Vec<f32> {
        let raised: Vec<f64> = self.means.iter().map(|a| f64::from(a.max(1e-4)).powf(strength)).collect();
        let (low, high) = raised.iter().fold((f64::INFINITY, 0f64), |(l, h), v| (l.min(*v), h.max(*v)));
        raised.iter().map(|v| (v / (low * high).sqrt()) as f32).collect()
    }

    /// ‖(x/s)·Q(s·W) − x·W‖² of all products.
    fn error(&self, factors: &[f32]) -> f64 {
        let depth = factors.len();
        let off = |((layer, values), shape): ((&Layer, &Cow<'a, [f32]>), &Vec<usize>)| -> Cow<'a, [f32]> {
            let c = &layer.contraction;
            let mut scaled = values.to_vec();
            for (k, factor) in factors.iter().enumerate() {
                (0..c.outputs).for_each(|o| scaled[c.element(o, k)] *= factor);
            }
            let rounded = grouped::floats(&scaled, shape, layer.weight, NEAREST);
            let mut off = rounded.to_f32().unwrap_or_default().into_owned();
            for (k, factor) in factors.iter().enumerate() {
                for o in 0..c.outputs {
                    let i = c.element(o, k);
                    off[i] = off[i] / factor - values[i];
                }
            }
            off.into()
        };
        let off: Vec<Cow<[f32]>> = self.group.iter().zip(&self.weights).zip(&self.shapes).map(off).collect();
        power(&product(&self.seen.rows, &side_by_side(self.group, &off), depth))
    }
}
