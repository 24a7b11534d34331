//! Σg, Σ|g| and Σg² of each weight over the samples of a dataset, in one streaming pass.
//!
//! ```text
//! g_i = dL_i/dw of sample i alone          Σ g_i        Σ |g_i|        Σ g_i²
//! ```
//!
//! Σg² wants the gradient of each sample by itself, the square of a batch's sum is another number; so every sample is a run of
//! its own, and the cores share the samples. A model whose inputs hold several samples in any case gives the gradient of those
//! together: [`GradientStatistics::together`] says how many. Sums are added up in the order of the samples, whichever core was
//! first: the same data give the same bits. Memory: one number a weight for each moment, and one gradient a core.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::{Gradient, Loss, Weights, differentiate};
use crate::data::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};
use crate::progress::Progress;
use crate::runtime::{LoadOptions, Runtime, Session, cores};

/// Samples that the cores share at a time, or a batch for each of them.
const SAMPLES: usize = 32;

/// A power of the gradient that is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// g
    Sum,
    /// |g|
    Absolute,
    /// g²
    Square,
}

impl Moment {
    fn of(self, g: f32) -> f32 {
        match self {
            Moment::Sum => g,
            Moment::Absolute => g.abs(),
            Moment::Square => g * g,
        }
    }
}

/// What is collected.
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// What is added up of each gradient.
    pub moments: Vec<Moment>,
    /// Whether labels of the data are used where there are some; else targets are drawn from the model itself.
    pub labels: bool,
    /// Of what is drawn.
    pub seed: u64,
}

/// Sums over the gradients of single samples.
#[derive(Debug, Clone)]
pub struct GradientStatistics {
    /// How many gradients were added up.
    pub samples: usize,
    /// Samples of one run: 1, but for models whose inputs hold several.
    pub together: usize,
    /// Mean over the runs.
    pub loss: f64,
    /// Whether targets are labels of the data.
    pub labelled: bool,
    moments: Vec<Moment>,
    /// By weight: one list for each moment, or why it has no gradient.
    weights: BTreeMap<String, Result<Vec<Vec<f32>>, String>>,
}

impl GradientStatistics {
    /// A sum for each element of the weight, in its order; or why there is none.
    ///
    /// # Errors
    /// The reason, as text.
    pub fn of(&self, weight: &str, moment: Moment) -> Result<&[f32], String> {
        let sums =
            self.weights.get(weight).ok_or("no gradient of it was asked for")?.as_ref().map_err(String::clone)?;
        let place = self.moments.iter().position(|m| *m == moment).ok_or("that moment was not collected")?;
        Ok(&sums[place])
    }
}

/// Runs `dataset` through the gradient of `model`'s natural loss by `weights`, names of its constants.
///
/// # Errors
/// What the data, the loss or the runtime refuse; the first error stops the pass.
pub fn collect(
    model: &Model,
    dataset: &Dataset,
    runtime: &dyn Runtime,
    weights: &[String],
    options: &CollectOptions,
    progress: &dyn Progress,
) -> Result<GradientStatistics> {
    let labelled = options.labels && dataset.has_labels();
    let loss = Loss::natural(model, labelled);
    let labelled = labelled && loss == Loss::CrossEntropy;
    let own: Vec<bool> = model.user_inputs().into_iter().map(|v| has_open_samples(model, v)).collect();
    let apart = own.iter().all(|open| *open);
    let mut all = Sums { options, next: 0, runs: 0, together: 1, loss: 0.0, weights: BTreeMap::new() };
    progress.start("gradients", dataset.len() as u64);
    let mut cached: Option<(LoadOptions, Work)> = None;
    let at_once = dataset.batches_of(SAMPLES).max(if apart { 1 } else { cores() });
    for indices in dataset.alike(0..dataset.batch_count())? {
        for some in indices.chunks(at_once) {
            let batches = some.iter().map(|i| dataset.batch(*i)).collect::<Result<Vec<_>>>()?;
            let parts = batches.iter().map(|b| if apart { split(b) } else { Ok(vec![b.clone()]) });
            let samples: Vec<Batch> = parts.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
            let mut rest = &samples[..];
            while let Some(first) = rest.first() {
                all.together = all.together.max(first.samples);
                let load = LoadOptions::for_run(model, &first.inputs);
                let (now, later) = rest.split_at(rest.iter().take_while(|s| load.serves(&s.inputs)).count());
                let known = cached.take().filter(|(l, _)| l.inputs == load.inputs && l.constants == load.constants);
                let work = match known {
                    Some((_, work)) => work,
                    None => Work::new(model, runtime, &load, &loss, weights, labelled)?,
                };
                all = work.run(now, all, progress)?;
                (cached, rest) = (Some((load, work)), later);
            }
        }
    }
    progress.finish();
    let Sums { runs, together, loss, weights, .. } = all;
    let moments = options.moments.clone();
    Ok(GradientStatistics { samples: runs, together, loss: loss / runs.max(1) as f64, labelled, moments, weights })
}

/// Whether the first axis of an input may hold any number of samples.
fn has_open_samples(model: &Model, value: crate::ir::ValueId) -> bool {
    let shape = model.tensor_type(value).shape;
    shape.is_some_and(|s| s.first().is_some_and(|d| d.known().is_none()))
}

/// One batch a sample.
fn split(batch: &Batch) -> Result<Vec<Batch>> {
    let count = batch.samples;
    if count < 2 || batch.inputs.iter().any(|(_, t)| t.shape().first() != Some(&count)) {
        return Ok(vec![batch.clone()]);
    }
    let one = |i: usize| {
        let cut = |(name, t): &(String, Tensor)| {
            let size = t.byte_len() / count;
            let shape: Vec<usize> = [1].iter().chain(&t.shape()[1..]).copied().collect();
            Ok((name.clone(), Tensor::from_bytes(t.dtype(), shape, t.bytes().slice(i * size..(i + 1) * size))?))
        };
        let inputs = batch.inputs.iter().map(cut).collect::<Result<_>>()?;
        let labels = batch.labels.as_ref().and_then(|l| l.get(i)).map(|l| vec![*l]);
        Ok(Batch { inputs, labels, first_sample: batch.first_sample + i, samples: 1 })
    };
    (0..count).map(one).collect()
}

/// Sums so far.
struct Sums<'a> {
    options: &'a CollectOptions,
    /// The number of the sample whose turn it is.
    next: usize,
    runs: usize,
    together: usize,
    loss: f64,
    weights: BTreeMap<String, Result<Vec<Vec<f32>>, String>>,
}

impl Sums<'_> {
    fn add(&mut self, gradient: &Gradient, results: &[(String, Tensor)]) {
        let by_name: BTreeMap<&str, &Tensor> = results.iter().map(|(name, t)| (name.as_str(), t)).collect();
        self.runs += 1;
        self.loss += by_name.get(gradient.loss.as_str()).and_then(|t| t.scalar_f32()).map_or(0.0, f64::from);
        for (weight, output) in &gradient.of {
            let found = output.as_ref().map_err(String::clone);
            let found = found.and_then(|o| by_name.get(o.as_str()).copied().ok_or_else(|| "no value came".to_string()));
            let numbers =
                found.and_then(|t| t.as_slice::<f32>().ok_or_else(|| "its gradient is not float32".to_string()));
            match numbers {
                Err(why) => {
                    self.weights.insert(weight.clone(), Err(why));
                }
                Ok(numbers) => {
                    let moments = &self.options.moments;
                    let zeros = || Ok(moments.iter().map(|_| vec![0f32; numbers.len()]).collect());
                    let sums = self.weights.entry(weight.clone()).or_insert_with(zeros);
                    let Ok(sums) = sums else { continue };
                    for (moment, sum) in moments.iter().zip(sums) {
                        sum.iter_mut().zip(numbers.iter()).for_each(|(s, g)| *s += moment.of(*g));
                    }
                }
            }
        }
    }
}

/// Stops the others where a thread panics: they would wait for its turn.
struct Alarm<'a>(&'a AtomicBool, &'a Condvar);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
            self.1.notify_all();
        }
    }
}

/// Sessions for inputs of one type.
struct Work {
    gradient: Gradient,
    sessions: Vec<Box<dyn Session>>,
    /// The model itself, where targets are drawn from its outputs.
    forward: Option<Box<dyn Session>>,
}

impl Work {
    fn new(
        model: &Model,
        runtime: &dyn Runtime,
        load: &LoadOptions,
        loss: &Loss,
        weights: &[String],
        labelled: bool,
    ) -> Result<Work> {
        let gradient = differentiate(model, load, loss, weights, Weights::Constant)?;
        let forward = if labelled { None } else { Some(runtime.load(model, load)?) };
        let cores = if runtime.shares_sessions() { 1 } else { cores() };
        let sessions = (0..cores).map(|_| runtime.load(&gradient.model, &gradient.load_options()));
        Ok(Work { sessions: sessions.collect::<Result<_>>()?, gradient, forward })
    }

    /// Adds up the gradients of the samples, in their order.
    fn run<'a>(&self, samples: &[Batch], sums: Sums<'a>, progress: &dyn Progress) -> Result<Sums<'a>> {
        let sums = Mutex::new(Sums { next: 0, ..sums });
        let (turn, next, stopped) = (Condvar::new(), AtomicUsize::new(0), AtomicBool::new(false));
        let work = |session: &dyn Session| -> Result<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(sample) = samples.get(index).filter(|_| !stopped.load(Ordering::Relaxed)) else {
                    return Ok(());
                };
                let alarm = Alarm(&stopped, &turn);
                let results = self.one(session, sample, &sums);
                drop(alarm);
                let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
                while sums.next != index && !stopped.load(Ordering::Relaxed) {
                    sums = turn.wait(sums).unwrap_or_else(PoisonError::into_inner);
                }
                if results.is_err() {
                    stopped.store(true, Ordering::Relaxed);
                }
                if let Ok(results) = &results {
                    sums.add(&self.gradient, results);
                }
                sums.next += 1;
                turn.notify_all();
                progress.step(sample.samples as u64);
                results?;
            }
        };
        let parts: Vec<Result<()>> = std::thread::scope(|scope| {
            let sessions = self.sessions.iter().cycle().take(cores().min(samples.len()));
            let threads: Vec<_> = sessions.map(|s| scope.spawn(|| work(s.as_ref()))).collect();
            let gone = |_| Err(Error::internal("a thread that computes gradients panicked"));
            threads.into_iter().map(|t| t.join().unwrap_or_else(gone)).collect()
        });
        parts.into_iter().collect::<Result<()>>()?;
        Ok(sums.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn one(&self, session: &dyn Session, sample: &Batch, sums: &Mutex<Sums>) -> Result<Vec<(String, Tensor)>> {
        let seed = sums.lock().unwrap_or_else(PoisonError::into_inner).options.seed;
        let mut inputs = sample.inputs.clone();
        let own = self.forward.as_ref().map(|f| f.run(&sample.inputs)).transpose()?;
        for (place, target) in self.gradient.targets.iter().enumerate() {
            let tensor = match &own {
                None => target.of_labels(sample.labels.as_deref().unwrap_or_default())?,
                Some(own) => {
                    let output = own.iter().find(|(name, _)| *name == target.output).map(|(_, t)| t);
                    let missing = || Error::internal(format!("no value for output \"{}\"", target.output));
                    target.drawn(output.ok_or_else(missing)?, &[seed, sample.first_sample as u64, place as u64])?
                }
            };
            inputs.push((target.input.clone(), tensor));
        }
        session.run(&inputs)
    }
}
