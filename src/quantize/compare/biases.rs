//! Takes from each bias what quantization adds to its channel on average.
//!
//! ```text
//! b'_c = b_c − k·Δ_c        Δ_c = mean over samples of (ŷ_c − y_c)        k = max(0, 1 − σ²_c / (n·Δ_c²))
//! ```
//!
//! ŷ is what a quantized operator makes of float values that are quantized (the model is cut there, so that no error is
//! inherited and one run serves all layers), y the float output, both averaged over all but the channel. Where
//! a value is nearly constant, as over the background of a picture, rounding errs to one side everywhere; that survives
//! every later average, while errors of both signs cancel. σ²_c is the variance of Δ_c from sample to sample: what could
//! be the chance of n samples is not corrected (James and Stein's factor).
//!
//! Only where the operator has room for a bias.

use std::collections::{BTreeMap, BTreeSet};

use super::pieces::{Original, Part, Pieces};
use super::{Ground, as_pressed, each};
use crate::error::{Error, Result};
use crate::ir::{Model, NodeId, Tensor, ValueId};
use crate::ops::{self, QuantRule};
use crate::progress::Silent;
use crate::quantize::plan::{Decision, QuantPlan};
use crate::runtime::Shaped;

/// Measures the corrections for each of `plans`, made for the model with different ranges, and writes them into it.
/// Whether there is anything to correct.
///
/// # Errors
/// What the data or the runtime refuse.
pub fn correct(ground: Ground, plans: &mut [QuantPlan], batches: &[usize]) -> Result<bool> {
    let Some(first) = plans.first() else { return Ok(false) };
    let layers = layers(ground.model, first);
    if layers.is_empty() || batches.is_empty() {
        return Ok(false);
    }
    // Weights do not depend on ranges, but for the few whose bias needs a larger scale.
    let weights = QuantPlan { activations: Vec::new(), ..uncorrected(first) };
    let pieces = Pieces::cut(&as_pressed(ground.model, &weights)?, first);
    let mut shifts = measure(ground, &pieces, &layers, plans, batches)?;
    for (plan, shifts) in plans.iter_mut().zip(&mut shifts) {
        for node in &mut plan.nodes {
            if let Decision::Quantize { shift, .. } = &mut node.decision {
                *shift = shifts.remove(&node.id);
            }
        }
    }
    Ok(true)
}

/// The plan without its corrections.
pub fn uncorrected(plan: &QuantPlan) -> QuantPlan {
    let mut plan = plan.clone();
    for node in &mut plan.nodes {
        if let Decision::Quantize { shift, .. } = &mut node.decision {
            *shift = None;
        }
    }
    plan
}

/// A quantized contraction that can have a bias.
pub struct Layer {
    node: NodeId,
    pub y: ValueId,
    pub name: String,
    /// Whether its channels are the second axis of its output, not the last.
    convolves: bool,
}

/// Those of a plan.
pub fn layers(model: &Model, plan: &QuantPlan) -> Vec<Layer> {
    let quantized = plan.nodes.iter().filter(|n| matches!(n.decision, Decision::Quantize { .. }));
    let layer = |id: NodeId| {
        let node = model.node(id);
        let QuantRule::Weighted { weight, bias: Some(_), .. } = ops::of(node)?.quant else { return None };
        let convolves = model.constant_input(id, weight)?.rank() > 2;
        let y = node.output(0)?;
        let here = node.graph() == model.main() && !model.is_output(y);
        here.then(|| Layer { node: id, y, name: model.name(y).to_string(), convolves })
    };
    quantized.filter_map(|n| layer(n.id)).collect()
}

/// Of each plan, the corrections of `layers`.
fn measure(
    ground: Ground,
    pieces: &Pieces,
    layers: &[Layer],
    plans: &[QuantPlan],
    batches: &[usize],
) -> Result<Vec<BTreeMap<NodeId, Vec<f32>>>> {
    let names: Vec<&str> = layers.iter().map(|l| l.name.as_str()).collect();
    let groups: Vec<Vec<&Layer>> =
        ground.groups(&names).iter().map(|g| g.iter().map(|i| &layers[*i]).collect()).collect();
    let part = |group: &Vec<&Layer>| {
        let outputs: BTreeSet<ValueId> = group.iter().map(|l| l.y).collect();
        pieces.part(&outputs.into_iter().collect::<Vec<_>>())
    };
    let parts: Vec<Part> = groups.iter().map(part).collect();
    let names: BTreeSet<&String> = parts.iter().flat_map(Part::needs).chain(layers.iter().map(|l| &l.name)).collect();
    let original = Original::new(ground.model, &names);
    let whole = original.session(ground.runtime);
    let sessions: Vec<Shaped> = parts.iter().map(|p| Shaped::new(ground.runtime, &p.model, &[])).collect();
    let beside = ground.beside(names.iter().copied());
    // Of each plan, of each layer, of each sample.
    let seen = each("correcting biases", batches, ground.held(names.iter().copied()), ground.progress, |index| {
        let batch = ground.dataset.batch(*index)?;
        let floats = original.values(&whole, &batch.inputs)?;
        let runs: Vec<(usize, usize)> =
            (0..plans.len()).flat_map(|plan| (0..parts.len()).map(move |part| (plan, part))).collect();
        let made = each("", &runs, beside, &Silent, |(plan, part)| {
            let of_value = |id: ValueId| plans[*plan].activations.iter().find(|a| a.id == id);
            let params = |cut: usize| of_value(pieces.cuts[cut].id).map(|a| &a.params);
            let made = sessions[*part].run(&parts[*part].fed(&floats, &batch.inputs, params)?)?;
            let of_layer = |layer: &&Layer| {
                let missing = || Error::runtime(format!("value \"{}\" was not observed", layer.name));
                let y = floats.get(&layer.name).ok_or_else(missing)?;
                let (_, pressed) = made.iter().find(|(name, _)| *name == layer.name).ok_or_else(missing)?;
                Ok(shifts(y, pressed, layer.convolves))
            };
            groups[*part].iter().map(of_layer).collect::<Result<Vec<_>>>()
        })?;
        // The groups of a plan, one after the other, hold the layers in their order.
        Ok(made.chunks(parts.len()).map(<[_]>::concat).collect::<Vec<_>>())
    })?;
    let correction = |p: usize, (i, layer): (usize, &Layer)| {
        let samples: Vec<&Vec<f64>> = seen.iter().flat_map(|batch| &batch[p][i]).collect();
        (layer.node, certain(&samples))
    };
    Ok((0..plans.len()).map(|p| layers.iter().enumerate().map(|l| correction(p, l)).collect()).collect())
}

/// The mean of ŷ − y per sample and channel.
fn shifts(y: &Tensor, pressed: &Tensor, convolves: bool) -> Vec<Vec<f64>> {
    let (Some(a), Some(b)) = (y.to_f32(), pressed.to_f32()) else { return Vec::new() };
    let shape = y.shape();
    if a.len() != b.len() || shape.len() < 2 || a.is_empty() {
        return Vec::new();
    }
    let samples = shape[0];
    let (channels, inner) = match convolves {
        true => (shape[1], shape[2..].iter().product()),
        false => (shape[shape.len() - 1], 1),
    };
    let per_sample = a.len() / samples;
    let count = (per_sample / channels) as f64;
    let sample = |(a, b): (&[f32], &[f32])| {
        let mut sums = vec![0f64; channels];
        for (i, (a, b)) in a.chunks(inner).zip(b.chunks(inner)).enumerate() {
            sums[i % channels] += a.iter().zip(b).map(|(a, b)| f64::from(b - a)).sum::<f64>();
        }
        sums.iter().map(|s| s / count).collect()
    };
    a.chunks(per_sample).zip(b.chunks(per_sample)).map(sample).collect()
}

/// What to add to each channel: minus its mean shift, as far as that is no chance of these samples.
fn certain(samples: &[&Vec<f64>]) -> Vec<f32> {
    let n = samples.len() as f64;
    let channels = samples.first().map_or(0, |s| s.len());
    let of = |c: usize| {
        let mean = samples.iter().map(|s| s[c]).sum::<f64>() / n;
        let variance = samples.iter().map(|s| (s[c] - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let sure = 1.0 - variance / (n * mean * mean);
        if sure > 0.0 { (-mean * sure) as f32 } else { 0.0 }
    };
    (0..channels).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_are_averaged_over_all_but_sample_and_channel() {
        let y = Tensor::from_vec([2, 2, 2], vec![0.0f32; 8]);
        let pressed = Tensor::from_vec([2, 2, 2], vec![1.0f32, 3.0, 0.0, 0.0, -1.0, -1.0, 4.0, 0.0]);
        assert_eq!(shifts(&y, &pressed, true), [[2.0, 0.0], [-1.0, 2.0]]);
        assert_eq!(shifts(&y, &pressed, false), [[0.5, 1.5], [1.5, -0.5]]);
    }

    #[test]
    fn only_what_is_no_chance_is_corrected() {
        let samples = [vec![1.0, 1.0, 0.0], vec![1.0, -1.0, 0.0], vec![1.0, 0.9, 0.0], vec![1.0, -0.8, 0.0]];
        let found = certain(&samples.iter().collect::<Vec<_>>());
        assert_eq!(found, [-1.0, 0.0, 0.0]);
        // One sample tells nothing.
        assert_eq!(certain(&[&vec![1.0]]), [0.0]);
    }
}
