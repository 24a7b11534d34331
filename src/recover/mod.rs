//! Recovery without a framework: the float model is distilled into what pruning and quantization made of it.
//!
//! ```text
//! x ─┬─► float model ─► t                          targets: no labels are needed
//!    └─► its student(W) ─► y ─► Σ(y − t)²/Σt² ─► dL/dW ─► Adam ─► W, zeros and grids kept
//! ```
//!
//! Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015), with the outputs themselves for targets, and values on the
//! way to them (`taps`). The gradient graph ([`crate::gradient`]) is built once, its weights are inputs, and every core runs it on a part
//! of each batch, in ONNX Runtime where that is present. A sixth of the samples is held back: the weights with the least loss on it win, which may be
//! those that training began with, and training stops where that loss has not fallen for long.
//!
//! Weights that are stored in few bits are rounded before each run ([`Grid`]), so that what is trained is what will be written.

mod adam;
mod asked;
mod batches;
mod parameter;
mod taps;
mod trainer;

use serde::Serialize;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Model};
use crate::progress::Progress;

use adam::Adam;
pub use asked::Recover;
use batches::Batches;
pub use batches::without_held;
use parameter::parameters;
pub use parameter::{Bound, Bounds, Grid};
use trainer::Trainer;

/// How long and how fast.
#[derive(Debug, Clone, Copy)]
pub struct RecoverOptions {
    /// How many steps, at most.
    pub steps: usize,
    /// The most that a step moves weights by, as a share of their size; `None`: by how much is wrong when training begins.
    pub rate: Option<f64>,
    /// Samples of a step; fewer where the data are few.
    pub batch: usize,
    /// Of the order of samples.
    pub seed: u64,
}

impl RecoverOptions {
    /// So many steps, the rate by what is wrong.
    pub fn new(steps: usize) -> Self {
        RecoverOptions { steps, rate: None, batch: 64, seed: 0 }
    }

    /// The share of the rate at a step (from 1): it rises in the beginning, until Adam knows how large gradients are, and falls to zero
    /// along half a cosine (Loshchilov and Hutter, SGDR, 2017).
    fn share_at(&self, step: usize) -> f64 {
        let (step, steps) = (step as f64, self.steps as f64);
        let rising = (RISING * steps).max(RISING_STEPS).min(0.25 * steps);
        let turned = std::f64::consts::PI * (step - rising).max(0.0) / (steps + 1.0 - rising);
        (step / rising).min(1.0) * (0.5 + 0.5 * turned.cos())
    }
}

/// What training did.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct RecoverReport {
    /// That were run; fewer than asked for where the loss on the samples held back had long stopped to fall.
    pub steps: usize,
    /// The step whose weights won.
    pub best: usize,
    /// The most that a step moved weights by, as a share of their size.
    pub rate: f64,
    /// Share of the outputs' energy that is wrong, on samples held back, before training.
    pub before: f64,
    /// The same after it.
    pub after: f64,
    /// Tensors that were trained.
    pub tensors: usize,
    /// Samples that were trained on or held back, those of the commonest shape, and all.
    pub samples: (usize, usize),
    /// Where it was trained.
    pub runtime: String,
    /// How long that took.
    pub seconds: f64,
    /// Parameters that were not trained, and why.
    pub refused: Vec<String>,
}

impl std::fmt::Display for RecoverReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} tensors trained for {} steps in {:.0} s with {}: error on samples held back {:.4} ─► {:.4} at step {}",
            self.tensors, self.steps, self.seconds, self.runtime, self.before, self.after, self.best
        )?;
        match self.samples {
            (used, all) if used < all => write!(f, ", on {used} of {all} samples: those of the commonest shape"),
            _ => Ok(()),
        }
    }
}

/// Learning rate = STEP · the error when training begins, between LEAST and MOST. A network that keeps 5 % of its weights comes from an error
/// of 0.38 to 0.26, 0.23 and 0.21 in 300 steps of at most 1, 2 and 4 %; one with a quarter of its work from 0.097 to 0.081 with 1.9 % and
/// 0.075 with 0.5 %; one with 77 % of it from 0.0069 to 0.0058 with 0.07 % and 0.0055 with 0.4 %. Weights on a grid have no least rate:
/// where little is wrong, large steps turn many of them at once.
const STEP: f64 = 0.1;
const LEAST: f64 = 0.004;
const MOST: f64 = 0.05;
/// The share of the steps in which the rate rises, and the least number of them, a quarter at most.
const RISING: f64 = 0.05;
const RISING_STEPS: f64 = 30.0;
/// How often the loss on the samples held back is looked at, in a whole training.
const LOOKS: usize = 25;
/// Looks of the second half, in which steps grow small, without a lower loss, after which training stops: large ones alone keep it high.
const PATIENCE: usize = 8;

/// What the student is trained towards.
#[derive(Clone, Copy)]
pub struct Teacher<'a> {
    /// It has the inputs and outputs of the student.
    pub model: &'a Model,
    /// Whether a value inside that has a name of the student's stands for the same.
    pub inside: bool,
}

/// Trains the weights and biases of `student`'s contractions towards the outputs of `teacher`, which has the same inputs and
/// outputs.
///
/// # Errors
/// Usage, for data that are too few; what the data or the runtimes refuse.
pub fn recover(
    teacher: &Model,
    student: &mut Model,
    dataset: &Dataset,
    options: &RecoverOptions,
    progress: &dyn Progress,
) -> Result<RecoverReport> {
    recover_within(Teacher { model: teacher, inside: true }, (student, &Bounds::new()), dataset, options, progress)
}

/// As [`recover`], with some parameters bound to a grid or fixed. What `student` holds in the end lies on the grids.
///
/// # Errors
/// As [`recover`].
pub fn recover_within(
    teacher: Teacher,
    (student, bounds): (&mut Model, &Bounds),
    dataset: &Dataset,
    options: &RecoverOptions,
    progress: &dyn Progress,
) -> Result<RecoverReport> {
    let begin = std::time::Instant::now();
    let (mut parameters, mut refused) = parameters(student, bounds);
    let batches = Batches::new(student, dataset, options)?;
    let names: Vec<String> = parameters.iter().map(|p| p.name.clone()).collect();
    let trainer = Trainer::new(teacher, student, &batches, &names)?;
    parameters.retain(|p| match trainer.refusal(&p.name) {
        None => true,
        Some(why) => {
            refused.push(format!("{} is not trained: {why}", p.name));
            false
        }
    });
    if parameters.is_empty() {
        if refused.is_empty() {
            refused.push("no node of the main graph multiplies with constant weights".into());
        }
        return Err(Error::usage(format!("nothing can be trained: {}", refused.join("; "))));
    }
    let (before, mut best) = (trainer.loss(&parameters)?, 0);
    let (mut after, mut kept) = (before, parameters.iter().map(|p| p.numbers.clone()).collect::<Vec<_>>());
    let least = if parameters.iter().any(|p| p.grid.is_some()) { 0.0 } else { LEAST };
    let rate = options.rate.unwrap_or_else(|| (STEP * before).clamp(least, MOST));
    // The least loss of the second half, which may stay above that before, and its step.
    let mut lowest = (f64::INFINITY, 0);
    let mut adam = Adam::new(&parameters);
    let every = options.steps.div_ceil(LOOKS).max(1);
    progress.start("recovering", options.steps as u64);
    let mut done = 0;
    for step in 1..=options.steps {
        let gradients = trainer.gradients(&parameters, step)?;
        adam.update(&mut parameters, &gradients, rate * options.share_at(step));
        progress.step(1);
        done = step;
        if step % every == 0 || step == options.steps {
            let loss = trainer.loss(&parameters)?;
            tracing::debug!("step {step}: loss {loss:.5} on samples held back");
            if loss < after {
                (after, best) = (loss, step);
                kept = parameters.iter().map(|p| p.numbers.clone()).collect();
            }
            if 2 * step <= options.steps || loss < lowest.0 {
                lowest = (loss, step);
            } else if step > lowest.1 + PATIENCE * every {
                break;
            }
        }
    }
    progress.finish();
    let runtime = trainer.runtime.to_string();
    let mut edit = GraphEdit::new(student);
    for (p, numbers) in parameters.iter().zip(kept) {
        edit.set_constant(p.value, p.held(&numbers));
    }
    let (tensors, seconds) = (parameters.len(), begin.elapsed().as_secs_f64());
    let samples = batches.samples;
    Ok(RecoverReport { steps: done, best, rate, before, after, tensors, samples, runtime, seconds, refused })
}
