//! Takes from each bias what quantization adds to its channel on average.
//!
//! ```text
//! b'_c = b_c − k·Δ_c        Δ_c = mean over samples of (ŷ_c − y_c)        k = max(0, 1 − σ²_c / (n·Δ_c²))
//! ```
//!
//! ŷ is what the quantized operators make of the float outputs of the contractions before (the model is cut there, so that
//! no error is inherited and one run serves all layers), y the float output, both averaged over all but the channel. Where
//! a value is nearly constant, as over the background of a picture, rounding errs to one side everywhere; that survives
//! every later average, while errors of both signs cancel. σ²_c is the variance of Δ_c from sample to sample: what could
//! be the chance of n samples is not corrected (James and Stein's factor).
//!
//! Only where the operator has room for a bias.

use std::collections::{BTreeMap, HashMap};

use super::{as_qdq, each_batch, spread};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::{DType, GraphEdit, Model, NodeId, Tensor, TensorType, Type, ValueId};
use crate::ops::{self, QuantRule};
use crate::progress::Progress;
use crate::quantize::plan::{Decision, QuantPlan};
use crate::runtime::{Runtime, Shaped};

/// Twice the batches: a mean of every channel needs more samples than one number for the whole.
const FACTOR: usize = 2;

/// Measures the corrections for `plan`, made for `model`, and writes them into it.
///
/// # Errors
/// What the data or the runtime refuse.
pub fn correct(
    model: &Model,
    plan: &mut QuantPlan,
    data: (&Dataset, &dyn Runtime),
    batches: usize,
    progress: &dyn Progress,
) -> Result<()> {
    let layers = layers(model, plan);
    if layers.is_empty() || !plan.options.effective_format().is_static() {
        return Ok(());
    }
    let shifts = measure(model, plan, &layers, data, FACTOR * batches, progress)?;
    for node in &mut plan.nodes {
        if let Decision::Quantize { shift, .. } = &mut node.decision {
            *shift = shifts.get(&node.id).cloned();
        }
    }
    Ok(())
}

/// A quantized contraction that can have a bias.
struct Layer {
    node: NodeId,
    y: ValueId,
    name: String,
    /// Whether its channels are the second axis of its output, not the last.
    convolves: bool,
}

fn layers(model: &Model, plan: &QuantPlan) -> Vec<Layer> {
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

fn measure(
    model: &Model,
    plan: &QuantPlan,
    layers: &[Layer],
    (dataset, runtime): (&Dataset, &dyn Runtime),
    batches: usize,
    progress: &dyn Progress,
) -> Result<BTreeMap<NodeId, Vec<f32>>> {
    let (cut, fed) = pieces(model, plan, layers)?;
    let taps: Vec<String> = layers.iter().map(|l| l.name.clone()).collect();
    let whole = Shaped::new(runtime, model, &taps, 1);
    let cut = Shaped::new(runtime, &cut, &[], 1);
    let batches = spread(dataset, batches);
    let seen = each_batch("correcting biases", &batches, progress, |index| {
        let batch = dataset.batch(index)?;
        let floats: HashMap<String, Tensor> = whole.run(&batch.inputs)?.into_iter().collect();
        let mut inputs = batch.inputs;
        for (layer, fed) in layers.iter().zip(&fed) {
            let missing = || Error::runtime(format!("value \"{}\" was not observed", layer.name));
            inputs.push((fed.clone(), floats.get(&layer.name).cloned().ok_or_else(missing)?));
        }
        let made = cut.run(&inputs)?;
        let shifts: Vec<Vec<Vec<f64>>> = layers
            .iter()
            .zip(&made)
            .map(|(layer, (_, pressed))| shifts(&floats[&layer.name], pressed, layer.convolves))
            .collect();
        Ok((shifts, 3 * floats.values().map(Tensor::byte_len).sum::<usize>()))
    })?;
    let correction = |(i, layer): (usize, &Layer)| {
        let samples: Vec<&Vec<f64>> = seen.iter().flat_map(|batch| &batch[i]).collect();
        (layer.node, certain(&samples))
    };
    Ok(layers.iter().enumerate().map(correction).collect())
}

/// The quantized model, cut at the outputs of its layers; the inputs that feed what reads these.
fn pieces(model: &Model, plan: &QuantPlan, layers: &[Layer]) -> Result<(Model, Vec<String>)> {
    let mut cut = as_qdq(model, plan)?;
    let mut edit = GraphEdit::new(&mut cut);
    let main = edit.main();
    edit.clear_graph_outputs(main);
    let mut fed = Vec::new();
    for layer in layers {
        let name = edit.fresh_name(&format!("{}_float", layer.name));
        let ty = TensorType { dtype: Some(DType::F32), shape: edit.tensor_type(layer.y).shape };
        let input = edit.new_value(name.clone(), Some(Type::tensor(&ty)));
        edit.add_graph_input(main, input);
        edit.replace_node_uses(layer.y, input);
        edit.add_graph_output(main, layer.y);
        fed.push(name);
    }
    Ok((cut, fed))
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
