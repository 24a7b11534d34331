//! Moves the range of an activation's large channels into the weights that read it (SmoothQuant, Xiao et al., ICML 2023).
//!
//! ```text
//! y = x·W = (x/s)·(s·W)        s_k = max|x_k|^α / max|W_k|^(1−α)        α in 0.3 … 0.9
//!
//! x ─► MatMul(W)        x ─► Mul(1/s) ─► MatMul(s·W)        all products that read x take part
//! ```
//!
//! One scale serves all channels of an activation: a few large ones leave few levels to the others, while each column of a weight has
//! a scale of its own. α is searched for every activation, by the error of its products when both sides are quantized, on a sample of
//! rows. The multiplication stays in the graph, where what makes x has other readers, so it must pay: [`PAYS`] dB, or any where
//! the user insists.
//!
//! In float the model computes the same, up to rounding. Convolutions are left alone: their channels are scaled for free elsewhere.

use std::collections::BTreeSet;
use std::fmt;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::pieces::Original;
use super::press::{power, press, squared_distance};
use super::samples::spread;
use super::{ROOM, contractions, packed};
use crate::calibrate::{Range, Ranges};
use crate::data::Dataset;
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NewNode, NodeId, Place, Tensor};
use crate::progress::Progress;
use crate::quantize::{Granularity, QParams, QType, QuantOptions, Switch, decide};
use crate::runtime::Runtime;
use crate::second_order::Contraction;

/// What the error of the products must fall by for a multiplication more.
const PAYS: f64 = 3.0;
const STRENGTHS: [f64; 7] = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// Rows of an activation whose products are compared, and batches that they come from.
const ROWS: usize = 512;
const BATCHES: usize = 32;
/// Parts of a range that are tried.
const PARTS: [f32; 5] = [1.0, 0.85, 0.7, 0.55, 0.4];

/// What was done to one activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Smoothed {
    pub value: String,
    /// Products that read it.
    pub products: usize,
    pub strength: f64,
    /// By how much their error falls.
    pub gain_db: f64,
}

impl fmt::Display for Smoothed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Smoothed { value, products, strength, gain_db } = self;
        write!(f, "smoothed {value} by α {strength}: its {products} products err {gain_db:.1} dB less")
    }
}

/// Smooths the activations of `model` whose products `options` would quantize, where it pays.
///
/// # Errors
/// What the data or the runtime refuse; usage, for names in `options` that do not exist.
pub fn smooth(
    model: &mut Model,
    options: &QuantOptions,
    (dataset, runtime): (&Dataset, &dyn Runtime),
    progress: &dyn Progress,
) -> Result<Vec<Smoothed>> {
    if options.smooth == Switch::Off || !options.effective_format().is_static() {
        return Ok(Vec::new());
    }
    let least = if options.smooth == Switch::On { 0.0 } else { PAYS };
    let batches = spread(&(0..dataset.batch_count()).collect::<Vec<_>>(), BATCHES);
    let mut done = Vec::new();
    for run in packed(groups(model, options)?, bytes, ROOM) {
        let seen = sample(model, &run, &batches, (dataset, runtime), progress)?;
        let found: Vec<Option<Found>> =
            run.par_iter().zip(&seen).map(|(group, seen)| Search::of(model, options, group, seen)?.best()).collect();
        for (group, found) in run.iter().zip(found) {
            let Some(found) = found.filter(|f| f.gain_db > least) else { continue };
            let value = model.name(group[0].1.input).to_string();
            apply(&mut GraphEdit::new(model), group, &found.scales);
            let Found { strength, gain_db, .. } = found;
            done.push(Smoothed { value, products: group.len(), strength, gain_db });
        }
    }
    Ok(done)
}

/// Products that read the same activation.
type Group = Vec<(NodeId, Contraction)>;

fn groups(model: &Model, options: &QuantOptions) -> Result<Vec<Group>> {
    // Which nodes are quantized does not depend on the ranges.
    let mut ranges = Ranges::default();
    for value in decide::values_to_observe(model, options) {
        ranges.ranges.insert(value, Range::new(-1.0, 1.0));
    }
    let plan = decide::plan(model, Some(&ranges), options)?;
    let products = |c: &Contraction| c.is_product() && model.constant(c.input).is_none();
    let all = contractions(model, &plan).into_iter().filter(|alike| products(&alike[0].contraction));
    Ok(all.map(|alike| alike.into_iter().map(|layer| (layer.node, layer.contraction)).collect()).collect())
}

/// Of the rows that are looked at.
fn bytes(group: &Group) -> usize {
    ROWS * group[0].1.depth * size_of::<f32>()
}

/// Of an activation: some rows, with that of the largest value of every batch among them, and the largest magnitude of each channel in all.
#[derive(Clone)]
struct Seen {
    rows: Vec<f32>,
    largest: Vec<f32>,
}

impl Seen {
    fn add(&mut self, c: &Contraction, x: &Tensor, most: usize) {
        let Some((values, (rows, _))) = x.to_f32().zip(c.rows(x, most)) else { return };
        self.rows.extend(rows);
        let mut extreme = (0f32, 0);
        for (i, row) in values.chunks_exact(c.depth).enumerate() {
            for (most, v) in self.largest.iter_mut().zip(row) {
                *most = most.max(v.abs());
                if v.abs() > extreme.0 {
                    extreme = (v.abs(), i);
                }
            }
        }
        self.rows.extend(&values[extreme.1 * c.depth..][..c.depth]);
    }
}

/// What is seen of each group's activation in all batches.
fn sample(
    model: &Model,
    run: &[Group],
    batches: &[usize],
    (dataset, runtime): (&Dataset, &dyn Runtime),
    progress: &dyn Progress,
) -> Result<Vec<Seen>> {
    let names: Vec<String> = run.iter().map(|g| model.name(g[0].1.input).to_string()).collect();
    let original = Original::new(model, &names.iter().collect::<BTreeSet<_>>());
    let session = original.session(runtime);
    let mut seen: Vec<Seen> = run.iter().map(|g| Seen { rows: Vec::new(), largest: vec![0.0; g[0].1.depth] }).collect();
    progress.start("smoothing", batches.len() as u64);
    for index in batches {
        let floats = original.values(&session, &dataset.batch(*index)?.inputs)?;
        for ((seen, group), name) in seen.iter_mut().zip(run).zip(&names) {
            if let Some(x) = floats.get(name) {
                seen.add(&group[0].1, x, ROWS.div_ceil(batches.len()));
            }
        }
        progress.step(1);
    }
    progress.finish();
    Ok(seen)
}

struct Found {
    scales: Vec<f32>,
    strength: f64,
    gain_db: f64,
}

/// One activation, the weights of all its products side by side, and what they make of it.
struct Search<'a> {
    options: &'a QuantOptions,
    seen: &'a Seen,
    /// `[depth, columns]`.
    weight: Vec<f32>,
    depth: usize,
    products: Vec<f32>,
}

impl<'a> Search<'a> {
    fn of(model: &Model, options: &'a QuantOptions, group: &Group, seen: &'a Seen) -> Option<Self> {
        let depth = group[0].1.depth;
        let columns: usize = group.iter().map(|(_, c)| c.outputs).sum();
        let mut weight = vec![0f32; depth * columns];
        let mut from = 0;
        for (_, c) in group {
            let values = model.constant(c.weight)?.to_f32()?;
            for k in 0..depth {
                (0..c.outputs).for_each(|o| weight[k * columns + from + o] = values[c.element(o, k)]);
            }
            from += c.outputs;
        }
        let products = product(&seen.rows, &weight, depth);
        (!seen.rows.is_empty()).then_some(Search { options, seen, weight, depth, products })
    }

    fn best(&self) -> Option<Found> {
        let plain = self.error(&vec![1.0; self.depth])?;
        let tried = STRENGTHS.iter().filter_map(|strength| {
            let scales = self.scales(*strength);
            let gain_db = 10.0 * (plain / self.error(&scales)?.max(f64::MIN_POSITIVE)).log10();
            Some(Found { scales, strength: *strength, gain_db })
        });
        tried.max_by(|a, b| a.gain_db.total_cmp(&b.gain_db))
    }

    fn scales(&self, strength: f64) -> Vec<f32> {
        let columns = self.weight.len() / self.depth;
        let scale = |k: usize| {
            let x = f64::from(self.seen.largest[k]);
            let w = f64::from(self.weight[k * columns..(k + 1) * columns].iter().fold(0f32, |m, v| m.max(v.abs())));
            let s = x.powf(strength) / w.powf(1.0 - strength);
            if s.is_finite() && s > 1e-6 { s as f32 } else { 1.0 }
        };
        (0..self.depth).map(scale).collect()
    }

    /// Squared error of the products with both sides quantized; `None` where a range is none.
    fn error(&self, scales: &[f32]) -> Option<f64> {
        let columns = self.weight.len() / self.depth;
        let x: Vec<f32> =
            self.seen.rows.chunks(self.depth).flat_map(|r| r.iter().zip(scales).map(|(v, s)| v / s)).collect();
        let mut w = self.weight.clone();
        w.chunks_mut(columns).zip(scales).for_each(|(row, s)| row.iter_mut().for_each(|v| *v *= s));
        let made = product(&self.pressed_input(&x)?, &self.pressed_weight(&w, columns)?, self.depth);
        Some(squared_distance(&made, &self.products).max(power(&self.products) * 1e-12))
    }

    /// With the range of least error, as calibration finds it.
    fn pressed_input(&self, x: &[f32]) -> Option<Vec<f32>> {
        let (low, high) = x.iter().fold((0f32, 0f32), |(l, h), v| (l.min(*v), h.max(*v)));
        let tried = PARTS.iter().filter_map(|part| {
            let params = self.options.activation_params(Range::new(low * part, high * part)).ok()?;
            let pressed = press(x, &params);
            Some((squared_distance(&pressed, x), pressed))
        });
        tried.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, pressed)| pressed)
    }

    fn pressed_weight(&self, w: &[f32], columns: usize) -> Option<Vec<f32>> {
        let mut largest = vec![0f32; columns];
        for row in w.chunks(columns) {
            largest.iter_mut().zip(row).for_each(|(m, v)| *m = m.max(v.abs()));
        }
        if self.options.granularity == Granularity::Tensor {
            let most = largest.iter().fold(0f32, |m, v| m.max(*v));
            largest.fill(most);
        }
        let params = largest.iter().map(|m| QParams::symmetric(Range::new(-m, *m), QType::S8).ok());
        let params: Vec<QParams> = params.collect::<Option<_>>()?;
        let level = |(v, p): (&f32, &QParams)| p.dequantize(p.quantize(*v));
        Some(w.chunks(columns).flat_map(|row| row.iter().zip(&params).map(level)).collect())
    }
}

/// `[rows, depth] × [depth, columns]`.
fn product(rows: &[f32], weight: &[f32], depth: usize) -> Vec<f32> {
    let (count, columns) = (rows.len() / depth, weight.len() / depth);
    let mut made = vec![0f32; count * columns];
    let [x, w] =
        [(rows, count, depth), (weight, depth, columns)].map(|(v, r, c)| MatRef::from_row_major_slice(v, r, c));
    matmul(MatMut::from_row_major_slice_mut(&mut made, count, columns), Accum::Replace, x, w, 1.0, Par::Seq);
    made
}

fn apply(edit: &mut GraphEdit, group: &Group, scales: &[f32]) {
    let x = group[0].1.input;
    let graph = edit.node(group[0].0).graph();
    let name = edit.name(x).to_string();
    let inverse = scales.iter().map(|s| 1.0 / s).collect();
    let factor = edit.add_initializer(graph, &format!("{name}_smoothing"), Tensor::from_vec([scales.len()], inverse));
    let mul = NewNode::new("Mul").name(format!("{name}_smooth")).input(x).input(factor);
    let mul = edit.insert(Place::Before(group[0].0), mul.output(format!("{name}_smoothed"), None));
    let Some(smoothed) = edit.node(mul).output(0) else { return };
    for (node, c) in group {
        let Some((shape, Some(mut values))) =
            edit.constant(c.weight).map(|t| (t.shape().to_vec(), t.to_f32().map(|v| v.into_owned())))
        else {
            continue;
        };
        for (k, scale) in scales.iter().enumerate() {
            (0..c.outputs).for_each(|o| values[c.element(o, k)] *= scale);
        }
        let index = edit.node(*node).inputs().iter().position(|v| *v == Some(x));
        let (Some(index), Some(weight)) = (index, edit.node(*node).inputs().iter().position(|v| *v == Some(c.weight)))
        else {
            continue;
        };
        let scaled =
            edit.add_initializer(graph, &format!("{}_smoothed", edit.name(c.weight)), Tensor::from_vec(shape, values));
        edit.set_input(*node, weight, Some(scaled));
        edit.set_input(*node, index, Some(smoothed));
        // Else every session would load it too.
        edit.remove_unread_initializer(c.weight);
    }
}
