//! Original and rewritten side by side.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::accuracy::{Accuracy, OutputDrift, TaskAccuracy, worst_agreement, worst_db};
use super::drift::{NodeDrift, drift};
use super::latency::{Latency, LatencyOptions, compare};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};
use crate::progress::Progress;
use crate::runtime::{Rewrites, Runtime, Shaped, load_as_it_stands, unreadable};

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct ValidateOptions {
    /// Threads of one run while timing.
    pub threads: usize,
    /// Samples for the drift of single nodes; 0 leaves it out.
    pub drift_samples: usize,
    /// `None` leaves timing out.
    pub latency: Option<LatencyOptions>,
}

impl Default for ValidateOptions {
    fn default() -> Self {
        ValidateOptions { threads: 1, drift_samples: 8, latency: Some(LatencyOptions::default()) }
    }
}

/// What the comparison found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Validation {
    /// Where both ran.
    pub runtime: String,
    /// As in `100 images`.
    pub data: String,
    /// Samples that were compared.
    pub samples: u64,
    /// Whether the inputs are made up: then only drift means something, accuracy does not.
    pub random_data: bool,
    /// How far each output moved, in the order of the original.
    pub outputs: Vec<OutputDrift>,
    /// Outputs of the original that the rewritten model has not.
    pub missing: Vec<String>,
    /// Outputs that are no tensors, and not compared.
    pub no_tensors: Vec<String>,
    /// Accuracy, where there are labels.
    pub task: Option<TaskAccuracy>,
    /// Times of both, where they were timed.
    pub latency: Option<Latency>,
    /// Worst first.
    pub nodes: Vec<NodeDrift>,
}

impl Validation {
    /// The worst output's.
    pub fn sqnr_db(&self) -> Option<f64> {
        worst_db(&self.outputs)
    }

    /// The worst output's.
    pub fn agreement(&self) -> Option<f64> {
        worst_agreement(&self.outputs)
    }
}

/// Runs both models on the whole dataset, batches on all cores, then times them on its first sample.
pub fn validate(
    original: &Model,
    rewritten: &Model,
    dataset: &Dataset,
    runtime: &dyn Runtime,
    options: &ValidateOptions,
    progress: &dyn Progress,
) -> Result<Validation> {
    let missing = missing_outputs(original, rewritten)?;
    progress.start("validating", dataset.len() as u64);
    let none = Accuracy::of_outputs(original);
    let run = |(a, b): (&Shaped, &Shaped), index: usize| -> Result<(Accuracy, usize)> {
        let batch = dataset.batch(index)?;
        let (ra, rb) = (a.run(&batch.inputs)?, b.run(&batch.inputs)?);
        let mut own = none.clone();
        own.add(&ra, &rb, batch.labels.as_deref());
        progress.step(batch.samples as u64);
        Ok((own, batch.samples))
    };
    let (mut accuracy, mut samples) = (none.clone(), 0);
    // Sessions of one shape at a time: each holds all weights.
    for alike in dataset.alike(0..dataset.batch_count())? {
        let (a, b) = (Shaped::new(runtime, original, &[]), Shaped::new(runtime, rewritten, &[]));
        let parts: Vec<(Accuracy, usize)> =
            alike.into_par_iter().map(|index| run((&a, &b), index)).collect::<Result<_>>()?;
        // Added up in the order of the batches, so that the same data give the same digits.
        for (part, count) in parts {
            accuracy.merge(part);
            samples += count as u64;
        }
    }
    progress.finish();
    if let Some((label, classes)) = accuracy.label_outside() {
        let message = format!("label {label} of {} is none of the {classes} classes of the output", dataset.describe());
        return Err(Error::input(message));
    }

    let latency = match &options.latency {
        Some(latency) => Some(time(original, rewritten, &dataset.batch(0)?.inputs, runtime, options.threads, latency)?),
        None => None,
    };
    let nodes = match options.drift_samples {
        0 => Vec::new(),
        samples => drift(original, rewritten, dataset, runtime, samples)?,
    };
    Ok(Validation {
        runtime: runtime.name().to_string(),
        data: dataset.describe(),
        samples,
        random_data: dataset.is_random(),
        outputs: accuracy.outputs(),
        missing,
        no_tensors: unreadable(original).into_iter().map(|v| original.name(v).to_string()).collect(),
        task: accuracy.task(),
        latency,
        nodes,
    })
}

/// Outputs of the original that the rewritten model has not.
///
/// # Errors
/// Input, where the rewritten model wants other inputs or shares no output.
fn missing_outputs(original: &Model, rewritten: &Model) -> Result<Vec<String>> {
    let names = |m: &Model| m.user_inputs().into_iter().map(|v| m.name(v).to_string()).collect::<Vec<_>>();
    let (had, wanted) = (names(original), names(rewritten));
    if let Some(other) = wanted.iter().find(|w| !had.contains(w)) {
        let message =
            format!("the rewritten model takes input \"{other}\", which the original does not: {}", had.join(", "));
        return Err(Error::input(message));
    }
    let made = |m: &Model| m.graph(m.main()).outputs().iter().map(|v| m.name(*v).to_string()).collect::<Vec<_>>();
    let (had, makes) = (made(original), made(rewritten));
    let (shared, missing): (Vec<String>, Vec<String>) = had.into_iter().partition(|name| makes.contains(name));
    if shared.is_empty() {
        let message = format!("the rewritten model makes none of the original's outputs: {}", missing.join(", "));
        return Err(Error::input(message));
    }
    Ok(missing)
}

/// Both models on the same inputs, interleaved, each as its file stands: what the runtime does by itself counts, what is done here to a copy
/// does not.
fn time(
    original: &Model,
    rewritten: &Model,
    inputs: &[(String, Tensor)],
    runtime: &dyn Runtime,
    threads: usize,
    options: &LatencyOptions,
) -> Result<Latency> {
    let load = |model: &Model| load_as_it_stands(runtime, model, inputs, (Rewrites::Runtime, threads));
    let ((a, of_a), (b, of_b)) = (load(original)?, load(rewritten)?);
    compare(runtime.name(), threads, (&*a, &of_a), (&*b, &of_b), options)
}
