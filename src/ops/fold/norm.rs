//! Normalization.

use super::{Inputs, input};
use crate::ir::shape::axis_of;
use crate::ir::tensor::element_count;
use crate::ir::{Node, Tensor};

/// Of float32: (x − μ) / √(σ² + ε) · scale + bias, by the statistics that are given, or in training by those of x; then these are handed on,
/// too.
pub fn batch_norm(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0).filter(|x| x.rank() > 1 && !x.is_empty())?;
    let channels = x.shape()[1];
    let of = |i: usize| -> Option<Vec<f64>> {
        let values = input(inputs, i)?.as_slice::<f32>().filter(|s| s.len() == channels)?;
        Some(values.iter().map(|v| f64::from(*v)).collect())
    };
    let (scale, bias, given) = (of(1)?, of(2)?, [of(3)?, of(4)?]);
    let values = x.as_slice::<f32>()?;
    let inner = element_count(&x.shape()[2..])?;
    let each = |i: usize| (i / inner % channels, f64::from(values[i]));
    let trains = node.int_or("training_mode", 0) != 0;
    let own = || {
        let count = (values.len() / channels) as f64;
        let mean = (0..values.len()).map(each).fold(vec![0.0; channels], |mut sums, (c, v)| {
            sums[c] += v / count;
            sums
        });
        let variance = (0..values.len()).map(each).fold(vec![0.0; channels], |mut sums, (c, v)| {
            sums[c] += (v - mean[c]).powi(2) / count;
            sums
        });
        [mean, variance]
    };
    let [mean, variance] = if trains { own() } else { given.clone() };
    let epsilon = f64::from(node.float_or("epsilon", 1e-5));
    let normal = |(c, v): (usize, f64)| ((v - mean[c]) / (variance[c] + epsilon).sqrt() * scale[c] + bias[c]) as f32;
    let y = Tensor::from_vec(x.shape(), (0..values.len()).map(each).map(normal).collect::<Vec<f32>>());
    if !trains {
        return (node.outputs().len() == 1).then(|| vec![y]);
    }
    let momentum = f64::from(node.float_or("momentum", 0.9));
    let running = given.iter().zip([&mean, &variance]).map(|(given, own)| {
        let next = given.iter().zip(own).map(|(given, own)| (given * momentum + own * (1.0 - momentum)) as f32);
        Tensor::from_vec([channels], next.collect::<Vec<f32>>())
    });
    Some(std::iter::once(y).chain(running).collect())
}

/// Of float32, over the axes from `axis` on.
pub fn layer_norm(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0).filter(|x| !x.is_empty())?;
    if node.outputs().len() != 1 {
        return None;
    }
    let axis = axis_of(node.int_or("axis", -1), x.rank())?;
    let each = element_count(&x.shape()[axis..])?;
    let of = |t: &Tensor| t.as_slice::<f32>().filter(|s| s.len() == each).map(|s| s.to_vec());
    let scale = of(input(inputs, 1)?)?;
    let bias = input(inputs, 2).map_or_else(|| Some(vec![0.0; each]), of)?;
    let epsilon = f64::from(node.float_or("epsilon", 1e-5));
    let mut values = Vec::with_capacity(x.len());
    for row in x.as_slice::<f32>()?.chunks(each) {
        let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / each as f64;
        let variance = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / each as f64;
        let normal = |v: &f32| (f64::from(*v) - mean) / (variance + epsilon).sqrt();
        values.extend(
            row.iter()
                .zip(scale.iter().zip(&bias))
                .map(|(v, (s, b))| (normal(v) * f64::from(*s) + f64::from(*b)) as f32),
        );
    }
    Some(vec![Tensor::from_vec(x.shape(), values)])
}
