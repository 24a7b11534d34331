//! Moves the range of an activation's large channels into the weights that read it (SmoothQuant, Xiao et al., ICML 2023).
//!
//! ```text
//! y = x·W = (x/s)·(s·W)        s_k = max|x_k|^α / max|W_k|^(1−α)        α in 0.3 … 0.9
//!
//! x ─► MatMul(W)        x ─► Mul(1/s) ─► MatMul(s·W)        all products that read x take part
//! ```
//!
//! One scale serves all channels of an activation: a few large ones leave few levels to the others, while each column of a weight has
//! a scale of its own. α is searched for every activation, by the error of its products when both sides are quantized, on rows of batches
//! that did not set the factors. The multiplication is folded into what makes x where that is exact ([`super::products`]), else it stays in the graph; it must
//! pay: [`PAYS`] dB, or any where the user insists.
//!
//! In float the model computes the same, up to rounding. Convolutions are left alone: their channels are scaled for free elsewhere.

use super::Alike;
use super::press::{power, press, squared_distance};
use super::products::{BATCHES, Seen, product, side_by_side};
use super::rescaled::{Found, Method, Rescaled, rescale};
use crate::calibrate::Range;
use crate::data::{Dataset, HELD_TO_CHOOSE, Split};
use crate::error::Result;
use crate::ir::Model;
use crate::progress::Progress;
use crate::quantize::outline::assumed;
use crate::quantize::{Granularity, QParams, QType, QuantOptions, Switch};
use crate::runtime::Runtime;

/// What the error of the products must fall by for a multiplication more.
const PAYS: f64 = 3.0;
const STRENGTHS: [f64; 7] = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// Parts of a range that are tried.
const PARTS: [f32; 5] = [1.0, 0.85, 0.7, 0.55, 0.4];

/// Smooths the activations of `model` whose products `options` would quantize, where it pays.
///
/// # Errors
/// What the data or the runtime refuse; usage, for names in `options` that do not exist.
pub fn smooth(
    model: &mut Model,
    options: &QuantOptions,
    data: (&Dataset, &dyn Runtime),
    progress: &dyn Progress,
) -> Result<Vec<Rescaled>> {
    if options.smooth == Switch::Off || !options.effective_format().is_static() {
        return Ok(Vec::new());
    }
    let method = Method {
        doing: "smoothing",
        done: "smoothed",
        suffix: "smoothed",
        least: if options.smooth == Switch::On { 0.0 } else { PAYS },
        batches: Split::of(&data.0.some(BATCHES), HELD_TO_CHOOSE),
    };
    let plan = assumed(model, options)?;
    rescale(model, &plan, &method, data, progress, |model, group, seen| Search::of(model, options, group, seen)?.best())
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
    fn of(model: &Model, options: &'a QuantOptions, group: &Alike, seen: &'a Seen) -> Option<Self> {
        let depth = group[0].contraction.depth;
        let weights =
            group.iter().map(|l| model.constant(l.contraction.weight)?.to_f32()).collect::<Option<Vec<_>>>()?;
        let weight = side_by_side(group, &weights);
        let products = product(&seen.rows, &weight, depth);
        (!seen.rows.is_empty()).then_some(Search { options, seen, weight, depth, products })
    }

    fn best(&self) -> Option<Found> {
        let plain = self.error(&vec![1.0; self.depth])?;
        let tried = STRENGTHS.iter().filter_map(|strength| {
            // By what did not set the factors: a channel that was small there by chance would be cut off where it is not.
            let error = self.error(&self.factors(*strength, &self.seen.fitted))?;
            let gain_db = 10.0 * (plain / error.max(f64::MIN_POSITIVE)).log10();
            Some(Found { factors: self.factors(*strength, &self.seen.largest), strength: *strength, gain_db })
        });
        tried.max_by(|a, b| a.gain_db.total_cmp(&b.gain_db))
    }

    fn factors(&self, strength: f64, largest: &[f32]) -> Vec<f32> {
        let columns = self.weight.len() / self.depth;
        let scale = |k: usize| {
            let x = f64::from(largest[k]);
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
