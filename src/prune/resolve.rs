//! Solves the weights that stay anew, layer by layer, so that the outputs of each layer stay what they were.
//!
//! ```text
//! argmin over Ŵ with the zeros of the mask, and b̂    Σ ‖Ŵ·x̂ + b̂ − t‖² + μ·‖Ŵ − W‖²        t = W·x + b + (s − ŝ)
//! ```
//!
//! x̂ is what the layer is fed in the pruned model, x in the float one; s − ŝ is the error that the other operand of a residual sum has
//! by then, which this layer makes up for. Each layer sees the pruned ones before it. (Frantar and Alistarh, "SparseGPT", ICML 2023, solve
//! the same problem for one layer; targets from the float model are those of Hubara et al., "AdaQuant", ICML 2021.)
//!
//! μ = (10⁻³ + n/N)·mean(H_kk) for n weights that stay and N rows: where rows are few to tell of many weights, these stay nearer to what
//! they were (ridge regression, Hoerl and Kennard, 1970).

use std::sync::Arc;

use rayon::prelude::*;

use super::algorithm::Algorithm;
use super::layer::{Layer, Measure, Sums, steps};
use super::plan::{Fresh, TensorPlan};
use super::{Activations, Data, Pattern};
use crate::error::Result;
use crate::ir::{GraphEdit, Model, Tensor};
use crate::progress::Progress;
use crate::second_order::moments::Centred;
use crate::second_order::{self, Order, Walk, least_squares};

/// The least μ, as a share of the mean of H_kk.
const DAMPING: f64 = 1e-3;

/// What is known of a layer when its turn comes.
pub(super) struct Known<'a> {
    pub layer: &'a second_order::Layer,
    pub plan: &'a TensorPlan,
    /// As the float model holds them.
    pub weights: &'a [f32],
    /// Of each group.
    pub moments: &'a [Centred],
}

/// Solves `layers` of `tensors` anew, or their biases alone where `algorithm` solves no weights, with the zeros that it sets; the other tensors go with the masks that they have.
/// `seen` is told of each layer, when it is solved, what meets its weights in the pruned model.
///
/// # Errors
/// What the data or the runtime refuse.
pub(super) fn resolve(
    model: &Model,
    (tensors, layers): (&mut [TensorPlan], &[Layer]),
    (data, batches): (Data, &[usize]),
    (algorithm, pattern): (&Algorithm, Pattern),
    progress: &dyn Progress,
    mut seen: impl FnMut(&TensorPlan, usize, Activations),
) -> Result<()> {
    let order = Order::of(model);
    let mut changed = model.clone();
    let solved = |i: usize| layers.iter().any(|l| l.tensor == i);
    for (_, t) in tensors.iter().enumerate().filter(|(i, t)| t.kept.is_none() && !solved(*i)) {
        t.write(&mut GraphEdit::new(&mut changed))?;
    }
    let mut walk = Walk::new((model, 2), &order, (data.dataset, data.runtime), batches.to_vec())?;
    let steps = steps(&order, layers);
    // The mean of what went is all that a bias makes up for.
    let sums = if algorithm.solves { Sums::All } else { Sums::Means };
    let mut measure = Measure::new((model, layers), &order, (data, batches), sums)?;
    progress.start("solving layers", layers.len() as u64);
    for (place, step) in &steps {
        walk.advance(&[model, &changed], *place)?;
        let moments = measure.of(&walk, step)?;
        for (layer, moments) in step.iter().zip(moments) {
            let plan = &mut tensors[layer.tensor];
            solve(model, (layer, &moments), plan, (algorithm, pattern));
            plan.write(&mut GraphEdit::new(&mut changed))?;
            seen(plan, layer.tensor, Activations { contraction: layer.solved.contraction.clone(), moments });
            progress.step(1);
        }
    }
    progress.finish();
    Ok(())
}

/// The weights of one layer, and its bias.
fn solve(
    model: &Model,
    (layer, moments): (&Layer, &[Centred]),
    plan: &mut TensorPlan,
    (algorithm, pattern): (&Algorithm, Pattern),
) {
    let Some(weights) = plan.numbers(model) else { return };
    let known = Known { layer: &layer.solved, plan, weights: &weights, moments };
    let mask = algorithm.mask(&known, pattern);
    let fresh = if algorithm.solves { known.solved(&mask) } else { Some(known.shifted(&mask)) };
    plan.mask = mask;
    plan.fresh = fresh.map(Arc::new);
}

impl Known<'_> {
    /// Zeros under this mask, and the bias that makes up for the mean of what they carried.
    pub fn shifted(&self, mask: &[bool]) -> Fresh {
        let c = &self.layer.contraction;
        let masked = self.weights.iter().zip(mask).map(|(w, gone)| if *gone { 0.0 } else { *w });
        let masked: Vec<f32> = masked.collect();
        let shift = |o: usize| {
            let row: Vec<f32> = (0..c.depth).map(|k| masked[c.element(o, k)]).collect();
            self.moments[o / c.outputs].shift(o % c.outputs, &row) as f32
        };
        let biases = self.layer.moved((0..c.channels()).map(shift));
        Fresh { weights: Tensor::from_vec(self.plan.shape.clone(), masked), biases }
    }

    /// The weights that stay under this mask, and the bias, solved anew, those of a group that sees nothing as they are; `None` where none can
    /// be.
    pub fn solved(&self, mask: &[bool]) -> Option<Fresh> {
        let Known { layer, weights, moments, .. } = self;
        let c = &layer.contraction;
        if moments.iter().all(Centred::is_still) {
            return None;
        }
        let of = |o: usize| -> Option<(Vec<f32>, f32)> {
            let m = &moments[o / c.outputs];
            let column = o % c.outputs;
            let own: Vec<f32> = (0..c.depth).map(|k| weights[c.element(o, k)]).collect();
            let support: Vec<usize> = (0..c.depth).filter(|k| !mask[c.element(o, *k)]).collect();
            let solved = match m.is_still() {
                true => support.iter().map(|k| f64::from(own[*k])).collect(),
                false => least_squares(m.h.as_ref(), |k| m.g[(k, column)], &own, &support, damping(support.len(), m))?,
            };
            let mut row = vec![0f32; c.depth];
            support.iter().zip(&solved).for_each(|(k, w)| row[*k] = *w as f32);
            let shift = m.shift(column, &row) as f32;
            Some((row, shift))
        };
        let rows: Vec<(Vec<f32>, f32)> = (0..c.channels()).into_par_iter().map(of).collect::<Option<_>>()?;
        let mut fresh = weights.to_vec();
        for (o, (row, _)) in rows.iter().enumerate() {
            row.iter().enumerate().for_each(|(k, w)| fresh[c.element(o, k)] = *w);
        }
        let biases = layer.moved(rows.iter().map(|(_, shift)| *shift));
        Some(Fresh { weights: Tensor::from_vec(self.plan.shape.clone(), fresh), biases })
    }
}

/// μ where so many weights of an output stay, as a share of the mean of H_kk.
pub(super) fn damping(stay: usize, moments: &Centred) -> f64 {
    DAMPING + stay as f64 / moments.rows().max(1) as f64
}
