//! Gradients: each operator's rule against central differences, whole models against gradients that PyTorch computed.

mod activations;
mod convolutions;
mod criteria;
mod elementwise;
mod engine;
mod layouts;
mod models;
mod norms;
mod products;
mod reductions;
mod rounding;

use onnxpress::gradient::{Gradient, Loss, Weights, differentiate};
use onnxpress::ir::{DType, Model, Tensor, text};
use onnxpress::runtime::{LoadOptions, RUNTIMES, Rewrites, Runtime, Session};
use proptest::test_runner::TestCaseError;

/// Half the distance of the two points of a difference.
const STEP: f32 = 0.01;
/// What rounding and curvature may add, of the greatest gradient.
const TOLERANCE: f64 = 4e-3;
/// Elements of an input that are moved at most.
const MOVED: usize = 16;

/// What the inputs of a check hold.
#[derive(Clone, Copy)]
pub enum Fill {
    /// Between −1.5 and 1.5.
    Smooth,
    /// On a grid of 0.05 that lies 0.023 beside zero, none twice: nothing is within a step of a kink, nothing ties.
    Apart,
    /// Between 0.5 and 1.5.
    Positive,
}

/// SplitMix64.
pub fn noise(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn filled(fill: Fill, count: usize, seed: &mut u64) -> Vec<f32> {
    match fill {
        Fill::Smooth => (0..count).map(|_| (noise(seed) * 3.0 - 1.5) as f32).collect(),
        Fill::Positive => (0..count).map(|_| (noise(seed) + 0.5) as f32).collect(),
        Fill::Apart => {
            let mut values: Vec<f32> = (0..count).map(|i| (i as f32 - (count / 2) as f32) * 0.05 + 0.023).collect();
            for i in (1..count).rev() {
                values.swap(i, (noise(seed) * (i + 1) as f64) as usize);
            }
            values
        }
    }
}

/// The gradients of every float input of a model in ONNX text syntax, against central differences, in every runtime
/// that runs the model.
pub fn check(source: &str, fill: Fill, mut seed: u64) -> Result<(), TestCaseError> {
    let failed = |what: String| TestCaseError::fail(format!("{what}\n{source}"));
    let model = text::parse(source).map_err(|e| failed(e.to_string()))?;
    let inputs: Vec<(String, Tensor)> = model
        .user_inputs()
        .into_iter()
        .filter(|v| model.tensor_type(*v).dtype == Some(DType::F32))
        .map(|v| {
            let shape = model.tensor_type(v).known_shape().unwrap();
            let values = filled(fill, shape.iter().product(), &mut seed);
            (model.name(v).to_string(), Tensor::from_vec(shape, values))
        })
        .collect();
    let wanted: Vec<String> = inputs.iter().map(|(name, _)| name.clone()).collect();
    let load = LoadOptions::for_inputs(&inputs);
    let loss = Loss::SquaredError { scales: Vec::new() };
    let gradient =
        differentiate(&model, &load, &loss, &wanted, Weights::Fed { long: true }).map_err(|e| failed(e.to_string()))?;
    let mut ran = false;
    for runtime in RUNTIMES.iter().filter(|r| r.present().is_ok()) {
        let plain = LoadOptions { rewrites: Rewrites::Runtime, ..load.clone() };
        let Ok(forward) = runtime.load(&model, &plain) else { continue };
        if forward.run(&inputs).is_err() {
            continue;
        }
        let told = |what: String| failed(format!("{}: {what}", runtime.name()));
        compare(&model, &gradient, *runtime, forward.as_ref(), &inputs, seed).map_err(told)?;
        ran = true;
    }
    // Some of it only ONNX Runtime runs: without that the case says so and skips.
    if ran || crate::common::onnxruntime().is_none() { Ok(()) } else { Err(failed("no runtime runs it".into())) }
}

fn compare(
    model: &Model,
    gradient: &Gradient,
    runtime: &dyn Runtime,
    forward: &dyn Session,
    inputs: &[(String, Tensor)],
    mut seed: u64,
) -> Result<(), String> {
    let outputs = |inputs: &[(String, Tensor)]| forward.run(inputs).map_err(|e| e.to_string());
    let at = outputs(inputs)?;
    // y − t is a direction r, so that dL/dx is the derivative of y·r.
    let mut fed = inputs.to_vec();
    for target in &gradient.targets {
        let y = &at.iter().find(|(name, _)| *name == target.output).ok_or("no such output")?.1;
        let moved = y.as_slice::<f32>().unwrap().iter().map(|v| v - (noise(&mut seed) * 2.0 - 1.0) as f32).collect();
        fed.push((target.input.clone(), Tensor::from_vec(y.shape(), moved)));
    }
    let direction = |name: &str| -> Vec<f64> {
        let target = gradient.targets.iter().find(|t| t.output == name).unwrap();
        let t = &fed.iter().find(|(n, _)| *n == target.input).unwrap().1;
        let y = &at.iter().find(|(n, _)| n == name).unwrap().1;
        let pairs = y.to_f64().unwrap().into_iter().zip(t.to_f64().unwrap());
        pairs.map(|(y, t)| y - t).collect()
    };
    let directions: Vec<(String, Vec<f64>)> =
        at.iter().filter(|(_, t)| t.dtype() == DType::F32).map(|(n, _)| (n.clone(), direction(n))).collect();
    let along = |results: &[(String, Tensor)]| -> f64 {
        let part = |(name, r): &(String, Vec<f64>)| {
            let y = results.iter().find(|(n, _)| n == name).unwrap().1.to_f64().unwrap();
            y.iter().zip(r).map(|(y, r)| y * r).sum::<f64>()
        };
        directions.iter().map(part).sum()
    };
    let session = runtime.load(&gradient.model, &gradient.load_options()).map_err(|e| e.to_string())?;
    let results = session.run(&fed).map_err(|e| e.to_string())?;
    for (place, (name, value)) in inputs.iter().enumerate() {
        let output =
            gradient.of.iter().find(|(n, _)| n == name).unwrap().1.as_ref().map_err(|e| format!("{name}: {e}"))?;
        let found = &results.iter().find(|(n, _)| n == output).ok_or("the gradient is missing")?.1;
        if found.shape() != value.shape() {
            return Err(format!("the gradient of {name} is {:?}, not {:?}", found.shape(), value.shape()));
        }
        let found = found.to_f64().unwrap();
        let scale = found.iter().fold(1e-2f64, |m, g| m.max(g.abs()));
        let every = value.len().div_ceil(MOVED);
        for i in (0..value.len()).filter(|i| i % every == 0) {
            let mut difference = 0.0;
            let numbers = value.as_slice::<f32>().unwrap();
            let mut ends = [0f64; 2];
            for (end, sign) in [1.0f32, -1.0].into_iter().enumerate() {
                let mut moved = numbers.to_vec();
                moved[i] += sign * STEP;
                ends[end] = f64::from(moved[i]);
                let mut inputs = inputs.to_vec();
                inputs[place].1 = Tensor::from_vec(value.shape(), moved);
                difference += f64::from(sign) * along(&outputs(&inputs)?);
            }
            let slope = difference / (ends[0] - ends[1]);
            if (slope - found[i]).abs() > TOLERANCE * scale {
                let kind = model.operator_count();
                return Err(format!(
                    "d/d{name}[{i}] of {kind} nodes is {}, central differences give {slope}",
                    found[i]
                ));
            }
        }
    }
    Ok(())
}

/// A model of one node: `y = body`, with these inputs.
pub fn one(inputs: &str, output: &str, body: &str) -> String {
    format!("<ir_version: 8, opset_import: [\"\" : 17]> g ({inputs}) => ({output}) {{ {body} }}")
}

/// As in `2,3,4`.
pub fn list(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}
