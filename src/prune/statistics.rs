//! What data tell of weights, as far as a criterion asks for it.

use super::Data;
use super::decide::WALKED;
use super::layer::{Layer, Measure, Sums, steps};
use super::plan::TensorPlan;
use crate::error::{Error, Result};
use crate::gradient::{CollectOptions, Moment, collect};
use crate::ir::Model;
use crate::progress::Progress;
use crate::second_order::moments::Centred;
use crate::second_order::{Contraction, Order, Walk};

/// What a criterion looks at besides the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The weights alone.
    Nothing,
    /// Second moments of what meets the weights.
    Activations,
    /// A sum over the gradients of a loss by the weights, sample by sample.
    Gradients(Moment),
}

/// What is known of one weight tensor.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// What meets the weights, where the criterion looks at that.
    pub activations: Option<Activations>,
    /// Gradients by the weights, where it looks at these.
    pub gradients: Option<Gradients>,
}

/// What meets the weights of a contraction.
#[derive(Debug, Clone)]
pub struct Activations {
    /// Which inputs meet which weights.
    pub contraction: Contraction,
    /// Of each group.
    pub moments: Vec<Centred>,
}

/// What a criterion asked for of the gradients of a loss by each weight, in the order of the weights.
#[derive(Debug, Clone, Default)]
pub struct Gradients {
    /// How many were added up.
    pub samples: usize,
    /// Σg, Σ|g| or Σg².
    pub sums: Vec<f32>,
}

/// Hands `see` what a criterion needs of each tensor that is pruned, by its place in `tensors`, one at a time. A tensor of which
/// nothing is known is not seen.
///
/// # Errors
/// Usage where there are no data; what the data or the runtime refuse.
pub(super) fn each(
    needs: Needs,
    (model, tensors): (&Model, &[TensorPlan]),
    (data, seed): (Option<Data>, u64),
    progress: &dyn Progress,
    mut see: impl FnMut(usize, &Statistics),
) -> Result<()> {
    let data = || data.ok_or_else(|| Error::usage("this criterion looks at data: give --data"));
    match needs {
        Needs::Nothing => {
            (0..tensors.len()).for_each(|i| see(i, &Statistics::default()));
            Ok(())
        }
        Needs::Activations => activations((model, tensors), data()?, progress, see),
        Needs::Gradients(moment) => gradients((model, tensors), moment, (data()?, seed), progress, see),
    }
}

fn activations(
    (model, tensors): (&Model, &[TensorPlan]),
    data: Data,
    progress: &dyn Progress,
    mut see: impl FnMut(usize, &Statistics),
) -> Result<()> {
    let order = Order::of(model);
    let layers: Vec<Layer> = Layer::all(model, &order, tensors).0;
    let batches = data.dataset.some(WALKED);
    let mut measure = Measure::new((model, &layers), &order, (data, &batches), Sums::Inputs)?;
    let mut walk = Walk::new((model, 1), &order, (data.dataset, data.runtime), batches)?;
    progress.start("observing layers", layers.len() as u64);
    for (place, step) in steps(&order, &layers) {
        walk.advance(&[model], place)?;
        for (layer, moments) in step.iter().zip(measure.of(&walk, &step)?) {
            let contraction = layer.solved.contraction.clone();
            let activations = Some(Activations { contraction, moments });
            see(layer.tensor, &Statistics { activations, gradients: None });
            progress.step(1);
        }
    }
    progress.finish();
    Ok(())
}

fn gradients(
    (model, tensors): (&Model, &[TensorPlan]),
    moment: Moment,
    (data, seed): (Data, u64),
    progress: &dyn Progress,
    mut see: impl FnMut(usize, &Statistics),
) -> Result<()> {
    let open = || tensors.iter().enumerate().filter(|(_, t)| t.kept.is_none());
    let names: Vec<String> = open().map(|(_, t)| t.tensor.clone()).collect();
    let options = CollectOptions { moments: vec![moment], labels: true, seed };
    let found = collect(model, data.dataset, data.runtime, &names, &options, progress)?;
    let mut refused = None;
    for (i, t) in open() {
        match found.of(&t.tensor, moment) {
            Ok(sums) => {
                let gradients = Some(Gradients { samples: found.samples, sums: sums.to_vec() });
                see(i, &Statistics { activations: None, gradients });
            }
            Err(why) => refused = Some(format!("tensor \"{}\" has no gradient: {why}", t.tensor)),
        }
    }
    refused.map_or(Ok(()), |why| Err(Error::input(why).with_advice("leave its node out with --exclude")))
}
