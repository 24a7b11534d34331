//! The samples of each step, and those held back.
//!
//! ```text
//! x ← λ·x + (1 − λ)·x'        for every other sample, λ uniform, x' the sample after it
//! ```
//!
//! (Zhang et al., mixup, 2018; for distillation Beyer et al., Knowledge distillation: A good teacher is patient and consistent, 2022.)

use super::RecoverOptions;
use crate::data::{Dataset, HELD_OF_TRAINING, Rng, Split};
use crate::error::{Error, Result};
use crate::ir::{DType, Model, Tensor};
use crate::runtime::LoadOptions;

/// Batches of the commonest shape: a session is made for one.
fn commonest(dataset: &Dataset) -> Result<Vec<usize>> {
    let alike = dataset.alike(0..dataset.batch_count())?;
    Ok(alike.into_iter().max_by_key(Vec::len).unwrap_or_default())
}

/// Refuses batches that take several ways through the model: a session is made for one.
fn one_way(model: &Model, dataset: &Dataset, batches: &[usize]) -> Result<()> {
    let Some(first) = batches.first() else { return Ok(()) };
    let made_for = LoadOptions::for_run(model, &dataset.batch(*first)?.inputs);
    let names: Vec<&str> = made_for.constants.keys().map(String::as_str).collect();
    for i in batches.iter().filter(|_| !names.is_empty()) {
        if !made_for.serves(&dataset.batch(*i)?.inputs) {
            return Err(Error::usage(format!(
                "--recover trains one way through the model, and \"{}\" has several values in {}: give the samples of one",
                names.join("\" and \""),
                dataset.describe()
            )));
        }
    }
    Ok(())
}

/// What is trained on judges nothing.
fn split(batches: &[usize]) -> Split {
    let split = Split::of(batches, HELD_OF_TRAINING);
    if split.apart() { split } else { Split { judge: Vec::new(), ..split } }
}

/// The data without those that training holds back: what is fitted to these before would look better on them than it is.
///
/// # Errors
/// What the data refuse.
pub fn without_held(dataset: &Dataset) -> Result<Dataset> {
    Ok(dataset.without(&split(&commonest(dataset)?).judge))
}

/// Named tensors.
pub(super) type Fed = Vec<(String, Tensor)>;

/// Batches of the dataset with equal shapes, joined to runs of a fixed number of samples.
pub(super) struct Batches<'a> {
    dataset: &'a Dataset,
    training: Vec<usize>,
    held: Vec<usize>,
    /// Batches of the dataset in one run.
    joined: usize,
    /// Runs of one step, one a core.
    pub lanes: usize,
    /// Whether samples may be blended.
    blends: bool,
    seed: u64,
    /// Samples of these batches, and all there are.
    pub samples: (usize, usize),
}

impl<'a> Batches<'a> {
    /// # Errors
    /// Usage, for fewer samples than a step and a look want.
    pub fn new(model: &Model, dataset: &'a Dataset, options: &RecoverOptions) -> Result<Self> {
        let indices = commonest(dataset)?;
        let first = indices.first().ok_or_else(|| Error::usage("there are no samples to train on"))?;
        let shapes = dataset.shapes(*first)?;
        one_way(model, dataset, &indices)?;
        let open = |v| model.tensor_type(v).shape.is_some_and(|s| s.first().is_some_and(|d| d.known().is_none()));
        let joins = model.user_inputs().into_iter().all(open);
        let cores = crate::runtime::cores();
        let each = shapes.first().and_then(|(_, s)| s.first().copied()).unwrap_or(1).max(1);
        let all = dataset.len();
        let used = if indices.len() == dataset.batch_count() { all } else { all.min(indices.len() * each) };
        let lanes = if joins { cores } else { (options.batch / each).max(1) };
        let float = |v| model.tensor_type(v).dtype == Some(DType::F32);
        let blends = joins && model.user_inputs().into_iter().all(float);
        let Split { fit: training, judge: held } = split(&indices);
        // Few samples make small steps.
        let most = if joins { options.batch / cores / each } else { 1 };
        let joined = most.min(held.len()).min(training.len() / lanes).max(1);
        if training.len() < joined * lanes || held.len() < joined {
            let (data, step) = (dataset.describe(), joined * lanes * each);
            let alike = if used < all { format!(", and {used} have the commonest shape") } else { String::new() };
            return Err(Error::usage(format!(
                "{data} are too few to train on: a step takes {step} of one shape{alike}"
            )));
        }
        Ok(Batches { dataset, training, held, joined, lanes, blends, seed: options.seed, samples: (used, all) })
    }

    /// Of step `step` (from 1), one run a lane. Every epoch goes through all samples once, in another order.
    pub fn of_step(&self, step: usize) -> Vec<Vec<usize>> {
        let (size, count) = (self.joined * self.lanes, self.training.len());
        let steps = count / size;
        let (epoch, place) = ((step - 1) / steps, (step - 1) % steps);
        let mut order = self.training.clone();
        let mut rng = Rng::new(&[self.seed, epoch as u64]);
        for i in (1..count).rev() {
            order.swap(i, ((1.0 - rng.uniform()) * (i + 1) as f64) as usize);
        }
        order[place * size..(place + 1) * size].chunks(self.joined).map(<[usize]>::to_vec).collect()
    }

    /// Runs of what is held back.
    pub fn held(&self) -> Vec<&[usize]> {
        self.held.chunks_exact(self.joined).collect()
    }

    /// Inputs of a run to train on: every other sample is blended with the one after it, where all inputs are numbers. What the
    /// float model makes of a blend is as good a target as any, and a few thousand samples become many.
    pub fn blended(&self, run: &[usize], seed: &[u64]) -> Result<Fed> {
        let inputs = self.inputs(run)?;
        let mut rng = Rng::new(&[&[self.seed], seed].concat());
        let samples = inputs.first().and_then(|(_, t)| t.shape().first().copied()).unwrap_or(0);
        if !self.blends || samples < 2 || inputs.iter().any(|(_, t)| t.shape().first() != Some(&samples)) {
            return Ok(inputs);
        }
        let shares: Vec<f32> = (0..samples).map(|i| if i % 2 == 0 { 1.0 } else { rng.uniform() as f32 }).collect();
        let blend = |(name, t): (String, Tensor)| {
            let Some(numbers) = t.as_slice::<f32>() else { return (name, t) };
            let size = numbers.len() / samples;
            let of = |i: usize| {
                let (own, other) = (&numbers[i * size..][..size], &numbers[(i + 1) % samples * size..][..size]);
                let share = shares[i];
                own.iter().zip(other).map(move |(a, b)| share * a + (1.0 - share) * b)
            };
            let made = Tensor::from_vec(t.shape(), (0..samples).flat_map(of).collect());
            (name, made)
        };
        Ok(inputs.into_iter().map(blend).collect())
    }

    /// Inputs of a run.
    pub fn inputs(&self, run: &[usize]) -> Result<Fed> {
        let parts = run.iter().map(|i| Ok(self.dataset.batch(*i)?.inputs)).collect::<Result<Vec<Fed>>>()?;
        joined(&parts)
    }
}

/// Named tensors one after the other along the first axis.
pub(super) fn joined(parts: &[Fed]) -> Result<Fed> {
    let [first, rest @ ..] = parts else { return Ok(Vec::new()) };
    if rest.is_empty() {
        return Ok(first.clone());
    }
    let join = |(place, (name, tensor)): (usize, &(String, Tensor))| {
        let mut shape = tensor.shape().to_vec();
        shape[0] = parts.iter().map(|p| p[place].1.shape()[0]).sum();
        let bytes: Vec<u8> = parts.iter().flat_map(|p| p[place].1.bytes().iter().copied()).collect();
        Ok((name.clone(), Tensor::from_bytes(tensor.dtype(), shape, bytes)?))
    };
    first.iter().enumerate().map(join).collect()
}
