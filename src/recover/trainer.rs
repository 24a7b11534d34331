//! Sessions of teacher and student, and what they say of the weights.

use rayon::prelude::*;

use super::Teacher;
use super::batches::{Batches, Fed};
use super::parameter::Parameter;
use super::taps::Taps;
use crate::data::spread;
use crate::error::{Error, Result};
use crate::gradient::{Gradient, Loss, Target, Weights, differentiate};
use crate::ir::{GraphEdit, Model};
use crate::runtime::{self, LoadOptions, RUNTIMES, Session};

/// What is held back stays in memory, with its targets: as much of it as this.
const HELD_BYTES: usize = 256 << 20;

pub(super) struct Trainer<'a> {
    batches: &'a Batches<'a>,
    gradient: Gradient,
    lanes: Vec<Lane>,
    /// The name of the loss of the outputs alone.
    loss: String,
    /// What is held back, with the targets of the outputs.
    held: Vec<Fed>,
    pub runtime: &'static str,
}

/// Sessions of one core.
struct Lane {
    /// Gives the outputs, then the taps.
    teacher: Box<dyn Session>,
    student: Box<dyn Session>,
    /// The loss of the outputs, and no gradients.
    loss: Box<dyn Session>,
}

impl<'a> Trainer<'a> {
    pub fn new(teacher: Teacher, student: &Model, batches: &'a Batches<'a>, names: &[String]) -> Result<Self> {
        let run = batches.of_step(1).into_iter().next().unwrap_or_default();
        let inputs = batches.inputs(&run)?;
        let load = LoadOptions::for_run(student, &inputs);
        // A step takes about two thirds of the time there.
        let runtime = runtime::closest_to("onnxruntime");
        let taps = Taps::of(teacher, student, (&inputs, &load), runtime)?;
        let squared = |scales: &[f32]| Loss::SquaredError { scales: scales.to_vec() };
        let weights = Weights::Fed { long: runtime.name() != RUNTIMES[0].name() };
        let tapped = taps.added(student);
        let gradient = differentiate(&tapped, &load, &squared(&taps.scales), names, weights)?;
        let trained: Vec<String> =
            gradient.of.iter().filter(|(_, g)| g.is_ok()).map(|(name, _)| name.clone()).collect();
        let outputs = differentiate(student, &load, &squared(&taps.scales[..taps.outputs]), &trained, weights)?;
        let alone = loss_alone(&outputs);
        let lane = |_: usize| -> Result<Lane> {
            Ok(Lane {
                teacher: runtime.load(teacher.model, &load.clone().with_taps(&taps.names))?,
                student: runtime.load(&gradient.model, &gradient.load_options())?,
                loss: runtime.load(&alone, &outputs.load_options())?,
            })
        };
        let lanes: Vec<Lane> = (0..batches.lanes.min(rayon::current_num_threads())).map(lane).collect::<Result<_>>()?;
        let runs = batches.held();
        let fed = |run: usize| fed(&lanes[0], batches.inputs(runs[run])?, &outputs.targets);
        // All of one shape: the first tells what each takes.
        let first = runs.first().map(|_| fed(0)).transpose()?.unwrap_or_default();
        let each = first.iter().map(|(_, t)| t.byte_len()).sum::<usize>().max(1);
        let kept = spread(&(0..runs.len()).collect::<Vec<_>>(), (HELD_BYTES / each).max(1));
        let held = kept.into_iter().map(fed).collect::<Result<_>>()?;
        Ok(Trainer { batches, gradient, lanes, loss: outputs.loss, held, runtime: runtime.name() })
    }

    /// Why a parameter has no gradient.
    pub fn refusal(&self, name: &str) -> Option<&str> {
        self.gradient.of.iter().find(|(n, _)| n == name).and_then(|(_, g)| g.as_ref().err()).map(String::as_str)
    }

    /// The mean gradient of each parameter over the samples of a step.
    pub fn gradients(&self, parameters: &[Parameter], step: usize) -> Result<Vec<Vec<f32>>> {
        let runs = self.batches.of_step(step);
        let weights = tensors(parameters);
        let one = |(lane, run): (&Lane, usize)| {
            let inputs = self.batches.blended(&runs[run], &[step as u64, run as u64])?;
            let mut fed = fed(lane, inputs, &self.gradient.targets)?;
            fed.extend(weights.iter().cloned());
            lane.student.run(&fed)
        };
        let parts = self.shared(runs.len(), one)?;
        let share = 1.0 / parts.len().max(1) as f32;
        parameters.par_iter().map(|p| self.mean(p, &parts, share)).collect()
    }

    fn mean(&self, p: &Parameter, parts: &[Fed], share: f32) -> Result<Vec<f32>> {
        let output = self.gradient.of.iter().find(|(n, _)| *n == p.name).and_then(|(_, g)| g.as_ref().ok());
        let mut sum = vec![0f32; p.numbers.len()];
        for part in parts {
            let found = part.iter().find(|(name, _)| Some(name) == output).and_then(|(_, t)| t.as_slice::<f32>());
            let missing = || Error::internal(format!("no gradient of \"{}\" came", p.name));
            sum.iter_mut().zip(found.ok_or_else(missing)?.iter()).for_each(|(s, g)| *s += share * g);
        }
        Ok(sum)
    }

    /// The mean loss of the outputs over the runs that are held back.
    pub fn loss(&self, parameters: &[Parameter]) -> Result<f64> {
        let weights = tensors(parameters);
        let one = |(lane, run): (&Lane, usize)| -> Result<f64> {
            let fed: Fed = self.held[run].iter().chain(&weights).cloned().collect();
            let found = lane.loss.run(&fed)?;
            let loss = found.iter().find(|(name, _)| *name == self.loss).and_then(|(_, t)| t.scalar_f32());
            loss.map(f64::from).ok_or_else(|| Error::internal("no loss came"))
        };
        let losses = self.shared(self.held.len(), one)?;
        Ok(losses.iter().sum::<f64>() / losses.len().max(1) as f64)
    }

    /// What `work` makes of each of `count` runs, which the lanes share; in their order.
    fn shared<T: Send>(&self, count: usize, work: impl Fn((&Lane, usize)) -> Result<T> + Sync) -> Result<Vec<T>> {
        let lanes = self.lanes.len();
        let one = |(at, lane): (usize, &Lane)| (at..count).step_by(lanes).map(|run| work((lane, run))).collect();
        let parts: Vec<Result<Vec<T>>> = self.lanes.par_iter().enumerate().map(one).collect();
        let mut parts = parts.into_iter().map(|p| p.map(Vec::into_iter)).collect::<Result<Vec<_>>>()?;
        // Lane `i` had the runs i, i + lanes, …
        Ok((0..count).filter_map(|run| parts[run % lanes].next()).collect())
    }
}

/// What the student is fed for these inputs: themselves, and what the teacher makes of them.
fn fed(lane: &Lane, mut inputs: Fed, targets: &[Target]) -> Result<Fed> {
    let made = lane.teacher.run(&inputs)?;
    for target in targets {
        let found = made.iter().find(|(name, _)| *name == target.output);
        let missing = || Error::internal(format!("the float model gave no \"{}\"", target.output));
        inputs.push((target.input.clone(), found.ok_or_else(missing)?.1.clone()));
    }
    Ok(inputs)
}

fn tensors(parameters: &[Parameter]) -> Fed {
    parameters.par_iter().map(|p| (p.name.clone(), p.held(&p.numbers))).collect()
}

/// The loss without the gradients.
fn loss_alone(gradient: &Gradient) -> Model {
    let mut model = gradient.model.clone();
    let mut edit = GraphEdit::new(&mut model);
    let main = edit.main();
    let loss = edit.graph(main).outputs().iter().copied().find(|v| edit.name(*v) == gradient.loss);
    edit.clear_graph_outputs(main);
    loss.into_iter().for_each(|v| edit.add_graph_output(main, v));
    edit.remove_unread_nodes(main);
    model
}
