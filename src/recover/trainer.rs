//! Sessions of teacher and student, and what they say of the weights.

use super::Parameter;
use super::batches::{Batches, Fed};
use crate::error::{Error, Result};
use crate::gradient::{Gradient, Loss, Weights, differentiate};
use crate::ir::{DType, GraphEdit, Model, Tensor};
use crate::runtime::{self, LoadOptions, RUNTIMES, Session};

pub(super) struct Trainer<'a> {
    batches: &'a Batches<'a>,
    teacher: Box<dyn Session>,
    gradient: Gradient,
    /// One a lane, or one that all share.
    sessions: Vec<Box<dyn Session>>,
    /// The loss alone.
    losses: Box<dyn Session>,
    pub runtime: &'static str,
}

impl<'a> Trainer<'a> {
    pub fn new((teacher, student): (&Model, &Model), batches: &'a Batches<'a>, names: &[String]) -> Result<Self> {
        let run = batches.of_step(1).into_iter().next().unwrap_or_default();
        let inputs = batches.inputs(&run)?;
        let load = LoadOptions::for_run(student, &inputs);
        let scales = scales(teacher, &inputs)?;
        let gradient = differentiate(student, &load, &Loss::SquaredError { scales }, names, Weights::Fed)?;
        // A step takes about two thirds of the time there.
        let runtime = runtime::closest_to("onnxruntime");
        let count = if runtime.shares_sessions() { 1 } else { batches.lanes };
        let sessions = (0..count).map(|_| runtime.load(&gradient.model, &gradient.load_options()));
        let sessions = sessions.collect::<Result<_>>()?;
        let losses = runtime.load(&loss_alone(&gradient), &gradient.load_options())?;
        let teacher = runtime.load(teacher, &load)?;
        Ok(Trainer { batches, teacher, gradient, sessions, losses, runtime: runtime.name() })
    }

    /// Why a parameter has no gradient.
    pub fn refusal(&self, name: &str) -> Option<&str> {
        self.gradient.of.iter().find(|(n, _)| n == name).and_then(|(_, g)| g.as_ref().err()).map(String::as_str)
    }

    /// What the student is fed for a run: samples and targets.
    fn fed(&self, run: &[usize]) -> Result<Fed> {
        let mut inputs = self.batches.inputs(run)?;
        let made = self.teacher.run(&inputs)?;
        for target in &self.gradient.targets {
            let found = made.iter().find(|(name, _)| *name == target.output);
            let missing = || Error::internal(format!("the float model gave no \"{}\"", target.output));
            inputs.push((target.input.clone(), found.ok_or_else(missing)?.1.clone()));
        }
        Ok(inputs)
    }

    /// The mean gradient of each parameter over the samples of a step.
    pub fn gradients(&self, parameters: &[Parameter], step: usize) -> Result<Vec<Vec<f32>>> {
        let runs = self.batches.of_step(step);
        let weights = tensors(parameters);
        let parts: Vec<Result<Fed>> = std::thread::scope(|scope| {
            let sessions = self.sessions.iter().cycle();
            let threads: Vec<_> = runs
                .iter()
                .zip(sessions)
                .map(|(run, session)| {
                    let weights = &weights;
                    scope.spawn(move || {
                        let mut fed = self.fed(run)?;
                        fed.extend(weights.iter().cloned());
                        session.run(&fed)
                    })
                })
                .collect();
            let gone = |_| Err(Error::internal("a thread that trains panicked"));
            threads.into_iter().map(|t| t.join().unwrap_or_else(gone)).collect()
        });
        let parts = parts.into_iter().collect::<Result<Vec<Fed>>>()?;
        let share = 1.0 / parts.len().max(1) as f32;
        parameters.iter().map(|p| self.mean(p, &parts, share)).collect()
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

    /// The mean loss of a run over what is held back.
    pub fn loss(&self, parameters: &[Parameter]) -> Result<f64> {
        let weights = tensors(parameters);
        let (mut sum, mut count) = (0.0, 0usize);
        for run in self.batches.held() {
            let mut fed = self.fed(run)?;
            fed.extend(weights.iter().cloned());
            let found = self.losses.run(&fed)?;
            let loss = found.iter().find(|(name, _)| *name == self.gradient.loss).and_then(|(_, t)| t.scalar_f32());
            sum += f64::from(loss.ok_or_else(|| Error::internal("no loss came"))?);
            count += 1;
        }
        Ok(sum / count.max(1) as f64)
    }
}

fn tensors(parameters: &[Parameter]) -> Fed {
    parameters.iter().map(|p| (p.name.clone(), Tensor::from_vec(p.shape.clone(), p.numbers.clone()))).collect()
}

/// Of each float output 2 over its energy in one run: the loss is the share of the energy that is wrong.
fn scales(teacher: &Model, inputs: &Fed) -> Result<Vec<f32>> {
    let session = RUNTIMES[0].load(teacher, &LoadOptions::for_run(teacher, inputs))?;
    let outputs = session.run(inputs)?;
    let float = outputs.iter().filter(|(_, t)| t.dtype() == DType::F32);
    let energy = |t: &Tensor| t.as_slice::<f32>().map_or(0.0, |v| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>());
    Ok(float.map(|(_, t)| (2.0 / energy(t).max(1e-12)) as f32).collect())
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
