//! Values inside whose errors count besides those of the outputs.
//!
//! ```text
//! x ─► … ─► v ─► contraction ─► … ─► y        L = e(y) + mean over v of e(v)        e: share of the energy that is wrong
//! ```
//!
//! An error at the end tells little of where it was made; what contractions are fed tells it on the way (Romero et al., FitNets: Hints for
//! Thin Deep Nets, 2015). A value counts where teacher and student have it under one name and in one shape: channels that went take theirs
//! out.

use std::collections::HashSet;

use super::Teacher;
use super::batches::Fed;
use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, Tensor, ValueId};
use crate::ops::{self, QuantRule};
use crate::runtime::{LoadOptions, Runtime};

/// Values that count, at most: each costs a comparison.
const MOST: usize = 8;

/// What is compared, and how much it counts.
pub(super) struct Taps {
    pub names: Vec<String>,
    /// Of each float output, then of each tap: 2 over its energy in one run, so that losses are shares.
    pub scales: Vec<f32>,
    /// How many of them are outputs.
    pub outputs: usize,
}

impl Taps {
    /// # Errors
    /// What the runtime refuses.
    pub fn of(
        teacher: Teacher,
        student: &Model,
        (inputs, load): (&Fed, &LoadOptions),
        runtime: &dyn Runtime,
    ) -> Result<Taps> {
        let known: HashSet<String> =
            if teacher.inside { candidates(teacher.model).into_iter().collect() } else { HashSet::new() };
        let both: Vec<String> = candidates(student).into_iter().filter(|name| known.contains(name)).collect();
        let run = |model: &Model| runtime.load(model, &load.clone().with_taps(&both))?.run(inputs);
        let (wanted, made) = (run(teacher.model)?, run(student)?);
        let outputs = wanted.len() - both.len();
        let float = |t: &Tensor| t.dtype() == DType::F32;
        let scale = |t: &Tensor| 2.0 / energy(t).max(1e-12);
        let mut scales: Vec<f32> =
            wanted[..outputs].iter().filter(|(_, t)| float(t)).map(|(_, t)| scale(t) as f32).collect();
        let own = scales.len();
        let same = |((_, a), (_, b)): &(&(String, Tensor), &(String, Tensor))| float(a) && a.shape() == b.shape();
        let found: Vec<&(String, Tensor)> =
            wanted[outputs..].iter().zip(&made[outputs..]).filter(same).map(|(a, _)| a).collect();
        let count = found.len().min(MOST);
        let taken: Vec<&(String, Tensor)> = (0..count).map(|i| found[i * found.len() / count]).collect();
        scales.extend(taken.iter().map(|(_, t)| (scale(t) / count as f64) as f32));
        Ok(Taps { names: taken.into_iter().map(|(name, _)| name.clone()).collect(), scales, outputs: own })
    }

    /// The model with the taps for further outputs.
    pub fn added(&self, model: &Model) -> Model {
        let mut model = model.clone();
        let mut edit = GraphEdit::new(&mut model);
        let main = edit.main();
        let made: Vec<_> =
            edit.graph(main).nodes().iter().flat_map(|n| edit.node(*n).outputs().iter().flatten()).copied().collect();
        for name in &self.names {
            let value = made.iter().find(|v| edit.name(**v) == name);
            value.into_iter().for_each(|v| edit.add_graph_output(main, *v));
        }
        model
    }
}

/// Names of what contractions with constant weights are fed, where a node makes it and it is no output; each once, in graph order.
fn candidates(model: &Model) -> Vec<String> {
    let mut seen = HashSet::new();
    let main = model.graph(model.main());
    let fed = main.nodes().iter().filter_map(|id| {
        let node = model.node(*id);
        let Some(QuantRule::Weighted { weight, .. }) = ops::of(node).map(|op| op.quant) else { return None };
        model.constant_input(*id, weight)?;
        let fed = node.inputs().iter().flatten().copied().find(|v| model.constant(*v).is_none())?;
        // Before it is rounded: that is what has the name of the float value.
        let rounds = |v: &ValueId| model.producer(*v).filter(|n| ops::of(model.node(*n)).is_some_and(|op| op.rounds));
        std::iter::successors(Some(fed), |v| model.node(rounds(v)?).input(0)).last()
    });
    let inside = fed.filter(|v| model.producer(*v).is_some() && !model.is_output(*v));
    inside.filter(|v| seen.insert(*v)).map(|v| model.name(v).to_string()).collect()
}

fn energy(t: &Tensor) -> f64 {
    t.as_slice::<f32>().map_or(0.0, |v| v.iter().map(|x| f64::from(*x).powi(2)).sum())
}
