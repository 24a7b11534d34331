//! Original and rewritten side by side.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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
use crate::runtime::{Rewrites, Runtime, Shaped, load_as_it_stands};

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
    pub runtime: String,
    /// As in `100 images`.
    pub data: String,
    pub samples: u64,
    /// Whether the inputs are made up: then only drift means something, accuracy does not.
    pub random_data: bool,
    pub outputs: Vec<OutputDrift>,
    /// Outputs of the original that the rewritten model has not.
    pub missing: Vec<String>,
    pub task: Option<TaskAccuracy>,
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
    progress.start("validating", dataset.len() as u64);
    let samples = AtomicUsize::new(0);
    // Sums are kept per batch and added in batch order, so that the same data gives the same digits.
    let parts: Mutex<Vec<(usize, Accuracy)>> = Mutex::default();
    let run = |(a, b): (&Shaped, &Shaped), index: usize| -> Result<()> {
        let batch = dataset.batch(index)?;
        let (ra, rb) = (a.run(&batch.inputs)?, b.run(&batch.inputs)?);
        let mut own = Accuracy::default();
        own.add(&ra, &rb, batch.labels.as_deref());
        samples.fetch_add(batch.samples, Ordering::Relaxed);
        progress.step(batch.samples as u64);
        parts.lock().unwrap_or_else(PoisonError::into_inner).push((index, own));
        Ok(())
    };
    // Sessions of one shape at a time: each holds all weights.
    for alike in dataset.alike(0..dataset.batch_count())? {
        let (a, b) = (Shaped::new(runtime, original, &[]), Shaped::new(runtime, rewritten, &[]));
        alike.into_par_iter().try_for_each(|index| run((&a, &b), index))?;
    }
    progress.finish();
    let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_by_key(|(index, _)| *index);
    let mut accuracy = Accuracy::default();
    parts.into_iter().for_each(|(_, part)| accuracy.merge(part));
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
        samples: samples.into_inner() as u64,
        random_data: dataset.is_random(),
        outputs: accuracy.outputs(),
        missing,
        task: accuracy.task(),
        latency,
        nodes,
    })
}

/// Both models on the same inputs, interleaved, each as its file stands: what the runtime does by itself counts, what is done here to a copy
/// does not.
///
/// # Errors
/// Runtime, for a model that it cannot run.
pub fn time(
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
